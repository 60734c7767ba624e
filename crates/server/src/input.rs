//! The unread bytes of one byte stream.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use swapwire_core::ByteStream;
use tokio::io::{AsyncRead as _, ReadBuf};

use crate::pool;

/// Reads into a buffer of the worker and keeps only a partial frame between reads.
///
/// Bound: one partial frame, which the decoder bounds by the largest message; a large one is read straight into its own
/// buffer, which grows by doubling as bytes arrive, never on a peer's word.
#[derive(Default)]
pub(crate) struct Input {
    /// The partial frame is `rest[..have]`; the buffer may be longer.
    rest: Vec<u8>,
    have: usize,
}

/// A partial frame above this is read into its own buffer.
const LARGE: usize = pool::BUFFER / 2;
/// A connection without a partial frame keeps a buffer of at most this.
const KEEP: usize = 1024;

/// What is there to be cut into frames.
pub(crate) struct Turn {
    buf: Vec<u8>,
    from: usize,
    to: usize,
}

impl Turn {
    pub(crate) fn unread(&self) -> &[u8] {
        &self.buf[self.from..self.to]
    }

    pub(crate) fn consume(&mut self, len: usize) {
        self.from += len;
    }
}

impl Input {
    /// Whether a partial frame is open.
    pub(crate) fn is_partial(&self) -> bool {
        self.have > 0
    }

    /// Reads once. The turn holds the partial frame and the new bytes; without new bytes the stream is at its end.
    pub(crate) fn poll_turn(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut Box<dyn ByteStream>,
    ) -> Poll<io::Result<(Turn, usize)>> {
        let have = self.have;
        if have > LARGE {
            if self.rest.len() < have + LARGE {
                self.rest.resize(have * 2, 0);
            }
            let mut into = ReadBuf::new(&mut self.rest[have..]);
            ready!(Pin::new(io).poll_read(cx, &mut into))?;
            let new = into.filled().len();
            self.have = 0;
            return Poll::Ready(Ok((Turn { buf: std::mem::take(&mut self.rest), from: 0, to: have + new }, new)));
        }
        let mut buf = pool::take();
        let mut into = ReadBuf::new(&mut buf[have..]);
        match Pin::new(io).poll_read(cx, &mut into) {
            Poll::Ready(Ok(())) => {
                let new = into.filled().len();
                buf[..have].copy_from_slice(&self.rest[..have]);
                self.have = 0;
                Poll::Ready(Ok((Turn { buf, from: 0, to: have + new }, new)))
            }
            other => {
                pool::give(buf);
                other.map_ok(|()| unreachable!("the ready case is above"))
            }
        }
    }

    /// Keeps what the turn left unread.
    pub(crate) fn keep(&mut self, turn: Turn) {
        let Turn { mut buf, from, to } = turn;
        self.have = to - from;
        if self.have > LARGE {
            buf.copy_within(from..to, 0);
            self.rest = buf;
            return;
        }
        self.rest.clear();
        self.rest.extend_from_slice(&buf[from..to]);
        if self.have == 0 {
            self.rest.shrink_to(KEEP);
        }
        pool::give(buf);
    }
}
