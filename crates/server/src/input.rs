//! The unread bytes of one byte stream.

use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use swapwire_core::ByteStream;
use tokio::io::{AsyncRead as _, ReadBuf};

use crate::ServeContext;
use crate::scratch::{READ, Scratch};

/// A partial frame above this is read into its own buffer.
const LARGE: usize = READ / 2;
/// A connection without a partial frame keeps a buffer of at most this.
const SMALL: usize = 1024;

/// Reads into the buffer of the worker and keeps only a partial frame between reads.
///
/// Bound: one partial frame, which the decoder bounds by the largest message; a large one is read straight into its own
/// buffer, which grows by doubling as bytes arrive, never on a peer's word.
#[derive(Default)]
pub(crate) struct Input {
    /// The partial frame is `rest[..have]`; the buffer may be longer.
    rest: Vec<u8>,
    have: usize,
    /// There is something to be tidied up when a turn leaves nothing: a buffer that may be too large, or an adopted one.
    untidy: bool,
}

/// Which bytes of a scratch's input are there to be cut into frames.
#[derive(Default)]
pub(crate) struct Turn {
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// How many of them are new. None: the stream is at its end.
    pub(crate) new: usize,
    /// The scratch holds nothing of the worker's.
    pub(crate) is_own: bool,
    /// What its input takes in memory, in KiB, where that is not the worker's. (It has room beside `is_own`.)
    memory: u32,
}

impl Turn {
    /// Gives the worker's buffers back and keeps copies of what is not done: the unread bytes, and `message`, which lies
    /// before them. Returns where the message is now.
    #[cold]
    pub(crate) fn detach(
        &mut self,
        scratch: &mut Box<Scratch>,
        message: Range<usize>,
        cx: &ServeContext,
    ) -> Range<usize> {
        if self.is_own {
            return message;
        }
        let start = if message.is_empty() { self.from } else { message.start };
        scratch.detach(start, self.to, cx);
        self.is_own = true;
        self.memory = kib(&scratch.input);
        self.from -= start;
        self.to -= start;
        if message.is_empty() { 0..0 } else { 0..message.end - start }
    }

    /// What the scratch takes in memory that is not the worker's, with replies in `out`.
    pub(crate) fn memory(&self, out: &Vec<u8>) -> usize {
        let input = (self.memory as usize) << 10;
        input + if self.is_own { out.capacity() } else { out.len() }
    }
}

fn kib(buffer: &Vec<u8>) -> u32 {
    u32::try_from(buffer.capacity().div_ceil(1 << 10)).unwrap_or(u32::MAX)
}

impl Input {
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
    pub(crate) fn poll_turn(
        &mut self,
        task: &mut Context<'_>,
        io: &mut Box<dyn ByteStream>,
        scratch: &mut Scratch,
        turn: &mut Turn,
    ) -> Poll<io::Result<()>> {
        if self.have > 0 {
            return self.poll_more(task, io, scratch, turn);
        }
        let mut into = ReadBuf::new(&mut scratch.input);
        let read = Pin::new(io).poll_read(task, &mut into);
        let new = into.filled().len();
        (turn.from, turn.to, turn.new, turn.is_own, turn.memory) = (0, new, new, false, 0);
        read
    }

    #[cold]
    fn poll_more(
        &mut self,
        task: &mut Context<'_>,
        io: &mut Box<dyn ByteStream>,
        scratch: &mut Scratch,
        turn: &mut Turn,
    ) -> Poll<io::Result<()>> {
        let have = self.have;
        let large = have > LARGE;
        if large {
            if self.rest.len() < have + LARGE {
                self.rest.resize(have * 2, 0);
            }
            scratch.adopt(std::mem::take(&mut self.rest));
        }
        let mut into = ReadBuf::new(&mut scratch.input[have..]);
        let read = Pin::new(io).poll_read(task, &mut into);
        let new = into.filled().len();
        if let Poll::Ready(Ok(())) = read {
            if !large {
                scratch.input[..have].copy_from_slice(&self.rest[..have]);
            }
            self.have = 0;
        } else if let Some(own) = scratch.release() {
            self.rest = own;
        }
        (turn.from, turn.to, turn.new, turn.is_own) = (0, have + new, new, false);
        turn.memory = if large { kib(&scratch.input) } else { 0 };
        read
    }

    /// Keeps what the turn left unread.
    #[inline(always)]
    pub(crate) fn keep(&mut self, turn: &Turn, scratch: &mut Scratch) {
        if turn.from < turn.to || self.untidy {
            self.keep_partial(turn.from..turn.to, scratch);
        }
    }

    #[cold]
    fn keep_partial(&mut self, unread: Range<usize>, scratch: &mut Scratch) {
        self.have = unread.len();
        self.untidy = self.have > 0;
        match scratch.release() {
            Some(mut own) if self.have > LARGE => {
                own.copy_within(unread, 0);
                self.rest = own;
            }
            own => {
                self.rest.clear();
                self.rest.extend_from_slice(&own.as_deref().unwrap_or(&scratch.input)[unread]);
                if self.have == 0 {
                    self.rest.shrink_to(SMALL);
                }
            }
        }
    }
}
