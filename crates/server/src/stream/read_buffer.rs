//! The unread bytes of one byte stream.

use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use swapwire_core::ByteStream;
use tokio::io::{AsyncRead as _, ReadBuf};

use crate::memory::{BufferPool, READ, WorkerBuffers};

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
    /// There is something to be tidied up when a turn leaves nothing: a buffer that may be too large, or an adopted one.
    untidy: bool,
}

/// Which bytes of the worker's input are there to be cut into frames.
#[derive(Default)]
pub(crate) struct Unread {
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// How many of them are new. None: the stream is at its end.
    pub(crate) new: usize,
    /// The buffers are the connection's own.
    pub(crate) is_own: bool,
    /// What its input takes in memory, in KiB, where that is not the worker's. (It has room beside `is_own`.)
    memory: u32,
}

impl Unread {
    /// Gives the worker's buffers back and keeps copies of what is not done: the unread bytes, and `message`, which lies
    /// before them. Returns where the message is now.
    #[cold]
    pub(crate) fn detach(
        &mut self,
        buffers: &mut Box<WorkerBuffers>,
        message: Range<usize>,
        pool: &BufferPool,
    ) -> Range<usize> {
        if self.is_own {
            return message;
        }
        let start = if message.is_empty() { self.from } else { message.start };
        buffers.detach(start, self.to, pool);
        self.is_own = true;
        self.memory = kib(&buffers.input);
        self.from -= start;
        self.to -= start;
        if message.is_empty() { 0..0 } else { 0..message.end - start }
    }

    /// What the buffers take in memory that is not the worker's, with replies in `out`.
    pub(crate) fn memory(&self, out: &Vec<u8>) -> usize {
        let input = (self.memory as usize) << 10;
        input + if self.is_own { out.capacity() } else { out.len() }
    }
}

fn kib(buffer: &Vec<u8>) -> u32 {
    u32::try_from(buffer.capacity().div_ceil(1 << 10)).unwrap_or(u32::MAX)
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

    /// Reads once, behind the partial frame.
    #[inline(always)]
    pub(crate) fn poll_fill(
        &mut self,
        task: &mut Context<'_>,
        io: &mut Box<dyn ByteStream>,
        buffers: &mut WorkerBuffers,
        unread: &mut Unread,
    ) -> Poll<io::Result<()>> {
        if self.have > 0 {
            return self.poll_more(task, io, buffers, unread);
        }
        let mut into = ReadBuf::new(&mut buffers.input);
        let read = Pin::new(io).poll_read(task, &mut into);
        let new = into.filled().len();
        (unread.from, unread.to, unread.new, unread.is_own, unread.memory) = (0, new, new, false, 0);
        read
    }

    #[cold]
    fn poll_more(
        &mut self,
        task: &mut Context<'_>,
        io: &mut Box<dyn ByteStream>,
        buffers: &mut WorkerBuffers,
        unread: &mut Unread,
    ) -> Poll<io::Result<()>> {
        let have = self.have;
        let large = have > LARGE;
        if large {
            if self.rest.len() < have + LARGE {
                self.rest.resize(have * 2, 0);
            }
            buffers.adopt(std::mem::take(&mut self.rest));
        }
        let mut into = ReadBuf::new(&mut buffers.input[have..]);
        let read = Pin::new(io).poll_read(task, &mut into);
        let new = into.filled().len();
        if let Poll::Ready(Ok(())) = read {
            if !large {
                buffers.input[..have].copy_from_slice(&self.rest[..have]);
            }
            self.have = 0;
        } else if let Some(own) = buffers.release() {
            self.rest = own;
        }
        (unread.from, unread.to, unread.new, unread.is_own) = (0, have + new, new, false);
        unread.memory = if large { kib(&buffers.input) } else { 0 };
        read
    }

    /// Keeps what the turn left unread.
    #[inline(always)]
    pub(crate) fn keep(&mut self, unread: &Unread, buffers: &mut WorkerBuffers) {
        if unread.from < unread.to || self.untidy {
            self.keep_partial(unread.from..unread.to, buffers);
        }
    }

    #[cold]
    fn keep_partial(&mut self, unread: Range<usize>, buffers: &mut WorkerBuffers) {
        self.have = unread.len();
        self.untidy = self.have > 0;
        match buffers.release() {
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
