//! What a session's ends share: the wire, the bounded queue of outgoing messages, and what is known of their progress.

mod control;
mod queue;

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

use control::Both;
use queue::Out;

use crate::sync::{AtomicWaker, Mutex, MutexGuard, Notify};
use crate::{
    ByteStream, ConnInfo, FrameEncoder, Goodbye, Link, MessageStream, Progress, RecvError, SendError, SessionConfig,
    SessionFault,
};

pub(crate) enum Io {
    Bytes(Box<dyn ByteStream>),
    Messages(Box<dyn MessageStream>),
    Gone,
}

/// A message that is discarded counts as so many bytes at least.
const LEAST_DISCARDED: usize = 64;

struct Wire {
    io: Io,
    /// The task that waits for something to read. It is woken when the wire is closed here, which the wire would not do.
    reader: Option<Waker>,
}

pub(crate) struct Inner {
    wire: Mutex<Wire>,
    out: Mutex<Out>,
    /// Notified whenever the queue has capacity again, and when it closes.
    pub(crate) writable: Notify,
    /// The task that writes: woken when another one queues a message.
    driver: AtomicWaker,
    pub(crate) counters: Counters,
    pub(crate) info: ConnInfo,
    /// What may be replied to one message, in bytes, and the largest reply that can be framed.
    pub(crate) max_reply: usize,
    pub(super) most_framed: usize,
    /// Whether messages leave as lines that end, where the wire has boundaries: as the last one that was received.
    pub(crate) ends_lines: AtomicBool,
    /// The wire's messages are frames of a byte stream.
    pub(super) is_framed: bool,
    /// Of the last message that was received, where messages have [kinds](crate::FrameDecoder::tag): what is sent follows it.
    pub(super) tag: AtomicU8,
    /// The protocol of the wire has an answer in the queue.
    answers: AtomicBool,
    /// Of a session in halves whose reading one had to write.
    both: OnceLock<Arc<Both>>,
    /// A guard closes the wire; without one, dropping the session does.
    pub(crate) guarded: AtomicBool,
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) received: AtomicU64,
    pub(crate) messages: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) partial: AtomicBool,
    /// The peer has ended, as far as was received.
    pub(crate) ended: AtomicBool,
    /// How the session broke off: 0, or a [`SessionFault`] as a number.
    fault: AtomicU8,
    /// Messages above the limit.
    pub(crate) refused: AtomicU32,
    /// The size of the buffer that is received into.
    pub(crate) unread: AtomicUsize,
    /// What a wire with boundaries keeps of a message that is not whole.
    pub(super) in_wire: AtomicUsize,
    /// [`MessageStream::signs_of_life`], as it was last.
    signs: AtomicU64,
}

impl Counters {
    pub(crate) fn set_fault(&self, fault: SessionFault) {
        self.fault.store(fault as u8, Relaxed);
    }

    /// What a wire with boundaries has of a message.
    fn set_partial(&self, partial: Option<usize>) {
        if partial.is_some() || self.partial.load(Relaxed) {
            self.partial.store(partial.is_some(), Relaxed);
            self.in_wire.store(partial.unwrap_or(0), Relaxed);
        }
    }

    pub(crate) fn refused(&self) -> u32 {
        self.refused.load(Relaxed)
    }

