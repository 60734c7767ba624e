//! See `swapwire_fuzz::stream_loop`.
#![no_main]

mod counting;

#[global_allocator]
static ALLOC: counting::Counting = counting::Counting;

libfuzzer_sys::fuzz_target!(init: counting::METER.install(), |data: &[u8]| swapwire_fuzz::stream_loop(data));
