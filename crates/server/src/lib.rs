//! The swapwire server: builder, accept loop, stream and datagram loops, sessions per peer, limits, deadlines, drain.
