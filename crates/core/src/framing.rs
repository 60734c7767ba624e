//! Framing: how a byte stream is cut into messages.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use memchr::{memchr, memmem};
use tokio_util::codec::{Decoder, Encoder};

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
    /// Each message before a delimiter, which it must not contain.
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
        Self::Codec(CodecFactory(Arc::new(move || Box::new(Codec { codec: make(), input: BytesMut::new() }))))
    }

    /// Whether messages keep their boundaries: everything but [`Framing::Chunks`].
    pub const fn boundaries(&self) -> bool {
        !matches!(self, Self::Chunks)
    }

    /// The state that cuts one connection's incoming bytes; messages above `max` bytes are refused.
    pub fn decoder(&self, max: usize) -> FrameDecoder {
        let kind = match self {
            Self::Chunks => Kind::Chunks,
            Self::Lines => Kind::Lines,
            Self::LengthPrefixed { width, little_endian } => {
                Kind::Length { width: *width, little_endian: *little_endian }
            }
            Self::Delimited(delimiter) => Kind::Delimited(delimiter.clone()),
            Self::Fixed(len) => Kind::Fixed((*len).max(1)),
            Self::Codec(factory) => Kind::Codec((factory.0)()),
        };
        FrameDecoder { kind, max, scanned: 0 }
    }

    /// The state that frames one connection's outgoing messages; messages above `max` bytes are refused.
    pub fn encoder(&self, max: usize) -> FrameEncoder {
        FrameEncoder { kind: self.decoder(max).kind, max }
    }
}

/// Makes codecs for [`Framing::Codec`].
#[derive(Clone)]
pub struct CodecFactory(Arc<dyn Fn() -> Box<dyn FrameIo> + Send + Sync>);

impl fmt::Debug for CodecFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CodecFactory")
    }
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

/// What a decoder found at the front of the unread bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// A whole message: `message` is its range in the bytes given, `consumed` counts the frame with its overhead.
    Frame {
        /// The message, as a range of the bytes given.
        message: Range<usize>,
        /// Bytes to drop from the front, before the next call.
        consumed: usize,
    },
    /// A whole message that the codec made; `consumed` bytes of the input are done with.
    Owned {
        /// The message.
        message: Bytes,
        /// Bytes to drop from the front, before the next call.
        consumed: usize,
    },
    /// More bytes are needed; `consumed` bytes of the input are done with. A partial frame is open if unread bytes
    /// remain or `partial` is true.
    Need {
        /// Bytes to drop from the front, before the next call.
        consumed: usize,
        /// The decoder itself holds a part of a frame.
        partial: bool,
    },
}

/// Cuts one connection's incoming bytes into messages. Remembers how far it searched, so that a frame that arrives byte
/// by byte costs linear time.
#[derive(Debug)]
pub struct FrameDecoder {
    kind: Kind,
    max: usize,
    scanned: usize,
}

#[derive(Debug)]
enum Kind {
    Chunks,
    Lines,
    Length { width: usize, little_endian: bool },
    Delimited(Bytes),
    Fixed(usize),
    Codec(Box<dyn FrameIo>),
}

impl FrameDecoder {
    /// Looks at `unread`, all the bytes that arrived and were not yet consumed; `eof` says that no more will come.
    /// Call again with the rest until it says [`Decoded::Need`].
    ///
    /// # Errors
    /// The connection cannot go on: a frame is too large, or the stream ended inside one.
    pub fn decode(&mut self, unread: &[u8], eof: bool) -> Result<Decoded, FrameError> {
        let max = self.max;
        let need = Decoded::Need { consumed: 0, partial: false };
        if unread.is_empty() && !matches!(self.kind, Kind::Codec(_)) {
            return Ok(need);
        }
        let found = match &mut self.kind {
            Kind::Chunks => {
                let len = unread.len().min(max);
                return Ok(Decoded::Frame { message: 0..len, consumed: len });
            }
            Kind::Lines => memchr(b'\n', &unread[self.scanned..]).map(|at| {
                let end = self.scanned + at;
                (end - usize::from(end > 0 && unread[end - 1] == b'\r'), end + 1)
            }),
            Kind::Delimited(delimiter) => memmem::find(&unread[self.scanned..], delimiter).map(|at| {
                let end = self.scanned + at;
                (end, end + delimiter.len())
            }),
            Kind::Length { width, little_endian } => {
                return decode_length(unread, *width, *little_endian, max, eof).map(|found| found.unwrap_or(need));
            }
            Kind::Fixed(len) if *len > max => return Err(FrameError::TooLarge { len: *len as u64, max }),
            Kind::Fixed(len) => match unread.len() {
                have if have >= *len => return Ok(Decoded::Frame { message: 0..*len, consumed: *len }),
                have if eof => return Err(FrameError::Truncated { have }),
                _ => return Ok(need),
            },
            Kind::Codec(codec) => return codec.decode(unread, eof, max),
        };
        let tail = match &self.kind {
            Kind::Delimited(delimiter) => delimiter.len(),
            _ => 2,
        };
        match found {
            Some((end, _)) if end > max => Err(FrameError::TooLarge { len: end as u64, max }),
            Some((end, consumed)) => {
                self.scanned = 0;
                Ok(Decoded::Frame { message: 0..end, consumed })
            }
            None if unread.len() > max + tail => Err(FrameError::TooLarge { len: unread.len() as u64, max }),
            None if eof && matches!(self.kind, Kind::Lines) && unread.len() <= max => {
                self.scanned = 0;
                Ok(Decoded::Frame { message: 0..unread.len(), consumed: unread.len() })
            }
            None if eof => Err(FrameError::Truncated { have: unread.len() }),
            None => {
                self.scanned = unread.len().saturating_sub(tail - 1);
                Ok(need)
            }
        }
    }
}

