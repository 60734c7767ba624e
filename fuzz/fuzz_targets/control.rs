//! See `swapwire_fuzz::control`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| swapwire_fuzz::control(data));
