//! Cutting bytes into messages.

use std::ops::Range;

use bytes::Bytes;
use memchr::memmem;

use super::{FrameError, FrameReader, Kind, Order, scan};

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
    /// A message of the protocol itself, as a ping or a close; [`FrameEncoder::answer`](super::FrameEncoder::answer) answers it.
    Control {
        /// What it says, as a range of the bytes given.
        payload: Range<usize>,
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

/// Bytes of the longest varint: 64 bits by sevens.
const LONGEST_VARINT: usize = 10;

/// Cuts one connection's incoming bytes into messages. Remembers how far it searched, so that a frame that arrives byte
/// by byte costs linear time.
#[derive(Debug)]
pub struct FrameDecoder {
    kind: Kind<Box<dyn FrameReader>>,
    max: usize,
    pub(super) scanned: usize,
}

impl FrameDecoder {
    pub(super) fn new(kind: Kind<Box<dyn FrameReader>>, max: usize) -> Self {
        Self { kind, max, scanned: 0 }
    }

    /// Whether it takes input in and can hold more messages than the unread bytes show (a codec does).
    #[inline]
    pub fn keeps_input(&self) -> bool {
        matches!(&self.kind, Kind::Codec(codec) if codec.keeps_input())
    }

    /// What it holds of a message that is not whole, beside the unread bytes, in bytes of memory.
    #[inline]
    pub fn memory(&self) -> usize {
        if let Kind::Codec(codec) = &self.kind { codec.memory() } else { 0 }
    }

    /// What kind of message it gave last, in the terms of a protocol ([`FrameReader::tag`]); 0 where messages have no kinds.
    pub fn tag(&self) -> u8 {
        if let Kind::Codec(codec) = &self.kind { codec.tag() } else { 0 }
    }

    /// Looks at `unread`, all the bytes that arrived and were not yet consumed; with `eof`, no more will arrive. Call again
    /// with the rest until it returns [`Decoded::Need`].
    ///
    /// # Errors
    /// The connection cannot go on: a frame is too large, or the stream ended inside one.
    #[inline]
    pub fn decode(&mut self, unread: &mut [u8], eof: bool) -> Result<Decoded, FrameError> {
        if matches!(self.kind, Kind::Chunks) && !unread.is_empty() {
            let len = unread.len().min(self.max);
            return Ok(Decoded::Frame { message: 0..len, consumed: len });
        }
        self.decode_line(unread, eof)
    }

    /// Not in line: a stream without a framing has no use for it.
    #[inline(never)]
    fn decode_line(&mut self, unread: &mut [u8], eof: bool) -> Result<Decoded, FrameError> {
        if matches!(self.kind, Kind::Lines)
            && let Some(at) = scan::find(b'\n', &unread[self.scanned..])
            && self.scanned + at <= self.max
        {
            let end = self.scanned + at;
            self.scanned = 0;
            return Ok(Decoded::Frame { message: 0..without_return(unread, end), consumed: end + 1 });
        }
        self.decode_frame(unread, eof)
    }

    #[inline(never)]
    fn decode_frame(&mut self, unread: &mut [u8], eof: bool) -> Result<Decoded, FrameError> {
        if let Kind::Codec(codec) = &mut self.kind {
            return codec.decode(unread, eof);
        }
        let max = self.max;
        let need = Decoded::Need { consumed: 0, partial: false };
        if unread.is_empty() {
            return Ok(need);
        }
        let found = match &mut self.kind {
            // Answered before, unless there is nothing.
            Kind::Chunks | Kind::LineEnd | Kind::Codec(_) => return Ok(need),
            Kind::Lines => scan::find(b'\n', &unread[self.scanned..]).map(|at| {
                let end = self.scanned + at;
                (without_return(unread, end), end + 1)
            }),
            Kind::Delimited(delimiter) => memmem::find(&unread[self.scanned..], delimiter).map(|at| {
                let end = self.scanned + at;
                (end, end + delimiter.len())
            }),
            Kind::Length { width, order } => {
                return decode_length(unread, *width, *order, max, eof).map(|found| found.unwrap_or(need));
            }
            Kind::Fixed(len) if *len > max => return Err(FrameError::TooLarge { len: *len as u64, max }),
            Kind::Fixed(len) => match unread.len() {
                have if have >= *len => return Ok(Decoded::Frame { message: 0..*len, consumed: *len }),
                have if eof => return Err(FrameError::Truncated { have }),
                _ => return Ok(need),
            },
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
            None if unread.len() > max.saturating_add(tail) => {
                Err(FrameError::TooLarge { len: unread.len() as u64, max })
            }
            // A last line without its end.
            None if eof && matches!(self.kind, Kind::Lines) => {
                let len = unread.len();
                if len > max {
                    return Err(FrameError::TooLarge { len: len as u64, max });
                }
                self.scanned = 0;
                Ok(Decoded::Frame { message: 0..len, consumed: len })
            }
            None if eof => Err(FrameError::Truncated { have: unread.len() }),
            None => {
                self.scanned = unread.len().saturating_sub(tail - 1);
                Ok(need)
            }
        }
    }
}

/// The end of a line that a line feed at `end` ends: a carriage return before it belongs to the end.
#[inline]
fn without_return(unread: &[u8], end: usize) -> usize {
    end - usize::from(end > 0 && unread[end - 1] == b'\r')
}

fn decode_length(
    unread: &[u8],
    width: usize,
    order: Order,
    max: usize,
    eof: bool,
) -> Result<Option<Decoded>, FrameError> {
    let incomplete = || if eof { Err(FrameError::Truncated { have: unread.len() }) } else { Ok(None) };
    let header = match order {
        Order::Varint => read_varint(unread)?,
        _ => unread.get(..width).map(|header| (fixed_length(header, order), width)),
    };
    let Some((len, width)) = header else { return incomplete() };
    let Some(size) = usize::try_from(len).ok().filter(|size| *size <= max) else {
        return Err(FrameError::TooLarge { len, max });
    };
    if unread.len() - width < size {
        return incomplete();
    }
    let consumed = width + size;
    Ok(Some(Decoded::Frame { message: width..consumed, consumed }))
}

/// The number in a header of at most 8 bytes.
fn fixed_length(header: &[u8], order: Order) -> u64 {
    let mut wide = [0; 8];
    if order == Order::Little {
        wide[..header.len()].copy_from_slice(header);
        u64::from_le_bytes(wide)
    } else {
        wide[8 - header.len()..].copy_from_slice(header);
        u64::from_be_bytes(wide)
    }
}

/// The number at the front of `unread` and how many bytes say it; `None` if they are not all there.
fn read_varint(unread: &[u8]) -> Result<Option<(u64, usize)>, FrameError> {
    let mut value = 0;
    for (i, byte) in unread.iter().take(LONGEST_VARINT).enumerate() {
        let bits = u64::from(byte & 0x7f);
        // Of the tenth byte, 64 bits have room for one.
        if i + 1 == LONGEST_VARINT && (bits > 1 || byte & 0x80 != 0) {
            return Err(FrameError::Malformed("the length of a frame is a varint of more than 10 bytes or 64 bits"));
        }
        value |= bits << (7 * i);
        if byte & 0x80 == 0 {
            return Ok(Some((value, i + 1)));
        }
    }
    Ok(None)
}
