//! TCP for swapwire.
