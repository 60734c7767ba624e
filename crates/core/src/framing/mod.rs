//! Framing: how a byte stream is cut into messages.
//!
//! It reads and writes buffers of bytes, and uses nothing else of this crate.

use std::sync::Arc;

use bytes::Bytes;

mod codec;
mod decode;
mod encode;
mod own;
mod scan;
mod text;

pub use codec::{ByteItems, MessageCodec, TextItems};
pub use decode::{Decoded, FrameDecoder};
pub use encode::FrameEncoder;
pub use own::{Answer, CodecFactory, FrameFactory, FrameReader, FrameWriter, Goodbye};
pub use text::{FramingParseError, unescape};

/// How a byte stream is cut into messages. Belongs to the composition of a server or client, not to the handler, and is
/// ignored where the wire has boundaries of its own, but for the [ends of lines](Self::Lines).
///
/// The text form is `chunks`, `lines`, `length` (also `length:2`, `length:3le`), `varint`, `delimiter:TEXT` and `fixed:N`.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum Framing {
    /// No messages: bytes as they arrive, in pieces of any size.
    Chunks,
    /// Lines that end in `\n`; a `\r` before it belongs to the ending. What follows the last `\n` is a line too.
    ///
    /// Where the wire has boundaries of its own (datagrams, message streams), a message is what it is there, but one `\n` or
    /// `\r\n` at its end is taken off, so that a handler of lines gets from `nc -u` what it gets from `nc`. The replies to a
    /// message that had such an end have a `\n` at theirs, those to one that had none do not; a session follows the last
    /// message that it received, and sends without before it received any. What is left of a message that was only an end
    /// is an empty message. Line feeds within a message stay. Limits count the bytes on the wire.
    Lines,
    /// Each message behind its length.
    LengthPrefixed {
        /// Bytes of the length, from 1 to 8: 2 as in DNS over TCP, 3 as in MySQL, 4 in most protocols.
        width: usize,
        /// Least significant byte first.
        little_endian: bool,
    },
    /// Each message behind its length as a base-128 varint, as Protocol Buffers delimit messages: seven bits in each byte,
    /// least significant first, the top bit set in all but the last (unsigned LEB128). At most 10 bytes and 64 bits; a
    /// length that is padded with zeros is read, and never written.
    Varint,
    /// Each message before a delimiter, which it must not contain, not even with the delimiter's own beginning behind it.
    Delimited(Bytes),
    /// Messages of exactly this many bytes, at least 1.
    Fixed(usize),
    /// One with a state of its own: any codec of `tokio_util` ([`Framing::codec`]), or the [frames](Framing::frames) of a
    /// protocol.
    Codec(CodecFactory),
}

impl Framing {
    /// Messages behind a length of four bytes, most significant first.
    pub const fn length_prefixed() -> Self {
        Self::LengthPrefixed { width: 4, little_endian: false }
    }

    /// Messages cut by a `tokio_util` codec, one fresh codec for each direction of each connection.
    ///
    /// A codec fits if its items are bytes or text ([`MessageCodec`]): every codec of `tokio_util` itself does. One of text
    /// ([`TextItems`]: `LinesCodec`, `AnyDelimiterCodec`) refuses to send what is not UTF-8. One that fits both ways is
    /// told which to be: `Framing::codec::<ByteItems, _>(…)`.
    ///
    /// The codec bounds its own messages; the session's limit is checked after it. Costs a copy of each message.
    ///
    /// ```
    /// use swapwire_core::Framing;
    /// use tokio_util::codec::{LengthDelimitedCodec, LinesCodec};
    ///
    /// let bytes = Framing::codec(LengthDelimitedCodec::new);
    /// let text = Framing::codec(|| LinesCodec::new_with_max_length(1024));
    /// # assert!(bytes.boundaries() && text.boundaries());
    /// ```
    pub fn codec<Items: 'static, C: MessageCodec<Items>>(make: impl Fn() -> C + Send + Sync + 'static) -> Self {
        Self::frames(codec::Codecs::new(make))
    }

    /// Messages cut and framed by one's own code, in place.
    pub fn frames(factory: impl FrameFactory) -> Self {
        Self::Codec(CodecFactory(Arc::new(factory)))
    }

    /// Whether messages keep their boundaries: everything but [`Framing::Chunks`].
    pub const fn boundaries(&self) -> bool {
        !matches!(self, Self::Chunks)
    }

    /// The state that cuts one connection's incoming bytes; messages above `max` bytes are refused.
    /// (Chunks are cut to fit; of a limit of 0 they make 1.)
    pub fn decoder(&self, max: usize) -> FrameDecoder {
        let max = if self.boundaries() { max } else { max.max(1) };
        FrameDecoder::new(self.kind(|codec| codec.0.reader(max)), max)
    }

    /// The state that frames one connection's outgoing messages; messages above `max` bytes are refused.
    pub fn encoder(&self, max: usize) -> FrameEncoder {
        FrameEncoder::new(self.kind(|codec| codec.0.writer(max)), max)
    }

    fn kind<C>(&self, own: impl FnOnce(&CodecFactory) -> C) -> Kind<C> {
        match self {
            Self::Chunks => Kind::Chunks,
            Self::Lines => Kind::Lines,
            Self::LengthPrefixed { width, little_endian } => {
                let order = if *little_endian { Order::Little } else { Order::Big };
                Kind::Length { width: (*width).clamp(1, 8), order }
            }
            // One byte is made room for, which most lengths fit.
            Self::Varint => Kind::Length { width: 1, order: Order::Varint },
            Self::Delimited(delimiter) => Kind::Delimited(Box::new(delimiter.clone())),
            Self::Fixed(len) => Kind::Fixed((*len).max(1)),
            Self::Codec(factory) => Kind::Codec(own(factory)),
        }
    }
}

/// `message` without one `\n` or `\r\n` at its end, as where [lines](Framing::Lines) are messages.
pub fn without_line_end(message: &[u8]) -> &[u8] {
    match message {
        [line @ .., b'\r', b'\n'] | [line @ .., b'\n'] => line,
        message => message,
    }
}

/// A framing with the state of one direction.
#[derive(Debug)]
enum Kind<C> {
    Chunks,
    Lines,
    /// For replies alone: whole messages that end as lines.
    LineEnd,
    Length {
        width: usize,
        order: Order,
    },
    // Boxed, so that every connection keeps less.
    Delimited(Box<Bytes>),
    Fixed(usize),
    Codec(C),
}

/// How a length is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Big,
    Little,
    Varint,
}

debug_as_text!(FrameError);

/// Why bytes do not make a message, or a message cannot be framed.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
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
    /// What stands where a frame begins cannot begin one.
    #[error("{0}")]
    Malformed(&'static str),
    /// What should be text is not UTF-8.
    #[error("text that is not UTF-8")]
    NotText,
    /// The peer ended the connection in another way than by an orderly good-bye: how.
    #[error("the peer ended the connection {0}")]
    Ended(String),
    /// This framing cannot carry this message.
    #[error("{0}")]
    Unframeable(&'static str),
    /// A codec's own error.
    #[error("codec: {0}")]
    Codec(String),
}

#[cfg(test)]
mod tests;