fn decode_length(
    unread: &[u8],
    width: usize,
    little_endian: bool,
    max: usize,
    eof: bool,
) -> Result<Option<Decoded>, FrameError> {
    let incomplete = || if eof { Err(FrameError::Truncated { have: unread.len() }) } else { Ok(None) };
    let Some(header) = unread.get(..width) else { return incomplete() };
    let mut wide = [0; 8];
    let len = if little_endian {
        wide[..width].copy_from_slice(header);
        u64::from_le_bytes(wide)
    } else {
        wide[8 - width..].copy_from_slice(header);
        u64::from_be_bytes(wide)
    };
    let Some(size) = usize::try_from(len).ok().filter(|size| *size <= max) else {
        return Err(FrameError::TooLarge { len, max });
    };
    let consumed = width + size;
    if unread.len() < consumed { incomplete() } else { Ok(Some(Decoded::Frame { message: width..consumed, consumed })) }
}

/// Frames one connection's outgoing messages, in place: [`begin`](Self::begin), append the message,
/// [`finish`](Self::finish).
#[derive(Debug)]
pub struct FrameEncoder {
    kind: Kind,
    max: usize,
}

impl FrameEncoder {
    /// The largest message it frames.
    pub fn max(&self) -> usize {
        self.max
    }

    /// Starts a frame at the end of `out`; the message is appended behind what this adds.
    pub fn begin(&self, out: &mut Vec<u8>) {
        if let Kind::Length { width, .. } = self.kind {
            out.extend_from_slice(&[0; 8][..width]);
        }
    }

    /// Ends the frame that was begun when `out` was `start` bytes long.
    ///
    /// # Errors
    /// The message is too large or cannot be framed; `out` is cut back to `start`.
    pub fn finish(&mut self, out: &mut Vec<u8>, start: usize) -> Result<(), FrameError> {
        let result = self.try_finish(out, start);
        if result.is_err() {
            out.truncate(start);
        }
        result
    }

    fn try_finish(&mut self, out: &mut Vec<u8>, start: usize) -> Result<(), FrameError> {
        let message = start + if let Kind::Length { width, .. } = self.kind { width } else { 0 };
        let len = out.len() - message;
        if len > self.max {
            return Err(FrameError::TooLarge { len: len as u64, max: self.max });
        }
        match &mut self.kind {
            Kind::Chunks => {}
            Kind::Lines => {
                if memchr(b'\n', &out[message..]).is_some() {
                    return Err(FrameError::Unframeable("a message that contains a line feed is not one line"));
                }
                out.push(b'\n');
            }
            Kind::Length { width, little_endian } => {
                let wide = len as u64;
                if *width < 8 && wide >> (8 * *width) != 0 {
                    return Err(FrameError::Unframeable("the message is longer than the length field can say"));
                }
                let header = &mut out[start..message];
                if *little_endian {
                    header.copy_from_slice(&wide.to_le_bytes()[..*width]);
                } else {
                    header.copy_from_slice(&wide.to_be_bytes()[8 - *width..]);
                }
            }
            Kind::Delimited(delimiter) => {
                if memmem::find(&out[message..], delimiter).is_some() {
                    return Err(FrameError::Unframeable("the message contains the delimiter"));
                }
                out.extend_from_slice(delimiter);
            }
            Kind::Fixed(size) if *size != len => {
                return Err(FrameError::Unframeable("the message does not have the fixed length"));
            }
            Kind::Fixed(_) => {}
            Kind::Codec(codec) => {
                let message = Bytes::copy_from_slice(&out[message..]);
                out.truncate(start);
                codec.encode(message, out)?;
            }
        }
        Ok(())
    }
}

/// A codec behind [`Framing::Codec`], both directions.
pub trait FrameIo: Send {
    /// As [`FrameDecoder::decode`].
    ///
    /// # Errors
    /// The connection cannot go on.
    fn decode(&mut self, unread: &[u8], eof: bool, max: usize) -> Result<Decoded, FrameError>;

    /// Appends the frame of `message` to `out`.
    ///
    /// # Errors
    /// The message cannot be framed.
    fn encode(&mut self, message: Bytes, out: &mut Vec<u8>) -> Result<(), FrameError>;
}

impl fmt::Debug for dyn FrameIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FrameIo")
    }
}

struct Codec<C> {
    codec: C,
    input: BytesMut,
}

impl<C> FrameIo for Codec<C>
where
    C: Decoder<Item: AsRef<[u8]>, Error: fmt::Display> + Encoder<Bytes, Error: fmt::Display> + Send,
{
    fn decode(&mut self, unread: &[u8], eof: bool, max: usize) -> Result<Decoded, FrameError> {
        self.input.extend_from_slice(unread);
        let decode = if eof { C::decode_eof } else { C::decode };
        let item = decode(&mut self.codec, &mut self.input).map_err(|error| FrameError::Codec(error.to_string()))?;
        match item {
            Some(item) if item.as_ref().len() > max => {
                Err(FrameError::TooLarge { len: item.as_ref().len() as u64, max })
            }
            Some(item) => Ok(Decoded::Owned { message: Bytes::copy_from_slice(item.as_ref()), consumed: unread.len() }),
            None => Ok(Decoded::Need { consumed: unread.len(), partial: !self.input.is_empty() }),
        }
    }

    fn encode(&mut self, message: Bytes, out: &mut Vec<u8>) -> Result<(), FrameError> {
        let mut frame = BytesMut::new();
        self.codec.encode(message, &mut frame).map_err(|error| FrameError::Codec(error.to_string()))?;
        out.extend_from_slice(&frame);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
