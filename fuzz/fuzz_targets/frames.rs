//! See `swapwire_fuzz::frames`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| swapwire_fuzz::frames(data));
