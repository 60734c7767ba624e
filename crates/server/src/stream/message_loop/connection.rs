//! One message stream with a message handler: waiting for messages, for room, for a deadline, for the drain.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use swapwire_core::{Addr, MessageStream, RecvError, SendBatch, SendError};

use super::super::deadlines::Deadlines;
use crate::drain::{LINGER, LINGER_BYTES, linger_time};
use crate::memory::{HeldMemory, Inbox, MessageBuffers, Space};
use crate::metrics::Incident;
use crate::session_record::SessionRecord;
use crate::time::within;
use crate::{ServeContext, SessionEnd};

/// After so many errors in a row, other tasks run.
const ROW: u32 = 64;
/// So many messages above the limit end a session: each costs the peer less than it costs here.
const MOST_OFFENCES: u32 = 100;
/// A message that is discarded costs as many bytes at least.
const LEAST: usize = 64;
/// After so many turns without a wait, a task lets others run.
const YIELD_BUDGET: u16 = 128;

/// Buffers of the worker, while there is something to do.
pub(crate) type Held = Option<Box<MessageBuffers>>;

pub(crate) struct Connection<'a> {
    io: Box<dyn MessageStream>,
    pub(crate) max_message: usize,
    /// What is behind the messages that were received: the end, which is [`SessionEnd::Done`], or a break.
    behind: Option<SessionEnd>,
    /// Messages that are not handled, while no buffers are held.
    rest: Option<Box<Inbox>>,
    /// Replies that the peer has not taken, while no buffers are held.
    unsent: Option<Box<SendBatch>>,
    /// How many of the replies that leave together are gone.
    sent: usize,
    /// Something was sent since the last flush.
    unflushed: bool,
    pub(crate) deadlines: Deadlines<'a>,
    offences: u32,
    /// [`MessageStream::signs_of_life`], as it was last.
    signs: u64,
    /// Turns that it may still take before it lets others run.
    budget: u16,
    /// The wire has said in this poll of the task that nothing else waits.
    pub(crate) has_asked: bool,
    has_ended: bool,
    served: bool,
    /// It has served a message since it waited last.
    served_since: bool,
    /// A reply could not be sent, although the wire goes on.
    lost: bool,
    memory: HeldMemory,
    pub(crate) peer: &'a Addr,
    pub(crate) record: Option<Box<SessionRecord<'a>>>,
    cx: &'a ServeContext,
}

impl<'a> Connection<'a> {
    pub(crate) fn new(io: Box<dyn MessageStream>, peer: &'a Addr, cx: &'a ServeContext) -> Self {
        Self {
            max_message: io.max_message().min(cx.limits.max_message),
            io,
            behind: None,
            rest: None,
            unsent: None,
            sent: 0,
            unflushed: false,
            deadlines: Deadlines::new(&cx.timers),
            offences: 0,
            signs: 0,
            budget: YIELD_BUDGET,
            has_asked: false,
            has_ended: false,
            served: false,
            served_since: false,
            lost: false,
            memory: HeldMemory::default(),
            peer,
            record: None,
            cx,
        }
    }

    /// Counts messages that were received, and their bytes.
    #[inline(always)]
    pub(crate) fn count(&mut self, messages: u64, bytes: u64) {
        self.cx.stats.received(messages, bytes);
        if let Some(record) = &mut self.record {
            record.add(messages, bytes);
        }
    }

    /// It ends so, for the event that tells of it.
    pub(crate) fn note_end(&mut self, end: SessionEnd) {
        if let Some(record) = &mut self.record {
            record.ended(end, self.has_ended);
        }
    }

    /// Receives messages into the buffers, which are held when it is ready, and not while it waits.
    pub(crate) fn poll_recv(&mut self, task: &mut Context<'_>, held: &mut Held) -> Poll<Result<(), SessionEnd>> {
        if let Some(end) = self.behind.take() {
            return Poll::Ready(Err(end));
        }
        if !std::mem::take(&mut self.has_asked) {
            let inbox = &mut held.get_or_insert_with(|| MessageBuffers::take(self.max_message)).inbox;
            inbox.clear();
            let pending = self.fill(task, inbox);
            if inbox.message().is_some() {
                self.has_asked = pending;
                self.deadlines.heard();
                (self.served, self.served_since) = (true, true);
                return Poll::Ready(Ok(()));
            }
            if let Some(end) = self.behind.take() {
                return Poll::Ready(Err(end));
            }
            if !pending {
                // Nothing but errors.
                task.waker().wake_by_ref();
            }
        }
        held.take().into_iter().for_each(MessageBuffers::give);
        self.budget = YIELD_BUDGET;
        self.wait(task).map(Err)
    }

