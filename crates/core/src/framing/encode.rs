//! Framing messages in place.

use memchr::memmem;

use super::{Answer, FrameError, FrameWriter, Goodbye, Kind, Order, scan};

/// Frames one connection's outgoing messages, in place: [`begin`](Self::begin), append the message,
/// [`finish`](Self::finish).
#[derive(Debug)]
pub struct FrameEncoder {
    kind: Kind<Box<dyn FrameWriter>>,
    max: usize,
    /// Of frames of a protocol: messages end as lines.
    ends_lines: bool,
}

impl FrameEncoder {
    pub(super) fn new(kind: Kind<Box<dyn FrameWriter>>, max: usize) -> Self {
        Self { kind, max, ends_lines: false }
    }

    /// On a wire with boundaries: whether the messages that follow are lines that end in `\n`; see
    /// [`Framing::Lines`](super::Framing::Lines).
    pub(crate) fn end_lines(&mut self, ends: bool) {
        match &mut self.kind {
            Kind::Codec(_) => self.ends_lines = ends,
            kind => *kind = if ends { Kind::LineEnd } else { Kind::Chunks },
        }
    }

    /// The messages that follow answer one of this [tag](super::FrameDecoder::tag).
    pub fn follow(&mut self, tag: u8) {
        if let Kind::Codec(codec) = &mut self.kind {
            codec.follow(tag);
        }
    }

    /// Appends the answer to a [control frame](super::Decoded::Control) to `out`, if it needs one.
    pub fn answer(&mut self, tag: u8, payload: &[u8], out: &mut Vec<u8>) -> Answer {
        if let Kind::Codec(codec) = &mut self.kind { codec.answer(tag, payload, out) } else { Answer::GoesOn }
    }

    /// Appends the good-bye of a protocol that has one in its frames, unless it was said.
    pub fn goodbye(&mut self, why: Goodbye<'_>, out: &mut Vec<u8>) {
        if let Kind::Codec(codec) = &mut self.kind {
            codec.goodbye(why, out);
        }
    }

    /// How many messages since this was last asked left in another form than they should have ([`FrameWriter::take_changed`]).
    pub fn take_changed(&mut self) -> u64 {
        if let Kind::Codec(codec) = &mut self.kind { codec.take_changed() } else { 0 }
    }

    /// The largest message it frames.
    pub fn max(&self) -> usize {
        self.max
    }

    /// Starts a frame at the end of `out`; the message is appended behind what this adds.
    #[inline]
    pub fn begin(&self, out: &mut Vec<u8>) {
        match &self.kind {
            Kind::Length { width, .. } => out.extend_from_slice(&[0; 8][..*width]),
            Kind::Codec(codec) => codec.begin(out),
            _ => {}
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
        if let Kind::Codec(codec) = &mut self.kind {
            if self.ends_lines {
                out.push(b'\n');
            }
            return codec.finish(out, start).inspect_err(|_| out.truncate(start));
        }
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
            // Finished above.
            Kind::Fixed(_) | Kind::Codec(_) => {}
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
