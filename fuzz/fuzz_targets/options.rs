//! See `swapwire_fuzz::options`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| swapwire_fuzz::options(data));
