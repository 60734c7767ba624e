//! See `swapwire_fuzz::nats`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| swapwire_fuzz::nats(data));
