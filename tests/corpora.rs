//! The bodies of the fuzz targets, over the corpora in `fuzz/corpus/` and mutations of them.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeSet;
use std::path::PathBuf;

use replay::{bodies, files, replay, root};
use swapwire::Framing;
use swapwire::core::Decoded;

#[path = "corpora/replay.rs"]
mod replay;

const MUTATIONS: u64 = 32;
/// Of those that are slow.
const FEW: u64 = 4;

macro_rules! replays {
    ($($name:ident: $mutations:expr,)*) => {$(
        #[test]
        fn $name() {
            replay(stringify!($name), $mutations);
        }
    )*};
}

replays! {
    datagram: MUTATIONS,
    decode_chunks: MUTATIONS,
    decode_codec: MUTATIONS,
    decode_delimited: MUTATIONS,
    decode_fixed: MUTATIONS,
    decode_length: MUTATIONS,
    decode_lines: MUTATIONS,
    endpoint: MUTATIONS,
    frames: MUTATIONS,
    framing: MUTATIONS,
    handshake: FEW,
    nats: MUTATIONS,
    options: MUTATIONS,
    proxy: MUTATIONS,
    session: FEW,
    stream_loop: FEW,
    upgrade: MUTATIONS,
}

#[cfg(any(target_os = "linux", target_os = "android"))]
replays! {
    control: MUTATIONS,
}

/// Linux has them all.
#[cfg(target_os = "linux")]
#[test]
fn every_target_has_a_body_a_program_and_a_corpus() {
    let stems = |dir: &str| -> BTreeSet<String> {
        let stem = |path: PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
        files(&root().join(dir)).into_iter().map(stem).collect()
    };
    let bodies: BTreeSet<String> = bodies::TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let mut programs = stems("fuzz_targets");
    programs.remove("counting");
    assert_eq!((&bodies, &bodies), (&programs, &stems("corpus")));
}

/// What a decoder has looked at is made an end of a frame: one that looked at it again would find that.
#[test]
fn a_frame_that_drips_in_is_looked_at_once() {
    const LEN: usize = 1 << 16;
    for (framing, end) in [("lines", "\n"), ("delimiter:\r\n", "\r\n"), ("delimiter:abc", "abc")] {
        for step in [1, 7, 1000] {
            let (mut decoder, end) = (framing.parse::<Framing>().unwrap().decoder(usize::MAX), end.as_bytes());
            // The last of them may be the beginning of an end.
            let kept = end.len().max(2) - 1;
            let (mut unread, mut seen) = (Vec::new(), 0);
            while unread.len() < LEN {
                unread.resize(unread.len() + step, b'x');
                let need = Decoded::Need { consumed: 0, partial: false };
                assert_eq!(decoder.decode(&mut unread, false).unwrap(), need, "{framing} by {step}");
                while seen + kept < unread.len() {
                    unread[seen] = end[seen % end.len()];
                    seen += 1;
                }
            }
            let len = unread.len();
            unread.extend_from_slice(end);
            let whole = Decoded::Frame { message: 0..len, consumed: len + end.len() };
            assert_eq!(decoder.decode(&mut unread, false).unwrap(), whole, "{framing} by {step}");
        }
    }
}
