//! What a framing costs: cutting and framing alone, beside the codecs of `tokio_util`; and through a server in memory, beside
//! `tokio_util`'s `Framed`.
#![allow(clippy::unwrap_used, reason = "a bench that cannot run says where and stops")]
#![allow(missing_docs, unreachable_pub, missing_debug_implementations, reason = "nobody links to a bench")]
#![allow(dead_code, reason = "the benches share a module, and none uses all of it")]

mod common;

use std::fmt;
use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use common::framed::{Fixed, delimited};
use common::{Cell, Kind, Wire};
use criterion::{Bencher, BenchmarkId, Criterion};
use swapwire::Framing;
use swapwire::core::Decoded;
use tokio_util::codec::{BytesCodec, Decoder, Encoder, LengthDelimitedCodec, LinesCodec};

const SIZES: [usize; 2] = [64, 16 * 1024];
/// Messages under way, or in the buffer at once.
const DEPTH: usize = 16;
const DELIMITER: &[u8] = b"\0";

fn framings(size: usize) -> [(&'static str, Framing); 5] {
    [
        ("chunks", Framing::Chunks),
        ("lines", Framing::Lines),
        ("length", Framing::length_prefixed()),
        ("delimiter", Framing::Delimited(Bytes::from_static(DELIMITER))),
        ("fixed", Framing::Fixed(size)),
    ]
}

fn main() {
    let mut criterion = common::criterion();
    for size in SIZES {
        for (name, framing) in framings(size) {
            codecs(&mut criterion, name, &framing, size);
        }
    }
    for size in SIZES {
        for (name, framing) in framings(size) {
            let mut group = common::group(&mut criterion, format!("framed/{name}"));
            let cell = Cell { framing, ..Cell::new(Wire::Mem, size, 1, DEPTH) };
            common::compare(&mut group, &cell, &[Kind::Swapwire, Kind::ByHand]);
            group.finish();
        }
    }
    criterion.final_summary();
}

fn codecs(criterion: &mut Criterion, name: &str, framing: &Framing, size: usize) {
    let mut group = criterion.benchmark_group(format!("codec/{name}"));
    group.throughput(common::throughput(DEPTH, size));
    let text = "a".repeat(size);
    group.bench_function(BenchmarkId::new(Kind::Swapwire.name(), size), |bencher| ours(bencher, framing, &text));
    group.bench_function(BenchmarkId::new(Kind::ByHand.name(), size), |bencher| {
        let all = DEPTH * size;
        let (str, bytes) = (|| text.as_str(), Bytes::copy_from_slice(text.as_bytes()));
        let bytes = || bytes.clone();
        match framing {
            Framing::Lines => theirs(bencher, LinesCodec::new(), str, String::len, all),
            Framing::LengthPrefixed { .. } => theirs(bencher, LengthDelimitedCodec::new(), bytes, BytesMut::len, all),
            Framing::Delimited(_) => theirs(bencher, delimited(DELIMITER), str, Bytes::len, all),
            Framing::Fixed(len) => theirs(bencher, Fixed(*len), bytes, BytesMut::len, all),
            // It finds all of them as one.
            _ => theirs(bencher, BytesCodec::new(), bytes, BytesMut::len, all),
        }
    });
    group.finish();
}

fn ours(bencher: &mut Bencher<'_>, framing: &Framing, text: &str) {
    let all = DEPTH * text.len();
    let (mut encoder, mut decoder, mut buf) = (framing.encoder(all), framing.decoder(all), Vec::new());
    bencher.iter(|| {
        buf.clear();
        for _ in 0..DEPTH {
            let start = buf.len();
            encoder.begin(&mut buf);
            buf.extend_from_slice(black_box(text.as_bytes()));
            encoder.finish(&mut buf, start).unwrap();
        }
        let (mut from, mut cut) = (0, 0);
        while let Decoded::Frame { message, consumed } = decoder.decode(&mut buf[from..], false).unwrap() {
            cut += black_box(message).len();
            from += consumed;
        }
        assert_eq!(cut, all);
    });
}

fn theirs<C, O>(
    bencher: &mut Bencher<'_>,
    mut codec: C,
    message: impl Fn() -> O,
    len: impl Fn(&<C as Decoder>::Item) -> usize,
    all: usize,
) where
    C: Decoder<Error: fmt::Debug> + Encoder<O, Error: fmt::Debug>,
{
    let mut buf = BytesMut::new();
    bencher.iter(|| {
        for _ in 0..DEPTH {
            codec.encode(black_box(message()), &mut buf).unwrap();
        }
        let mut cut = 0;
        while let Some(message) = codec.decode(&mut buf).unwrap() {
            cut += len(&black_box(message));
        }
        assert_eq!(cut, all);
    });
}
