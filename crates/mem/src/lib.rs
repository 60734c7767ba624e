//! The in-memory transport of swapwire, in all three shapes: the reference implementation.
