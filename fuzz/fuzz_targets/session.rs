//! See `swapwire_fuzz::session`.
#![no_main]

mod counting;

#[global_allocator]
static ALLOC: counting::Counting = counting::Counting;

libfuzzer_sys::fuzz_target!(init: counting::METER.install(), |data: &[u8]| swapwire_fuzz::session(data));
