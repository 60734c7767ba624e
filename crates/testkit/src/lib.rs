//! The laws of swapwire as tests that any transport's author can run.
