//! A session's receiving half.

use std::future::Future as _;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::sync::Semaphore;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::calls::{MessageFilter, Verdict};
use super::outbox::{Inner, Received};
use crate::framing::without_line_end;
use crate::{
    Answer, Decoded, DrainToken, FrameDecoder, FrameEncoder, FrameError, Framing, Goodbye, Link, RecvError,
    SessionConfig, SessionFault,
};

/// The receiving half's own state.
pub(crate) struct ReadState {
    buf: BytesMut,
    /// `None` where the wire has boundaries of its own.
    decoder: Option<FrameDecoder>,
    /// Of what is sent.
    framing: Framing,
    /// Messages lose the ends of lines: the wire has boundaries.
    lines: bool,
    max_message: usize,
    /// What looks at each message first.
    pub(super) filters: Vec<Box<dyn MessageFilter>>,
    ended: bool,
    /// What may still be received after the drain began from a peer that never pauses, in bytes.
    drain_budget: usize,
    draining: Option<(DrainToken, Pin<Box<WaitForCancellationFutureOwned>>)>,
}

/// The capacity that a read of a byte stream has at least.
const READ_CAPACITY: usize = 8 * 1024;
/// Capacity for some small messages, where the wire has boundaries and sees to more itself: there may be many sessions that
/// wait for one.
const MESSAGE_CAPACITY: usize = 2 * 1024;

/// See [`ReadState::drain_budget`].
const DRAIN_BUDGET: usize = 1 << 20;

impl ReadState {
    pub(super) fn new(link: &Link, config: &SessionConfig) -> Self {
        let (framing, boundaries) = match link {
            Link::Bytes { .. } => (config.framing.clone(), false),
            Link::Messages { .. } => (Framing::Chunks, true),
            Link::Framed { framing, .. } => (framing.clone(), true),
        };
        let is_cut = !matches!(link, Link::Messages { .. });
        Self {
            buf: BytesMut::new(),
            decoder: is_cut.then(|| framing.decoder(config.max_message)),
            framing,
            lines: boundaries && matches!(config.framing, Framing::Lines),
            max_message: config.max_message,
            filters: Vec::new(),
            ended: false,
            drain_budget: DRAIN_BUDGET,
            draining: config.draining.clone().map(|token| (token.clone(), Box::pin(token.wait()))),
        }
    }

    pub(super) fn draining(&self) -> Option<DrainToken> {
        self.draining.as_ref().map(|(token, _)| token.clone())
    }

    /// What was received and not yet given out.
    pub(super) fn take_ahead(&mut self) -> BytesMut {
        std::mem::take(&mut self.buf)
    }

