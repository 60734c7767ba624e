//! Framing: how a byte stream is cut into messages.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use tokio_util::codec::{Decoder, Encoder};

mod codec;
mod decode;
mod encode;
mod scan;

pub use codec::{CodecFactory, FrameIo};
pub use decode::{Decoded, FrameDecoder};
pub use encode::FrameEncoder;

/// How a byte stream is cut into messages. Belongs to the composition of a server or client, not to the handler, and is
/// ignored where the wire has boundaries of its own.
///
/// The text form is `chunks`, `lines`, `length` (also `length:2`, `length:8le`), `delimiter:TEXT` and `fixed:N`.
#[derive(Clone)]
#[non_exhaustive]
pub enum Framing {
    /// No messages: bytes as they arrive, in pieces of any size.
    Chunks,
    /// Lines that end in `\n`; a `\r` before it belongs to the ending. What follows the last `\n` is a line too.
    Lines,
    /// Each message behind its length.
    LengthPrefixed {
        /// Bytes of the length: 1, 2, 4 or 8.
        width: usize,
        /// Least significant byte first.
        little_endian: bool,
    },
    /// Each message before a delimiter, which it must not contain, not even with the delimiter's own beginning behind it.
    Delimited(Bytes),
    /// Messages of exactly this many bytes, at least 1.
    Fixed(usize),
    /// Any codec of `tokio_util`; see [`Framing::codec`].
    Codec(CodecFactory),
}

impl Framing {
    /// Messages behind a length of four bytes, most significant first.
    pub const fn length_prefixed() -> Self {
        Self::LengthPrefixed { width: 4, little_endian: false }
    }

    /// Messages cut by a `tokio_util` codec, one fresh codec for each direction of each connection.
    ///
    /// The codec bounds its own messages; the session's limit is checked after it. Costs a copy of each message.
    pub fn codec<C>(make: impl Fn() -> C + Send + Sync + 'static) -> Self
    where
        C: Decoder<Item: AsRef<[u8]>, Error: fmt::Display> + Encoder<Bytes, Error: fmt::Display> + Send + 'static,
    {
        Self::Codec(CodecFactory::new(make))
    }

    /// Whether messages keep their boundaries: everything but [`Framing::Chunks`].
    pub const fn boundaries(&self) -> bool {
        !matches!(self, Self::Chunks)
    }

    /// The state that cuts one connection's incoming bytes; messages above `max` bytes are refused.
    /// (Chunks are cut to fit; of a limit of 0 they make 1.)
    pub fn decoder(&self, max: usize) -> FrameDecoder {
        let max = if self.boundaries() { max } else { max.max(1) };
        FrameDecoder::new(self.kind(), max)
    }

    /// The state that frames one connection's outgoing messages; messages above `max` bytes are refused.
    pub fn encoder(&self, max: usize) -> FrameEncoder {
        FrameEncoder::new(self.kind(), max)
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Chunks => Kind::Chunks,
            Self::Lines => Kind::Lines,
            Self::LengthPrefixed { width, little_endian } => {
                Kind::Length { width: *width, little_endian: *little_endian }
            }
            Self::Delimited(delimiter) => Kind::Delimited(Box::new(delimiter.clone())),
            Self::Fixed(len) => Kind::Fixed((*len).max(1)),
            Self::Codec(factory) => Kind::Codec(factory.make()),
        }
    }
}

/// A framing with the state of one direction.
#[derive(Debug)]
enum Kind {
    Chunks,
    Lines,
    Length { width: usize, little_endian: bool },
    // Boxed, so that every connection keeps less.
    Delimited(Box<Bytes>),
    Fixed(usize),
    Codec(Box<dyn FrameIo>),
}

impl fmt::Debug for Framing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Framing({self})")
    }
}

impl fmt::Display for Framing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chunks => f.write_str("chunks"),
            Self::Lines => f.write_str("lines"),
            Self::LengthPrefixed { width: 4, little_endian: false } => f.write_str("length"),
            Self::LengthPrefixed { width, little_endian } => {
                write!(f, "length:{width}{}", if *little_endian { "le" } else { "" })
            }
            Self::Delimited(delimiter) => write!(f, "delimiter:{}", delimiter.escape_ascii()),
            Self::Fixed(len) => write!(f, "fixed:{len}"),
            Self::Codec(_) => f.write_str("codec"),
        }
    }
}

/// Why a text is not a framing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "framing {0:?}: write chunks, lines, length, length:2, length:8le, delimiter:TEXT (escapes \\n \\r \\t \\0 \\xNN) or fixed:N"
)]
pub struct FramingParseError(String);

impl FromStr for Framing {
    type Err = FramingParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || FramingParseError(text.to_owned());
        let (name, argument) = match text.split_once(':') {
            Some((name, argument)) => (name, Some(argument)),
            None => (text, None),
        };
        match (name, argument) {
            ("chunks", None) => Ok(Self::Chunks),
            ("lines", None) => Ok(Self::Lines),
            ("length", None) => Ok(Self::length_prefixed()),
            ("length", Some(argument)) => {
                let (width, little_endian) = match argument.strip_suffix("le") {
                    Some(width) => (width, true),
                    None => (argument.strip_suffix("be").unwrap_or(argument), false),
                };
                let width = width.parse().ok().filter(|width| [1, 2, 4, 8].contains(width)).ok_or_else(wrong)?;
                Ok(Self::LengthPrefixed { width, little_endian })
            }
            ("delimiter", Some(argument)) => {
                let delimiter = unescape(argument).filter(|delimiter| !delimiter.is_empty()).ok_or_else(wrong)?;
                Ok(Self::Delimited(delimiter.into()))
            }
            ("fixed", Some(argument)) => {
                argument.parse().ok().filter(|len| *len > 0).map(Self::Fixed).ok_or_else(wrong)
            }
            _ => Err(wrong()),
        }
    }
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let (&code, tail) = rest.split_first()?;
        rest = tail;
        out.push(match code {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'0' => 0,
            b'\\' => b'\\',
            b'"' | b'\'' => code,
            b'x' => {
                let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
                rest = &rest[2..];
                u8::from_str_radix(digits, 16).ok()?
            }
            _ => return None,
        });
    }
    Some(out)
}

/// Why bytes do not make a message, or a message cannot be framed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// A frame is longer than the limit; known from its header, or from having that much without an end.
    #[error("a frame of {len} bytes or more is longer than the limit of {max}")]
    TooLarge {
        /// What it claims or has so far.
        len: u64,
        /// The limit.
        max: usize,
    },
    /// The stream ended inside a frame.
    #[error("the stream ended inside a frame, after {have} bytes of it")]
    Truncated {
        /// Bytes of the unfinished frame.
        have: usize,
    },
    /// This framing cannot carry this message.
    #[error("{0}")]
    Unframeable(&'static str),
    /// A codec's own error.
    #[error("codec: {0}")]
    Codec(String),
}

#[cfg(test)]
mod tests;
