//! How many instructions a message takes, counted by callgrind: no noise, and therefore a gate. `BENCHMARKING.md` says how to
//! run it and how to renew `limits.rs`.
//!
//! Client and server share one thread, so what the client does for a message is a part of each number; only the `socket`
//! benches have no client. Counted is what happens inside the functions below: making the runtime, the server and the
//! connection, and the first messages, happen in the set-up.
#![allow(clippy::unwrap_used, reason = "a bench that cannot run says where and stops")]
#![allow(missing_docs, unreachable_pub, missing_debug_implementations, reason = "nobody links to a bench")]

mod client;
mod codec;
mod handlers;
mod limits;
#[path = "../common/session_echo.rs"]
mod session_echo;
mod wire;

use client::{Bytes, Messages};
use codec::Codec;
use gungraun::prelude::*;
use handlers::{WaitsOnce, uppercase_echo};
use limits::limit;
use session_echo::SessionEcho;
use swapwire::Framing;
use wire::Wire;

/// So many in each bench, after a sixteenth as many that are not counted.
const MESSAGES: usize = 16_000;
const WARM_UP: usize = MESSAGES / 16;
/// Bytes of a message, a line's end among them.
const SIZE: usize = 64;

#[library_benchmark]
#[bench::lines(args = (Codec::new(&Framing::Lines)), config = limit("framing lines"))]
#[bench::length(args = (Codec::new(&Framing::length_prefixed())), config = limit("framing length"))]
fn framing(mut codec: Codec) -> Codec {
    codec.run(MESSAGES);
    codec
}

#[library_benchmark]
#[bench::chunks_1(args = (Bytes::new(uppercase_echo(), Framing::Chunks, 1)), config = limit("stream chunks_1"))]
#[bench::lines_16(args = (Bytes::new(uppercase_echo(), Framing::Lines, 16)), config = limit("stream lines_16"))]
#[bench::waits_16(args = (Bytes::new(WaitsOnce, Framing::Lines, 16)), config = limit("stream waits_16"))]
#[bench::session_16(args = (Bytes::new(SessionEcho, Framing::Lines, 16)), config = limit("stream session_16"))]
fn stream(mut client: Bytes) -> Bytes {
    client.run(MESSAGES);
    client
}

#[library_benchmark]
#[bench::echo_16(args = (Messages::new("mem-seq:bench", uppercase_echo(), 16)), config = limit("messages echo_16"))]
#[bench::session_16(args = (Messages::new("mem-seq:bench", SessionEcho, 16)), config = limit("messages session_16"))]
fn messages(mut client: Messages) -> Messages {
    client.run(MESSAGES);
    client
}

#[library_benchmark]
#[bench::echo_32(args = (Messages::new("mem-dgram:bench", uppercase_echo(), 32)), config = limit("datagrams echo_32"))]
#[bench::waits_32(args = (Messages::new("mem-dgram:bench", WaitsOnce, 32)), config = limit("datagrams waits_32"))]
#[bench::session_32(args = (Messages::new("mem-dgram:bench", SessionEcho, 32)), config = limit("datagrams session_32"))]
fn datagrams(mut client: Messages) -> Messages {
    client.run(MESSAGES);
    client
}

#[library_benchmark]
#[bench::echo_32(args = (Wire::new(uppercase_echo())), config = limit("socket echo_32"))]
#[bench::waits_32(args = (Wire::new(WaitsOnce)), config = limit("socket waits_32"))]
fn socket(mut wire: Wire) -> Wire {
    wire.run(MESSAGES);
    wire
}

library_benchmark_group!(name = all, benchmarks = [framing, stream, messages, datagrams, socket]);
main!(library_benchmark_groups = all);
