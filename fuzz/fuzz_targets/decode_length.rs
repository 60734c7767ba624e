//! See `swapwire_fuzz::decode_length`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| swapwire_fuzz::decode_length(data));
