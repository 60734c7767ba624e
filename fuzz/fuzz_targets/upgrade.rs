//! See `swapwire_fuzz::upgrade`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| swapwire_fuzz::upgrade(data));
