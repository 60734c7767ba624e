//! The unread bytes of one byte stream.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use swapwire_core::ByteStream;
use tokio::io::{AsyncRead as _, ReadBuf};

use super::reading::Reading;
use crate::memory::{BufferPool, READ};

/// A partial frame above this is read into its own buffer.
const LARGE: usize = READ / 2;
/// A connection without a partial frame keeps a buffer of at most this.
const SMALL: usize = 1024;

/// Reads into the buffer of the worker and keeps only a partial frame between reads.
///
/// Bound: one partial frame, which the decoder bounds by the largest message; a large one is read straight into its own
/// buffer, which grows by doubling as bytes arrive, never on a peer's word.
#[derive(Default)]
pub(crate) struct ReadBuffer {
    /// The partial frame is `rest[..have]`; the buffer may be longer.
    rest: Vec<u8>,
    have: usize,
    /// There is something to be tidied up when a read leaves nothing: a buffer that may be too large, or an adopted one.
    untidy: bool,
}

impl ReadBuffer {
    /// Whether a partial frame is open.
    #[inline(always)]
    pub(crate) fn is_partial(&self) -> bool {
        self.have > 0
    }

    /// What it takes in memory, with the growth that the next read begins with.
    pub(crate) fn memory(&self) -> usize {
        let capacity = self.rest.capacity();
        match self.have > LARGE && self.rest.len() < self.have + LARGE && capacity < self.have * 2 {
            true => capacity.max(self.have) * 2,
            false => capacity,
        }
    }

    /// Reads once, behind the partial frame, into the worker's buffers, which it takes if none are held.
    #[inline(always)]
    pub(crate) fn poll_fill(
        &mut self,
        task: &mut Context<'_>,
        io: &mut Box<dyn ByteStream>,
        reading: &mut Reading,
        pool: &BufferPool,
    ) -> Poll<io::Result<()>> {
        if self.have > 0 {
            return self.poll_more(task, io, reading, pool);
        }
        let mut into = ReadBuf::new(&mut reading.take(pool).input);
        let read = Pin::new(io).poll_read(task, &mut into);
        let new = into.filled().len();
        (reading.from, reading.to, reading.new) = (0, new, new);
        read
    }

    #[cold]
    fn poll_more(
        &mut self,
        task: &mut Context<'_>,
        io: &mut Box<dyn ByteStream>,
        reading: &mut Reading,
        pool: &BufferPool,
    ) -> Poll<io::Result<()>> {
        let have = self.have;
        let large = have > LARGE;
        if large && self.rest.len() < have + LARGE {
            self.rest.resize(have * 2, 0);
        }
        let adopted = large.then(|| std::mem::take(&mut self.rest));
        let buffers = match adopted {
            Some(own) => reading.adopt(own, pool),
            None => reading.take(pool),
        };
        let mut into = ReadBuf::new(&mut buffers.input[have..]);
        let read = Pin::new(io).poll_read(task, &mut into);
        let new = into.filled().len();
        if let Poll::Ready(Ok(())) = read {
            if !large {
                buffers.input[..have].copy_from_slice(&self.rest[..have]);
            }
            self.have = 0;
        } else if let Some(own) = reading.release() {
            self.rest = own;
        }
        (reading.from, reading.to, reading.new) = (0, have + new, new);
        read
    }

    /// Keeps what was not cut into frames.
    #[inline(always)]
    pub(crate) fn keep(&mut self, reading: &mut Reading) {
        if reading.from < reading.to || self.untidy {
            self.keep_partial(reading);
        }
    }

    #[cold]
    fn keep_partial(&mut self, reading: &mut Reading) {
        let unread = reading.from..reading.to;
        self.have = unread.len();
        self.untidy = self.have > 0;
        let own = reading.release();
        let Some(buffers) = &reading.buffers else { return };
        match own {
            Some(mut own) if self.have > LARGE => {
                own.copy_within(unread, 0);
                self.rest = own;
            }
            own => {
                self.rest.clear();
                self.rest.extend_from_slice(&own.as_deref().unwrap_or(&buffers.input)[unread]);
                if self.have == 0 {
                    self.rest.shrink_to(SMALL);
                }
            }
        }
    }
}