    pub(crate) fn fault(&self) -> Option<SessionFault> {
        let fault = self.fault.load(Relaxed);
        [SessionFault::BadFrame, SessionFault::Broken].into_iter().find(|known| *known as u8 == fault)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    pub(crate) fn new(link: Link, config: &SessionConfig) -> Self {
        let most = config.max_message.max(config.max_reply);
        let is_framed = matches!(link, Link::Framed { .. });
        let (io, mut info, encoder, max_message) = match link {
            Link::Bytes { io, info } => (Io::Bytes(io), info, Some(config.framing.encoder(most)), config.max_message),
            Link::Framed { io, framing, info } => {
                (Io::Bytes(io), info, Some(framing.encoder(most)), config.max_message)
            }
            Link::Messages { io, info } => {
                let max = io.max_message().min(config.max_message);
                (Io::Messages(io), info, None, max)
            }
        };
        info.peer.begin_session();
        let most_framed = encoder.as_ref().map_or(max_message, FrameEncoder::max);
        let out = Out {
            bytes: Vec::new(),
            written: 0,
            lengths: VecDeque::new(),
            encoder,
            answer: Vec::new(),
            messages: 0,
            limit: config.out_queue.max(1),
            max_message,
            closed: false,
            failed: None,
        };
        Self {
            wire: Mutex::new(Wire { io, reader: None }),
            out: Mutex::new(out),
            writable: Notify::new(),
            driver: AtomicWaker::new(),
            counters: Counters::default(),
            info,
            max_reply: config.max_reply,
            most_framed,
            ends_lines: AtomicBool::new(false),
            is_framed,
            tag: AtomicU8::new(0),
            answers: AtomicBool::new(false),
            both: OnceLock::new(),
            guarded: AtomicBool::new(false),
        }
    }

    pub(crate) fn progress(&self) -> Progress {
        let (unsent, messages_sent, queue) = {
            let out = lock(&self.out);
            (out.queued(), out.messages, out.bytes.capacity() + out.lengths.capacity() * size_of::<usize>())
        };
        Progress {
            received: self.counters.received.load(Relaxed),
            messages: self.counters.messages.load(Relaxed),
            signs: self.counters.signs.load(Relaxed),
            messages_sent,
            sent: self.counters.sent.load(Relaxed),
            unsent,
            partial: self.counters.partial.load(Relaxed),
            memory: queue + self.counters.unread.load(Relaxed) + self.counters.in_wire.load(Relaxed),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.out).closed
    }

    pub(crate) fn trust_peer(&self) {
        if let Io::Messages(wire) = &mut lock(&self.wire).io {
            wire.trust_peer();
        }
    }

    /// No more messages are taken; those in the queue may still go out.
    pub(crate) fn close_queue(&self) {
        lock(&self.out).closed = true;
        self.writable.notify_waiters();
    }

    /// Closes the wire at once, and frees the queue: others may hold a sender for long.
    pub(crate) fn abort(&self) {
        self.close_queue();
        let mut out = lock(&self.out);
        if out.queued() > 0 {
            fail(&mut out, SendError::Closed);
        }
        drop(out);
        let gone = std::mem::replace(&mut *lock(&self.wire), Wire { io: Io::Gone, reader: None });
        drop(gone.io);
        self.driver.wake();
        gone.reader.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn take_bytes(&self) -> Option<Box<dyn ByteStream>> {
        if self.is_framed {
            return None;
        }
        let mut wire = lock(&self.wire);
        match std::mem::replace(&mut wire.io, Io::Gone) {
            Io::Bytes(stream) => Some(stream),
            other => {
                wire.io = other;
                None
            }
        }
    }

    /// Queues without regard to the bound; the caller has a permit.
    pub(crate) fn push(&self, message: &[u8]) -> Result<(), SendError> {
        let mut out = lock(&self.out);
        self.follow(&mut out);
        out.push(message, self.end())
    }

    /// Whether the queue takes more.
    pub(crate) fn has_room(&self) -> bool {
        let out = lock(&self.out);
        out.has_capacity() && !out.closed
    }

    /// Wakes the task that writes.
    pub(crate) fn wake_driver(&self) {
        self.driver.wake();
    }

    /// Queues a message that has its end; the caller has waited for room.
    pub(crate) fn push_ended(&self, message: &[u8]) -> Result<(), SendError> {
        lock(&self.out).push(message, b"")
    }

    /// What stands behind each message on the wire, beside the framing of a byte stream.
    fn end(&self) -> &'static [u8] {
        if self.ends_lines.load(Relaxed) { b"\n" } else { b"" }
    }

    /// Puts another encoder in the place of that of a byte stream, and back.
    pub(crate) fn exchange_encoder(&self, other: &mut FrameEncoder) {
        if let Some(encoder) = &mut lock(&self.out).encoder {
            std::mem::swap(encoder, other);
        }
    }

    /// Queues `count` messages that are framed already, of a byte stream, by `append`; `false` where the wire has boundaries.
    pub(crate) fn push_framed(&self, count: usize, append: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut out = lock(&self.out);
        if out.encoder.is_some() && !out.closed {
            append(&mut out.bytes);
            out.messages += count as u64;
        }
        out.encoder.is_some()
    }

    /// What may be replied to the last message, in bytes.
    pub(crate) fn reply_limit(&self) -> usize {
        let queued = lock(&self.out).queued_messages();
        let allowance = match &lock(&self.wire).io {
            Io::Messages(wire) => wire.allowance(),
            Io::Bytes(_) | Io::Gone => None,
        };
        allowance.map_or(self.max_reply, |allowance| self.max_reply.min(allowance.saturating_sub(queued)))
    }

    /// Replies were refused for want of an [allowance](MessageStream::allowance).
    pub(crate) fn note_withheld(&self, count: u64, len: usize) {
        if let Io::Messages(wire) = &mut lock(&self.wire).io {
            wire.note_withheld(count, len);
        }
    }

    /// Queues if there is room. `false`: there is none.
    pub(crate) fn try_push(&self, message: &[u8]) -> Result<bool, SendError> {
        let mut out = lock(&self.out);
        if !out.closed && !out.has_capacity() {
            return Ok(false);
        }
        self.follow(&mut out);
        out.push(message, self.end())?;
        drop(out);
        self.driver.wake();
        Ok(true)
    }

    /// Ready when the queue has room, writing until it has.
    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let written = self.poll_write(cx);
        let mut out = lock(&self.out);
        if let Some(error) = out.failed.take() {
            return Poll::Ready(Err(error));
        }
        if out.closed {
            return Poll::Ready(Err(SendError::Closed));
        }
        if out.has_capacity() { Poll::Ready(Ok(())) } else { written.map(|()| Ok(())) }
    }