    /// Receives until nothing waits, `inbox` is full, or the end; whether nothing waits.
    fn fill(&mut self, task: &mut Context<'_>, inbox: &mut Inbox) -> bool {
        let mut errors = 0;
        let pending = loop {
            let space = inbox.space(self.max_message);
            let one_by_one = matches!(space, Space::Bytes(_));
            let received = match space {
                Space::Slots(slots) => self.io.poll_recv_batch(task, slots),
                Space::Bytes(bytes) => self.io.poll_recv(task, bytes),
            };
            match received {
                Poll::Ready(Ok(Some(len))) if one_by_one && len > self.cx.limits.max_message => {
                    inbox.cut();
                    errors += 1;
                    self.offend(len);
                }
                Poll::Ready(Ok(Some(len))) if one_by_one => inbox.push(len),
                Poll::Ready(Ok(Some(1..))) => {}
                Poll::Ready(Ok(None)) => {
                    self.has_ended = true;
                    self.behind = Some(SessionEnd::Done);
                }
                Poll::Ready(Err(RecvError::TooLarge { len, .. })) => {
                    errors += 1;
                    self.offend(len);
                }
                Poll::Ready(Err(RecvError::PeerNoise(error))) => {
                    errors += 1;
                    self.cx.incidents.note(Incident::Noise, 1, Some(self.peer), error);
                }
                Poll::Ready(Ok(Some(0)) | Err(_)) => self.behind = Some(SessionEnd::Broken),
                Poll::Pending => break true,
            }
            if self.behind.is_some() || errors == ROW || inbox.is_full() {
                break false;
            }
        };
        inbox.sift(self.cx.limits.max_message, |len| self.offend(len));
        pending
    }

