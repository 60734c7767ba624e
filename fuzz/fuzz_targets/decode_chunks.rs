//! See `swapwire_fuzz::decode_chunks`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| swapwire_fuzz::decode_chunks(data));
