//! Heads of requests and answers: lines up to an empty one.

use std::io;

use swapwire_core::{ByteStream, Bytes, Printable};
use tokio::io::AsyncReadExt as _;

/// The longest head, in bytes.
pub(crate) const LONGEST: usize = 8 << 10;
/// The most headers.
pub(super) const MOST_HEADERS: usize = 64;
/// The room for the first read: for the most part it has all.
const FIRST: usize = 1 << 10;
const END: &[u8] = b"\r\n\r\n";
/// How much of what is no head is shown, in bytes.
const SHOWN: usize = 32;

pub(super) enum HeadError {
    /// The peer ended, or broke the connection, before it wrote anything.
    WithoutAWord,
    Ended,
    TooLong,
    /// It is none; what it began with.
    Strange(String),
    Io(io::Error),
}

pub(super) struct Head {
    bytes: Vec<u8>,
    end: usize,
}

impl Head {
    /// Reads a head, which `may_begin` like this by its first line, in whatever pieces it comes, and looks at each byte a bounded
    /// number of times.
    pub(super) async fn read(io: &mut Box<dyn ByteStream>, may_begin: fn(&[u8]) -> bool) -> Result<Self, HeadError> {
        let mut bytes = Vec::with_capacity(FIRST);
        let mut is_begun = false;
        loop {
            let seen = bytes.len();
            if seen == LONGEST {
                return Err(HeadError::TooLong);
            }
            if seen == bytes.capacity() {
                bytes.reserve_exact(seen.min(LONGEST - seen));
            }
            // Not more than there is room for: a head is bounded before it is read.
            let room = (LONGEST.min(bytes.capacity()) - seen) as u64;
            match (&mut *io).take(room).read_buf(&mut bytes).await {
                Ok(0) if seen == 0 => return Err(HeadError::WithoutAWord),
                Err(error) if seen == 0 && error.kind() == io::ErrorKind::ConnectionReset => {
                    return Err(HeadError::WithoutAWord);
                }
                Ok(0) => return Err(HeadError::Ended),
                Ok(_) => {}
                Err(error) => return Err(HeadError::Io(error)),
            }
            let from = seen.saturating_sub(END.len() - 1);
            let end = bytes[from..].windows(END.len()).position(|bytes| bytes == END).map(|at| from + at + END.len());
            let strange = |bytes: &[u8]| HeadError::Strange(shown(bytes));
            if !bytes[seen..end.unwrap_or(bytes.len())].iter().all(|byte| is_of_text(*byte)) {
                return Err(strange(&bytes));
            }
            if !is_begun && let Some(line) = bytes[seen..].iter().position(|byte| *byte == b'\n') {
                if !may_begin(&bytes[..seen + line]) {
                    return Err(strange(&bytes));
                }
                is_begun = true;
            }
            if let Some(end) = end {
                return Ok(Self { bytes, end });
            }
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.end]
    }

    /// What was read behind it.
    pub(super) fn rest(self) -> Bytes {
        if self.end == self.bytes.len() { Bytes::new() } else { Bytes::from(self.bytes).slice(self.end..) }
    }

    pub(super) fn shown(&self) -> String {
        shown(&self.bytes)
    }
}

fn is_of_text(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n' | b'\t' | b' '..=b'~' | 0x80..)
}

fn shown(bytes: &[u8]) -> String {
    Printable::bytes(&bytes[..bytes.len().min(SHOWN)]).to_string()
}
