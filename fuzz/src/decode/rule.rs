//! The framings once more, as plainly as they can be written.

use std::ops::Range;

use swapwire_core::Framing;

/// A framing of bytes.
#[derive(Clone, Debug)]
pub(crate) enum Rule {
    Chunks,
    Lines,
    Length { width: usize, little_endian: bool },
    Varint,
    Delimited(Vec<u8>),
    Fixed(usize),
}

/// What is at the front of bytes.
#[derive(Debug)]
pub(crate) enum Next {
    Frame { message: Range<usize>, consumed: usize },
    Need,
    TooLarge,
    Truncated,
    Malformed,
}

impl Rule {
    /// A framing by lengths, as a byte says: the width in two bits, the order in one, then what no power of two is.
    pub(crate) fn length(how: u8) -> Self {
        let little_endian = how & 4 != 0;
        match how >> 3 & 3 {
            1 => Self::Length { width: 3, little_endian },
            2 => Self::Varint,
            _ => Self::Length { width: 1 << (how & 3), little_endian },
        }
    }

    pub(crate) fn framing(&self) -> Framing {
        match self {
            Self::Chunks => Framing::Chunks,
            Self::Lines => Framing::Lines,
            Self::Length { width, little_endian } => {
                Framing::LengthPrefixed { width: *width, little_endian: *little_endian }
            }
            Self::Varint => Framing::Varint,
            Self::Delimited(delimiter) => Framing::Delimited(delimiter.clone().into()),
            Self::Fixed(len) => Framing::Fixed(*len),
        }
    }

    /// What a frame has beside its message, in bytes, at the most.
    pub(crate) fn overhead(&self) -> usize {
        match self {
            Self::Chunks | Self::Fixed(_) => 0,
            Self::Lines => 2,
            Self::Length { width, .. } => *width,
            Self::Varint => 10,
            Self::Delimited(delimiter) => delimiter.len(),
        }
    }

    /// The first frame of `unread`, behind which there is nothing if `eof`.
    pub(crate) fn next(&self, unread: &[u8], max: usize, eof: bool) -> Next {
        if unread.is_empty() {
            return Next::Need;
        }
        match self {
            Self::Chunks => {
                let len = unread.len().min(max.max(1));
                Next::Frame { message: 0..len, consumed: len }
            }
            Self::Lines => match unread.iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    let len = self.received(&unread[..end]).len();
                    if len > max { Next::TooLarge } else { Next::Frame { message: 0..len, consumed: end + 1 } }
                }
                None if eof && unread.len() <= max => Next::Frame { message: 0..unread.len(), consumed: unread.len() },
                None if eof => Next::TooLarge,
                None => self.unfinished(unread, max, eof),
            },
            Self::Delimited(delimiter) => match find(delimiter, unread) {
                Some(end) if end > max => Next::TooLarge,
                Some(end) => Next::Frame { message: 0..end, consumed: end + delimiter.len() },
                None => self.unfinished(unread, max, eof),
            },
            Self::Length { width, little_endian } => {
                let Some(header) = unread.get(..*width) else { return self.unfinished(unread, usize::MAX, eof) };
                let add = |len: u128, byte: &u8| len << 8 | u128::from(*byte);
                let len = match little_endian {
                    true => header.iter().rev().fold(0, add),
                    false => header.iter().fold(0, add),
                };
                self.behind(unread, *width, len, max, eof)
            }
            Self::Varint => {
                let header = unread.iter().position(|byte| byte & 0x80 == 0).map_or(unread, |last| &unread[..=last]);
                let len = header[..header.len().min(10)]
                    .iter()
                    .rev()
                    .fold(0, |len: u128, byte| len << 7 | u128::from(byte & 0x7f));
                match header.last() {
                    _ if header.len() > 10 || len > u128::from(u64::MAX) => Next::Malformed,
                    Some(last) if last & 0x80 == 0 => self.behind(unread, header.len(), len, max, eof),
                    _ if header.len() == 10 => Next::Malformed,
                    _ => self.unfinished(unread, usize::MAX, eof),
                }
            }
            Self::Fixed(len) if *len > max => Next::TooLarge,
            Self::Fixed(len) if *len <= unread.len() => Next::Frame { message: 0..*len, consumed: *len },
            Self::Fixed(_) => self.unfinished(unread, usize::MAX, eof),
        }
    }

    /// A message of `len` bytes behind `header` bytes that say so.
    fn behind(&self, unread: &[u8], header: usize, len: u128, max: usize, eof: bool) -> Next {
        let end = len + header as u128;
        if len > max as u128 {
            Next::TooLarge
        } else if end > unread.len() as u128 {
            self.unfinished(unread, usize::MAX, eof)
        } else {
            Next::Frame { message: header..end as usize, consumed: end as usize }
        }
    }

    fn unfinished(&self, unread: &[u8], max: usize, eof: bool) -> Next {
        match () {
            () if unread.len() > max.saturating_add(self.overhead()) => Next::TooLarge,
            () if eof => Next::Truncated,
            () => Next::Need,
        }
    }

    /// Appends the frame of `message` to `out`; whether it can be framed.
    pub(crate) fn encode(&self, message: &[u8], max: usize, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        match self {
            Self::Length { width, little_endian } => {
                let place = |i: usize| if *little_endian { i } else { width - 1 - i };
                out.extend((0..*width).map(|i| (message.len() as u64 >> (8 * place(i))) as u8));
                out.extend_from_slice(message);
            }
            Self::Varint => {
                let mut len = message.len();
                while len > 0x7f {
                    out.push(0x80 | (len & 0x7f) as u8);
                    len >>= 7;
                }
                out.push(len as u8);
                out.extend_from_slice(message);
            }
            Self::Lines => [message, b"\n"].iter().for_each(|part| out.extend_from_slice(part)),
            Self::Delimited(delimiter) => [message, delimiter].iter().for_each(|part| out.extend_from_slice(part)),
            Self::Chunks | Self::Fixed(_) => out.extend_from_slice(message),
        }
        let fits = match self {
            Self::Chunks | Self::Varint => true,
            Self::Lines => !message.contains(&b'\n'),
            Self::Length { width, .. } => (message.len() as u128) < 1 << (8 * width),
            // Nor may the delimiter begin in it.
            Self::Delimited(delimiter) => find(delimiter, &out[start..]) == Some(message.len()),
            Self::Fixed(len) => message.len() == *len,
        };
        let fits = fits && message.len() <= max;
        if !fits {
            out.truncate(start);
        }
        fits
    }

    /// `message` as it arrives: a carriage return at its end becomes a part of the line's.
    pub(crate) fn received<'a>(&self, message: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Lines => message.strip_suffix(b"\r").unwrap_or(message),
            _ => message,
        }
    }
}

fn find(needle: &[u8], bytes: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}