    /// The buffers, with the messages that were moved out of them.
    pub(crate) fn resume<'h>(&mut self, held: &'h mut Held) -> &'h mut Box<MessageBuffers> {
        let buffers = held.get_or_insert_with(|| MessageBuffers::take(self.max_message));
        if let Some(rest) = self.rest.take() {
            buffers.inbox.take_up(*rest);
        }
        buffers
    }

    /// Whether it is time to let others run, after another turn.
    pub(crate) fn must_yield(&mut self) -> bool {
        self.budget -= 1;
        let over = self.budget == 0;
        if over {
            self.budget = YIELD_BUDGET;
        }
        over
    }

    /// Waits for the peer, with nothing but what the wire has of a message.
    fn wait(&mut self, task: &mut Context<'_>) -> Poll<SessionEnd> {
        let signs = self.io.signs_of_life();
        if signs != self.signs {
            self.signs = signs;
            self.deadlines.heard();
        }
        let partial = self.io.partial();
        if partial.is_some() || self.deadlines.has_frame() {
            self.deadlines.set_frame(partial.is_some(), self.served_since, &self.cx.timers);
        }
        self.served_since = false;
        if (partial.is_some() || self.memory.is_open()) && self.keeps_too_much(task, || partial.unwrap_or(0)) {
            return Poll::Ready(SessionEnd::OverBudget);
        }
        self.deadlines.poll_peer(task, self.served && partial.is_none(), self.cx)
    }

    /// Counts what it keeps while it waits; whether that is too much, so that it has to end.
    fn keeps_too_much(&mut self, task: &Context<'_>, kept: impl FnOnce() -> usize) -> bool {
        self.cx.memory_budget.is_some() && self.memory.set(self.cx.memory_budget.as_ref(), kept(), task.waker())
    }

    /// Drops a message that is too large; one too many ends the session behind what came before.
    #[cold]
    fn offend(&mut self, len: usize) {
        self.deadlines.heard();
        self.cx.too_long(len, Some(self.peer));
        self.offences += 1;
        if self.offences >= MOST_OFFENCES {
            self.behind = Some(SessionEnd::BadFrame);
        }
    }

    /// Runs a call that waits; meanwhile, sends the earlier replies. The buffers take so much `beside` the queue.
    pub(crate) async fn wait_for<T>(
        &mut self,
        mut call: impl Future<Output = T> + Unpin,
        mut queue: Option<&mut SendBatch>,
        beside: usize,
    ) -> Result<T, SessionEnd> {
        self.has_asked = false;
        poll_fn(|task| {
            if let Poll::Ready(result) = pin!(&mut call).poll(task) {
                return Poll::Ready(Ok(result));
            }
            let sent = queue.as_mut().map_or(Poll::Pending, |queue| self.poll_send(task, queue));
            let queued = queue.as_ref().map_or(0, |queue| queue.memory());
            if self.keeps_too_much(task, || beside + queued) {
                return Poll::Ready(Err(SessionEnd::OverBudget));
            }
            match sent {
                Poll::Ready(Err(end)) => Poll::Ready(Err(end)),
                _ => Poll::Pending,
            }
        })
        .await
    }

    /// Sends what is queued. While it waits, it keeps that, what is not handled, and no buffers.
    pub(crate) fn poll_finish(&mut self, task: &mut Context<'_>, held: &mut Held) -> Poll<Result<(), SessionEnd>> {
        let Some(buffers) = held else { return self.poll_unsent(task) };
        let sent = self.poll_send(task, &mut buffers.out);
        if sent.is_pending() {
            self.unsent = Some(Box::new(buffers.out.take_from(std::mem::take(&mut self.sent))));
            if buffers.inbox.message().is_some() {
                self.rest = Some(Box::new(buffers.inbox.copy_rest()));
            }
            held.take().into_iter().for_each(MessageBuffers::give);
            return self.wait_for_room(task);
        }
        sent
    }

    fn poll_unsent(&mut self, task: &mut Context<'_>) -> Poll<Result<(), SessionEnd>> {
        let mut unsent = self.unsent.take().unwrap_or_default();
        let sent = self.poll_send(task, &mut unsent);
        if sent.is_pending() {
            self.unsent = Some(unsent);
            return self.wait_for_room(task);
        }
        sent
    }

    fn wait_for_room(&mut self, task: &Context<'_>) -> Poll<Result<(), SessionEnd>> {
        self.has_asked = false;
        let kept = self.unsent.as_ref().map_or(0, |unsent| unsent.memory())
            + self.rest.as_ref().map_or(0, |rest| rest.memory());
        match self.keeps_too_much(task, || kept) {
            true => Poll::Ready(Err(SessionEnd::OverBudget)),
            false => Poll::Pending,
        }
    }

    /// Sends a queue; ready when it is empty, or when the peer took nothing for too long.
    fn poll_send(&mut self, task: &mut Context<'_>, queue: &mut SendBatch) -> Poll<Result<(), SessionEnd>> {
        while self.sent < queue.len() {
            self.unflushed = true;
            match self.io.poll_send_batch(task, queue, self.sent) {
                Poll::Ready(Ok(0) | Err(SendError::Io(_) | SendError::Closed)) => {
                    return Poll::Ready(Err(SessionEnd::Broken));
                }
                Poll::Ready(Ok(count)) => {
                    let before = queue.bytes_before(self.sent);
                    self.sent += count;
                    let bytes = (queue.bytes_before(self.sent) - before) as u64;
                    self.cx.stats.sent(count as u64, bytes);
                    if let Some(record) = &mut self.record {
                        record.add(count as u64, bytes);
                    }
                }
                // It is about the first one alone.
                Poll::Ready(Err(error)) => {
                    self.lost = true;
                    self.cx.incidents.note(Incident::NotSent, 1, Some(self.peer), error);
                    self.sent += 1;
                }
                Poll::Pending => return self.deadlines.poll_room(task, self.cx).map(Err),
            }
            self.deadlines.taken();
        }
        queue.clear();
        self.sent = 0;
        if !self.unflushed {
            return Poll::Ready(Ok(()));
        }
        match self.io.poll_flush(task) {
            Poll::Ready(Ok(())) => {
                self.unflushed = false;
                self.deadlines.taken();
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(_)) => Poll::Ready(Err(SessionEnd::Broken)),
            Poll::Pending => self.deadlines.poll_room(task, self.cx).map(Err),
        }
    }

    /// Closes, gracefully unless the connection is broken or stuck. Where one direction can be closed alone, it then receives
    /// and forgets a little: a close with messages that were not received is an error to some peers, before the replies.
    pub(crate) async fn close(mut self, end: SessionEnd) {
        let cx = self.cx;
        let is_stuck = matches!(end, SessionEnd::WriteTimeout | SessionEnd::Broken | SessionEnd::OverBudget);
        if is_stuck || cx.capabilities.says_goodbye && (self.lost || !end.is_orderly()) {
            return;
        }
        let shut = within(LINGER, &cx.load, poll_fn(|task| self.io.poll_shutdown(task))).await;
        if !cx.capabilities.half_close || self.has_ended || !matches!(shut, Some(Ok(()))) {
            return;
        }
        let idle = matches!(end, SessionEnd::Drained | SessionEnd::IdleTimeout);
        let quiet = if idle { self.deadlines.quiet(&cx.timers) } else { Duration::ZERO };
        let (mut left, mut forgotten) = (LINGER_BYTES, BytesMut::new());
        let discard = poll_fn(|task| {
            while left > 0 {
                forgotten.clear();
                let cost = match ready!(self.io.poll_recv(task, &mut forgotten)) {
                    Ok(Some(len)) | Err(RecvError::TooLarge { len, .. }) => len,
                    Err(RecvError::PeerNoise(_)) => 0,
                    Ok(None) | Err(_) => break,
                };
                left = left.saturating_sub(cost.max(LEAST));
            }
            Poll::Ready(())
        });
        let _ = within(linger_time(&cx.drain, &cx.limits, quiet), &cx.load, discard).await;
    }
}
