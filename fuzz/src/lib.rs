//! What is fuzzed: one plain function for each target.
//!
//! `fuzz_targets/` gives them to libFuzzer, and `tests/corpora.rs` of the workspace above runs them over the corpora in
//! `fuzz/corpus/`, as ordinary tests: it takes this file in by its path.
#![allow(unreachable_pub, reason = "a test has no other way to see it")]

mod meter;
mod source;

#[cfg(any(target_os = "linux", target_os = "android"))]
mod control;
mod datagram;
mod decode;
mod endpoint;
mod frames;
mod framing;
mod handshake;
mod nats;
mod options;
mod proxy;
mod session;
mod stream_loop;
mod upgrade;
mod wire;

#[cfg(any(target_os = "linux", target_os = "android"))]
pub use control::control;
pub use datagram::datagram;
pub use decode::{
    chunks as decode_chunks, codec as decode_codec, delimited as decode_delimited, fixed as decode_fixed,
    length as decode_length, lines as decode_lines,
};
pub use endpoint::endpoint;
pub use frames::frames;
pub use framing::framing;
pub use handshake::handshake;
pub use meter::Meter;
pub use nats::nats;
pub use options::options;
pub use proxy::proxy;
pub use session::session;
pub use stream_loop::stream_loop;
pub use upgrade::upgrade;

/// A target's name and body; the body panics where something is wrong.
pub type Target = (&'static str, fn(&[u8]));

/// All of them, in alphabetical order.
pub const TARGETS: &[Target] = &[
    #[cfg(any(target_os = "linux", target_os = "android"))]
    ("control", control),
    ("datagram", datagram),
    ("decode_chunks", decode_chunks),
    ("decode_codec", decode_codec),
    ("decode_delimited", decode_delimited),
    ("decode_fixed", decode_fixed),
    ("decode_length", decode_length),
    ("decode_lines", decode_lines),
    ("endpoint", endpoint),
    ("frames", frames),
    ("framing", framing),
    ("handshake", handshake),
    ("nats", nats),
    ("options", options),
    ("proxy", proxy),
    ("session", session),
    ("stream_loop", stream_loop),
    ("upgrade", upgrade),
];
