//! See `swapwire_fuzz::endpoint`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| swapwire_fuzz::endpoint(data));