    pub(crate) fn poll_recv(&mut self, inner: &Inner, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, RecvError>> {
        loop {
            match self.poll_message(inner, cx) {
                Poll::Ready(Ok(Some(message))) if !self.admits(&message, inner) => {}
                other => return other,
            }
        }
    }

    /// Whether the filters let a message be given out.
    #[inline]
    fn admits(&mut self, message: &[u8], inner: &Inner) -> bool {
        self.filters.is_empty() || self.ask_filters(message, inner)
    }

    #[cold]
    fn ask_filters(&mut self, message: &[u8], inner: &Inner) -> bool {
        for filter in &mut self.filters {
            match filter.look_at(message, inner) {
                Verdict::GivenOut => {}
                Verdict::Dropped => return false,
                Verdict::Ends => {
                    self.end();
                    return false;
                }
            }
        }
        true
    }

    fn poll_message(&mut self, inner: &Inner, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, RecvError>> {
        loop {
            if let Some(message) = self.decoded(inner)? {
                return Poll::Ready(Ok(Some(message)));
            }
            if self.ended {
                return Poll::Ready(Ok(None));
            }
            if self.drain_budget == 0 {
                self.end();
                return Poll::Ready(Ok(None));
            }
            let (capacity, least) = if self.decoder.is_some() {
                (READ_CAPACITY, READ_CAPACITY / 2)
            } else {
                (MESSAGE_CAPACITY, MESSAGE_CAPACITY / 8)
            };
            if self.buf.capacity() - self.buf.len() < least {
                self.buf.reserve(capacity);
                inner.counters.unread.store(self.buf.capacity(), Relaxed);
            }
            let mut received = inner.poll_read(cx, &mut self.buf);
            if received.is_pending() && self.buf.is_empty() && self.has_drained(cx) {
                match look_again(inner, cx, &mut self.buf) {
                    Some(again) => received = again,
                    None => return Poll::Ready(Ok(None)),
                }
            }
            self.count_after_drain(&received);
            match received {
                Poll::Ready(Ok(Received::Bytes(0))) => self.peer_ended(inner),
                Poll::Ready(Ok(Received::Bytes(_))) => {}
                Poll::Ready(Ok(Received::Message(None))) => {
                    self.peer_ended(inner);
                    return Poll::Ready(Ok(None));
                }
                Poll::Ready(Ok(Received::Message(Some(len)))) if len > self.max_message => {
                    self.buf.clear();
                    inner.counters.refused.fetch_add(1, Relaxed);
                    return Poll::Ready(Err(RecvError::TooLarge { len, max: self.max_message }));
                }
                Poll::Ready(Ok(Received::Message(Some(len)))) => {
                    inner.counters.messages.fetch_add(1, Relaxed);
                    let message = self.buf.split_to(len).freeze();
                    return Poll::Ready(Ok(Some(self.without_line_end(message, inner))));
                }
                Poll::Ready(Err(error)) => {
                    match &error {
                        RecvError::TooLarge { .. } => drop(inner.counters.refused.fetch_add(1, Relaxed)),
                        RecvError::PeerNoise(_) => {}
                        RecvError::Io(_) => self.break_off(inner, SessionFault::Broken),
                        RecvError::Frame(_) => self.break_off(inner, SessionFault::BadFrame),
                    }
                    return Poll::Ready(Err(error));
                }
                Poll::Pending => {
                    // Within a frame the drain is no end, but the task must be woken by it.
                    if !self.buf.is_empty() {
                        let _ = self.has_drained(cx);
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    /// A message that was received already.
    pub(super) fn received(&mut self, inner: &Inner) -> Result<Option<Bytes>, RecvError> {
        while let Some(message) = self.decoded(inner)? {
            if self.admits(&message, inner) {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    /// The same, whatever the filters say.
    fn decoded(&mut self, inner: &Inner) -> Result<Option<Bytes>, RecvError> {
        let message = self.buffered(inner)?;
        if message.is_some() {
            inner.counters.messages.fetch_add(1, Relaxed);
        }
        Ok(message)
    }

    pub(super) fn new_encoder(&self, inner: &Inner) -> FrameEncoder {
        self.framing.encoder(inner.most_framed)
    }

    #[inline]
    fn without_line_end(&self, message: Bytes, inner: &Inner) -> Bytes {
        if !self.lines {
            return message;
        }
        let line = without_line_end(&message).len();
        inner.ends_lines.store(line < message.len(), Relaxed);
        message.slice(..line)
    }

    /// Whether the drain has begun; if not, the task is woken when it does.
    fn has_drained(&mut self, cx: &mut Context<'_>) -> bool {
        self.draining.as_mut().is_some_and(|(_, drain)| drain.as_mut().poll(cx).is_ready())
    }

    fn count_after_drain(&mut self, received: &Poll<Result<Received, RecvError>>) {
        let len = match received {
            Poll::Ready(Ok(Received::Bytes(len) | Received::Message(Some(len)))) => *len,
            _ => return,
        };
        if self.draining.as_ref().is_some_and(|(token, _)| token.has_begun()) {
            self.drain_budget = self.drain_budget.saturating_sub(len.max(64));
        }
    }

    /// A whole message that was received already. What the protocol of the wire says in between is answered.
    fn buffered(&mut self, inner: &Inner) -> Result<Option<Bytes>, RecvError> {
        loop {
            let Some(decoder) = &mut self.decoder else { return Ok(None) };
            let message = match decoder.decode(&mut self.buf, self.ended) {
                Ok(Decoded::Frame { message, consumed }) => {
                    let mut frame = self.buf.split_to(consumed);
                    frame.truncate(message.end);
                    frame.advance(message.start);
                    frame.freeze()
                }
                Ok(Decoded::Owned { message, consumed }) => {
                    self.buf.advance(consumed);
                    message
                }
                Ok(Decoded::Control { payload, consumed }) => {
                    let answer = inner.answer(decoder.tag(), &self.buf[payload]);
                    self.buf.advance(consumed);
                    match answer {
                        Answer::GoesOn => continue,
                        Answer::Ends => {
                            self.peer_ended(inner);
                            self.end();
                        }
                        Answer::Breaks(error) => return Err(self.bad(error, inner)),
                    }
                    return Ok(None);
                }
                Ok(Decoded::Need { consumed, partial }) => {
                    self.buf.advance(consumed);
                    inner.counters.partial.store(partial || !self.buf.is_empty(), Relaxed);
                    if partial || inner.is_framed {
                        inner.counters.in_wire.store(decoder.memory(), Relaxed);
                    }
                    return Ok(None);
                }
                Err(error) => return Err(self.bad(error, inner)),
            };
            inner.counters.partial.store(false, Relaxed);
            if inner.is_framed {
                inner.tag.store(decoder.tag(), Relaxed);
                return Ok(Some(self.without_line_end(message, inner)));
            }
            return Ok(Some(message));
        }
    }

    /// The connection cannot go on.
    #[cold]
    fn bad(&mut self, error: FrameError, inner: &Inner) -> RecvError {
        if let FrameError::Ended(_) = error {
            self.break_off(inner, SessionFault::Broken);
            return RecvError::Io(io::Error::new(io::ErrorKind::UnexpectedEof, error));
        }
        inner.goodbye(Goodbye::Bad(&error));
        self.break_off(inner, SessionFault::BadFrame);
        error.into()
    }

    #[cold]
    fn break_off(&mut self, inner: &Inner, fault: SessionFault) {
        inner.counters.set_fault(fault);
        self.end();
    }

    fn peer_ended(&mut self, inner: &Inner) {
        inner.counters.ended.store(true, Relaxed);
        self.ended = true;
    }

    fn end(&mut self) {
        self.buf = BytesMut::new();
        self.decoder = None;
        self.ended = true;
    }
}

/// Reads once more at a drain; `None` if nothing is waiting. A wire may be not ready only because it yields: for want of
/// tokio's budget, or by a count of its own, and then it wakes the task at once.
#[cold]
fn look_again(inner: &Inner, cx: &mut Context<'_>, buf: &mut BytesMut) -> Option<Poll<Result<Received, RecvError>>> {
    if budget_is_spent(cx) {
        return Some(Poll::Pending);
    }
    let noticed = Arc::new(Noticed { task: cx.waker().clone(), woken: AtomicBool::new(false) });
    let waker = Waker::from(Arc::clone(&noticed));
    let received = inner.poll_read(&mut Context::from_waker(&waker), buf);
    (received.is_ready() || noticed.woken.load(Relaxed)).then_some(received)
}

/// Whether this task has used up its budget of tokio for this poll; then tokio has woken it for the next one. (The call that
/// tells it directly is part of the runtime, which this crate does not need. A semaphore consumes budget as well.)
fn budget_is_spent(cx: &mut Context<'_>) -> bool {
    let semaphore = Semaphore::new(1);
    let acquire = pin!(semaphore.acquire());
    acquire.poll(cx).is_pending()
}

/// Wakes a task, and keeps that it did.
struct Noticed {
    task: Waker,
    woken: AtomicBool,
}

impl Wake for Noticed {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Relaxed);
        self.task.wake_by_ref();
    }
}
