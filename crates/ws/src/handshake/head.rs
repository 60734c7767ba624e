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
            let head = &bytes[..end.unwrap_or(bytes.len())];
            // The first that is wrong is told, wherever the pieces end.
            let stray = (seen..head.len()).find(|at| !may_stand(head, *at));
            let line =
                if is_begun { None } else { head[seen..].iter().position(|byte| *byte == b'\n').map(|at| seen + at) };
            is_begun |= line.is_some();
            let line = line.filter(|end| !may_begin(&head[..*end]));
            if let Some(at) = stray.into_iter().chain(line).min() {
                return Err(HeadError::Strange(shown(&head[..=at])));
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

/// Whether the byte at `at` is one of text, whose lines end in CR LF: others take a lone LF for an end or not.
fn may_stand(head: &[u8], at: usize) -> bool {
    match head[at] {
        b'\n' => at > 0 && head[at - 1] == b'\r',
        byte => matches!(byte, b'\r' | b'\t' | b' '..=b'~' | 0x80..),
    }
}

fn shown(bytes: &[u8]) -> String {
    Printable::bytes(&bytes[..bytes.len().min(SHOWN)]).to_string()
}
