//! Framing messages in place.

use bytes::Bytes;
use memchr::memmem;

use super::{FrameError, Kind, Order, scan};

/// Frames one connection's outgoing messages, in place: [`begin`](Self::begin), append the message,
/// [`finish`](Self::finish).
#[derive(Debug)]
pub struct FrameEncoder {
    kind: Kind,
    max: usize,
}

impl FrameEncoder {
    pub(super) fn new(kind: Kind, max: usize) -> Self {
        Self { kind, max }
    }

    /// On a wire with boundaries: whether the messages that follow are lines that end in `\n`; see
    /// [`Framing::Lines`](super::Framing::Lines).
    pub(crate) fn follow(&mut self, ends: bool) {
        self.kind = if ends { Kind::LineEnd } else { Kind::Chunks };
    }

    /// The largest message it frames.
    pub fn max(&self) -> usize {
        self.max
    }

    /// Starts a frame at the end of `out`; the message is appended behind what this adds.
    #[inline]
    pub fn begin(&self, out: &mut Vec<u8>) {
        if let Kind::Length { width, .. } = self.kind {
            out.extend_from_slice(&[0; 8][..width]);
        }
    }

    /// Ends the frame that was begun when `out` was `start` bytes long.
    ///
    /// # Errors
    /// The message is too large or cannot be framed; `out` is cut back to `start`.
    #[inline]
    pub fn finish(&mut self, out: &mut Vec<u8>, start: usize) -> Result<(), FrameError> {
        if matches!(self.kind, Kind::Chunks) && out.len() - start <= self.max {
            return Ok(());
        }
        self.finish_line(out, start)
    }

    /// Not in line: a stream without a framing has no use for it.
    #[inline(never)]
    fn finish_line(&mut self, out: &mut Vec<u8>, start: usize) -> Result<(), FrameError> {
        if matches!(self.kind, Kind::Lines) && out.len() - start <= self.max && !scan::contains(b'\n', &out[start..]) {
            out.push(b'\n');
            return Ok(());
        }
        self.finish_frame(out, start)
    }

    #[inline(never)]
    fn finish_frame(&mut self, out: &mut Vec<u8>, start: usize) -> Result<(), FrameError> {
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
            Kind::LineEnd if len == self.max => {
                return Err(FrameError::TooLarge { len: len as u64 + 1, max: self.max });
            }
            Kind::LineEnd => out.push(b'\n'),
            Kind::Lines => {
                if scan::contains(b'\n', &out[message..]) {
                    return Err(FrameError::Unframeable("a message that contains a line feed is not one line"));
                }
                out.push(b'\n');
            }
            Kind::Length { order: Order::Varint, .. } => write_varint(out, start, len as u64),
            Kind::Length { width, order } => {
                let wide = len as u64;
                if *width < 8 && wide >> (8 * *width) != 0 {
                    return Err(FrameError::Unframeable("the message is longer than the length field can hold"));
                }
                let header = &mut out[start..message];
                if *order == Order::Little {
                    header.copy_from_slice(&wide.to_le_bytes()[..*width]);
                } else {
                    header.copy_from_slice(&wide.to_be_bytes()[8 - *width..]);
                }
            }
            Kind::Delimited(delimiter) => {
                // Searched for with its end: behind `a\r\n`, `\r\n\r\n` is found two bytes too early.
                out.extend_from_slice(delimiter);
                if memmem::find(&out[message..], delimiter) != Some(len) {
                    return Err(FrameError::Unframeable("the message contains the delimiter, or ends as it begins"));
                }
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

/// Writes `len` to `out[start]`, for which one byte was left, and moves what is behind it if it needs more.
fn write_varint(out: &mut Vec<u8>, start: usize, mut len: u64) {
    let more = (u64::BITS - (len | 1).leading_zeros()).div_ceil(7) as usize - 1;
    let end = out.len();
    out.resize(end + more, 0);
    out.copy_within(start + 1..end, start + 1 + more);
    for byte in &mut out[start..start + more] {
        *byte = len as u8 | 0x80;
        len >>= 7;
    }
    out[start + more] = len as u8;
}