    /// Writes the queue; ready when it is empty. Errors are kept for [`Inner::take_error`].
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.driver.register(cx.waker());
        let mut out = lock(&self.out);
        if out.queued() == 0 {
            self.answers.store(false, Relaxed);
            return Poll::Ready(());
        }
        let mut wire = lock(&self.wire);
        let io = &mut wire.io;
        let before = out.queued();
        let result = loop {
            if out.queued() == 0 {
                self.answers.store(false, Relaxed);
                break Poll::Ready(());
            }
            let step = match &mut *io {
                Io::Bytes(stream) => {
                    let wrote = ready_or_break!(Pin::new(stream).poll_write(cx, &out.bytes[out.written..]));
                    wrote.map_err(SendError::Io)
                }
                Io::Messages(wire) => {
                    match ready_or_break!(out.poll_messages(cx, &mut **wire, self.info.peer.addr())) {
                        Ok(len) => {
                            self.counters.sent.fetch_add(len as u64, Relaxed);
                            continue;
                        }
                        Err(error) => Err(error),
                    }
                }
                Io::Gone => Err(SendError::Closed),
            };
            match step {
                Ok(0) if matches!(*io, Io::Bytes(_)) => fail(&mut out, SendError::Io(io::ErrorKind::WriteZero.into())),
                Ok(len) => {
                    out.wrote(len);
                    self.counters.sent.fetch_add(len as u64, Relaxed);
                }
                Err(error) => {
                    if matches!(error, SendError::Io(_)) {
                        self.counters.set_fault(SessionFault::Broken);
                    }
                    fail(&mut out, error);
                }
            }
        };
        if out.queued() < before {
            self.writable.notify_waiters();
        }
        result
    }

    pub(crate) fn take_error(&self) -> Result<(), SendError> {
        lock(&self.out).failed.take().map_or(Ok(()), Err)
    }

    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        ready!(self.poll_write(cx));
        self.take_error()?;
        match &mut lock(&self.wire).io {
            Io::Bytes(stream) => Pin::new(stream).poll_flush(cx).map_err(SendError::Io),
            Io::Messages(wire) => wire.poll_flush(cx),
            Io::Gone => Poll::Ready(Err(SendError::Closed)),
        }
    }

    pub(crate) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.close_queue();
        self.goodbye(Goodbye::Done);
        ready!(self.poll_write(cx));
        self.take_error()?;
        match &mut lock(&self.wire).io {
            Io::Bytes(stream) => Pin::new(stream).poll_shutdown(cx).map_err(SendError::Io),
            Io::Messages(wire) => wire.poll_shutdown(cx),
            Io::Gone => Poll::Ready(Ok(())),
        }
    }

    /// Reads bytes into `into`; 0 is the end. A task that waits is woken when the wire is closed here.
    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<Result<Received, RecvError>> {
        let mut wire = lock(&self.wire);
        let received = match &mut wire.io {
            Io::Bytes(stream) => tokio_util::io::poll_read_buf(Pin::new(stream), cx, into)
                .map(|len| len.map(Received::Bytes).map_err(RecvError::from)),
            Io::Messages(wire) => wire.poll_recv(cx, into).map_ok(Received::Message),
            Io::Gone => return Poll::Ready(Ok(Received::Bytes(0))),
        };
        match &received {
            Poll::Ready(Ok(received)) => {
                let len = match received {
                    Received::Bytes(len) => *len,
                    Received::Message(len) => {
                        self.counters.set_partial(None);
                        len.unwrap_or(0)
                    }
                };
                self.counters.received.fetch_add(len as u64, Relaxed);
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                if let Io::Messages(io) = &wire.io {
                    self.counters.set_partial(io.partial());
                    self.counters.signs.store(io.signs_of_life(), Relaxed);
                }
                if !wire.reader.as_ref().is_some_and(|reader| reader.will_wake(cx.waker())) {
                    wire.reader = Some(cx.waker().clone());
                }
            }
        }
        received
    }

    /// Reads and forgets; ready with 0 at the end.
    pub(crate) fn poll_discard(&self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        match &mut lock(&self.wire).io {
            Io::Bytes(stream) => {
                let mut buf = ReadBuf::new(into);
                ready!(Pin::new(stream).poll_read(cx, &mut buf))?;
                Poll::Ready(Ok(buf.filled().len()))
            }
            Io::Messages(wire) => {
                let cost = match ready!(wire.poll_recv(cx, &mut BytesMut::new())) {
                    Ok(Some(len)) | Err(RecvError::TooLarge { len, .. }) => len.max(LEAST_DISCARDED),
                    Err(RecvError::PeerNoise(_)) => LEAST_DISCARDED,
                    Ok(None) | Err(_) => 0,
                };
                Poll::Ready(Ok(cost))
            }
            Io::Gone => Poll::Ready(Ok(0)),
        }
    }
}

pub(crate) enum Received {
    Bytes(usize),
    Message(Option<usize>),
}

fn fail(out: &mut Out, error: SendError) {
    out.clear();
    out.closed = true;
    out.failed = Some(error);
}

macro_rules! ready_or_break {
    ($poll:expr) => {
        match $poll {
            Poll::Ready(value) => value,
            Poll::Pending => break Poll::Pending,
        }
    };
}
use ready_or_break;

#[cfg(all(test, swapwire_loom))]
mod models;
