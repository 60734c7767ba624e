//! Layers for swapwire handlers: timeout, concurrency, rate, trace, catch-panic.
