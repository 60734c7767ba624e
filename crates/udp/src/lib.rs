//! UDP for swapwire.
