//! Unix sockets for swapwire: byte streams and datagrams.
