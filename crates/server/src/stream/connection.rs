//! One byte stream with a message handler: waiting for bytes, for room, for a deadline, for the drain.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use swapwire_core::{ByteStream, FrameDecoder, FrameEncoder, Framing};
use tokio::io::AsyncWrite as _;

use super::linger::{linger, patience};
use super::read_buffer::{ReadBuffer, Unread};
use crate::memory::{BudgetShare, WorkerBuffers};
use crate::time::{DeadlineCheck, Since, TICK, Tick, TimerEntry, TimerWheel};
use crate::{ServeContext, SessionEnd};

/// After so many times [`LEAST`] bytes without a wait, a task lets others run; a short read counts as one.
const TURN_BUDGET: u16 = 128;
const LEAST: usize = 2048;

pub(crate) struct Connection<'a> {
    io: Box<dyn ByteStream>,
    read_buffer: ReadBuffer,
    pub(crate) decoder: FrameDecoder,
    /// Of a framing with a state; others are the same for all connections.
    encoder: Option<Box<FrameEncoder>>,
    /// Replies that the peer has not taken, while no buffers are held.
    unsent: Vec<u8>,
    /// How much of the replies is gone.
    written: usize,
    timer: TimerEntry<'a>,
    /// Since when there is nothing to do but to wait for the peer; meaningful while `waiting`.
    waiting_since: Tick,
    /// When the partial frame must be whole; 0 without one.
    frame_deadline: Tick,
    /// Since when the peer has taken nothing.
    stuck_since: Since,
    drain_seen: Since,
    check: DeadlineCheck,
    /// The deadline that it is for, but for its upper bits.
    looked_for: u8,
    /// What may still be read before the task has to wait, or lets others run.
    budget: u16,
    waiting: bool,
    served: bool,
    /// The peer has ended its sending.
    has_ended: bool,
    /// What it keeps counts, or may have to.
    counts: bool,
    memory: BudgetShare,
    cx: &'a ServeContext,
}

impl<'a> Connection<'a> {
    pub(crate) fn new(io: Box<dyn ByteStream>, cx: &'a ServeContext) -> Self {
        let stateful = matches!(cx.framing, Framing::Codec(_));
        Self {
            io,
            read_buffer: ReadBuffer::default(),
            decoder: cx.framing.decoder(cx.limits.max_message),
            encoder: stateful.then(|| Box::new(cx.framing.encoder(cx.limits.max_reply))),
            unsent: Vec::new(),
            written: 0,
            timer: cx.timers.entry(),
            waiting_since: 0,
            frame_deadline: 0,
            stuck_since: Since::NEVER,
            drain_seen: Since::NEVER,
            check: DeadlineCheck::default(),
            looked_for: 0,
            budget: TURN_BUDGET,
            waiting: false,
            served: false,
            has_ended: false,
            counts: false,
            memory: BudgetShare::default(),
            cx,
        }
    }

    fn timers(&self) -> &'a TimerWheel {
        &self.cx.timers
    }

    /// Whether a peer that never pauses has had the grace of the drain.
    #[inline(always)]
    pub(crate) fn drain_is_over(&mut self) -> bool {
        self.cx.drain.has_begun() && {
            self.check.begin_anew();
            let (now, timers) = (self.timers().now(), self.timers());
            now >= self.drain_seen.begin(now) + timers.grace && {
                self.drain_seen.set_right(timers);
                now >= self.drain_seen.begin(now) + timers.grace
            }
        }
    }

    /// Whether it is time to let others run, after a turn of so many bytes.
    #[inline(always)]
    pub(crate) fn has_had_its_turn(&mut self, new: usize) -> bool {
        let turns = u16::try_from(new / LEAST).unwrap_or(u16::MAX);
        self.budget = self.budget.saturating_sub(turns.max(1));
        let over = self.budget == 0;
        if over {
            self.budget = TURN_BUDGET;
        }
        over
    }

    /// Counts what it keeps, and `more`, while it waits; whether that is too much, so that it has to end.
    #[inline(always)]
    pub(crate) fn keeps_too_much(&mut self, task: &Context<'_>, more: impl FnOnce() -> usize) -> bool {
        self.cx.memory_budget.is_some() && self.count(task, more())
    }

    /// Whether it has to end; for one that has not waited since it counted.
    #[cold]
    pub(crate) fn is_over_budget(&mut self) -> bool {
        if self.unsent.is_empty() && !self.read_buffer.is_partial() {
            self.memory = BudgetShare::default();
        }
        self.memory.must_end()
    }

    #[cold]
    fn count(&mut self, task: &Context<'_>, more: usize) -> bool {
        let kept = self.unsent.capacity() + self.read_buffer.memory() + more;
        let too_much = self.memory.set(self.cx.memory_budget.as_ref(), kept, task.waker());
        self.counts = self.memory.is_open();
        too_much
    }

    /// Waits for bytes, a deadline, or the drain. Buffers are held when it is ready, and none while it waits.
    #[inline(always)]
    pub(crate) fn poll_read(
        &mut self,
        task: &mut Context<'_>,
        buffers_held: &mut Option<Box<WorkerBuffers>>,
        unread: &mut Unread,
    ) -> Poll<Option<SessionEnd>> {
        let buffers = buffers_held.get_or_insert_with(|| WorkerBuffers::take(&self.cx.buffers));
        match self.read_buffer.poll_fill(task, &mut self.io, buffers, unread) {
            Poll::Ready(Ok(())) => {
                if std::mem::take(&mut self.waiting) {
                    self.budget = TURN_BUDGET;
                }
                self.has_ended = unread.new == 0;
                self.exchange_encoder(buffers);
                Poll::Ready(None)
            }
            Poll::Ready(Err(_)) => Poll::Ready(Some(SessionEnd::Broken)),
            Poll::Pending => {
                if let Some(buffers) = buffers_held.take() {
                    buffers.give();
                }
                self.wait(task).map(Some)
            }
        }
    }

    #[inline(always)]
    fn exchange_encoder(&mut self, buffers: &mut WorkerBuffers) {
        if let Some(encoder) = &mut self.encoder {
            std::mem::swap(&mut **encoder, buffers.replies.encoder_mut());
        }
    }

    #[inline(always)]
    fn wait(&mut self, task: &mut Context<'_>) -> Poll<SessionEnd> {
        let now = self.timers().now();
        if !self.waiting {
            (self.waiting, self.waiting_since) = (true, now);
        }
        if self.counts && self.count(task, 0) {
            return Poll::Ready(SessionEnd::OverBudget);
        }
        if self.timer.is_armed(now) && !self.cx.drain.has_begun() {
            return Poll::Pending;
        }
        self.wait_anew(task, now)
    }

    /// The entry has come due, or there was none.
    #[cold]
    fn wait_anew(&mut self, task: &mut Context<'_>, now: Tick) -> Poll<SessionEnd> {
        let timers = self.timers();
        self.waiting_since = timers.begun(self.waiting_since);
        let (deadline, late) = match self.read_buffer.is_partial() {
            true => {
                self.frame_deadline = timers.begun(self.frame_deadline - timers.frame) + timers.frame;
                (self.frame_deadline, SessionEnd::FrameTimeout)
            }
            false => (self.waiting_since + timers.idle, SessionEnd::IdleTimeout),
        };
        if !self.cx.drain.has_begun() {
            let over = self.poll_late(task, now, deadline).map(|()| late);
            // Asked again behind the entry: a session that is entered later is not woken by the drain.
            if over.is_ready() || !self.cx.drain.has_begun() {
                return over;
            }
        }
        // What is quiet as long as a second look takes has nothing to say.
        let patience = if self.served && !self.read_buffer.is_partial() { 0 } else { timers.grace };
        self.drain_seen.set_right(timers);
        let drained = self.drain_seen.begin(now) + patience;
        let late = if drained <= deadline { SessionEnd::Drained } else { late };
        self.poll_late(task, now, drained.min(deadline)).map(|()| late)
    }

    /// Ready once `deadline` is over and that is [believed](SecondLook::is_done): the wire was asked just now.
    #[cold]
    fn poll_late(&mut self, task: &mut Context<'_>, now: Tick, deadline: Tick) -> Poll<()> {
        if std::mem::replace(&mut self.looked_for, deadline as u8) != deadline as u8 {
            self.check.begin_anew();
        }
        if self.timer.poll(task.waker(), now, deadline).is_pending() {
            return Poll::Pending;
        }
        // A tick is a turn of the reactor.
        if self.check.has_begun() && self.timer.is_armed(now) {
            return Poll::Pending;
        }
        match self.check.is_done(&self.cx.stats) {
            true => Poll::Ready(()),
            false => self.timer.poll(task.waker(), now, now + 1),
        }
    }

    /// Keeps what was left unread, and the buffers only if they are the worker's.
    #[inline(always)]
    pub(crate) fn keep(&mut self, unread: &Unread, buffers_held: &mut Option<Box<WorkerBuffers>>, served: bool) {
        let Some(buffers) = buffers_held else { return };
        if buffers.replies.bytes() > 0 {
            buffers.replies.drain_into(&mut buffers.out);
        }
        self.exchange_encoder(buffers);
        self.read_buffer.keep(unread, buffers);
        self.served |= served;
        if self.read_buffer.is_partial() || self.frame_deadline != 0 {
            self.frame_deadline = match self.read_buffer.is_partial() {
                false => 0,
                true if self.frame_deadline != 0 && !served => self.frame_deadline,
                true => self.timers().now() + self.timers().frame,
            };
            self.counts = self.cx.memory_budget.is_some();
        }
        if unread.is_own {
            self.part_with(buffers_held);
        }
    }

    /// Gives the buffers back and keeps the replies in them.
    #[cold]
    fn part_with(&mut self, buffers_held: &mut Option<Box<WorkerBuffers>>) {
        if let Some(mut buffers) = buffers_held.take() {
            self.unsent = buffers.out.as_slice().to_vec();
            buffers.out.clear();
            buffers.give();
        }
    }

    /// Writes the replies; while it waits, no buffers are held.
    #[inline(always)]
    pub(crate) fn poll_finish(
        &mut self,
        task: &mut Context<'_>,
        buffers_held: &mut Option<Box<WorkerBuffers>>,
    ) -> Poll<Result<(), SessionEnd>> {
        let Some(buffers) = buffers_held else { return self.poll_unsent(task) };
        let written = self.poll_write(task, &mut buffers.out);
        match &written {
            Poll::Ready(Ok(())) => buffers.replies.exchange_buffer(&mut buffers.out),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                self.part_with(buffers_held);
                if self.keeps_too_much(task, || 0) {
                    return Poll::Ready(Err(SessionEnd::OverBudget));
                }
            }
        }
        written
    }

    #[cold]
    fn poll_unsent(&mut self, task: &mut Context<'_>) -> Poll<Result<(), SessionEnd>> {
        let mut unsent = std::mem::take(&mut self.unsent);
        let written = self.poll_write(task, &mut unsent);
        if written.is_pending() {
            self.unsent = unsent;
            if self.keeps_too_much(task, || 0) {
                return Poll::Ready(Err(SessionEnd::OverBudget));
            }
        }
        written
    }

    /// [`poll_write`](Self::poll_write) while a call waits.
    #[cold]
    pub(crate) fn poll_write_meanwhile(
        &mut self,
        task: &mut Context<'_>,
        out: &mut Vec<u8>,
    ) -> Poll<Result<(), SessionEnd>> {
        self.poll_write(task, out)
    }

    /// The same, and an end when there is no memory for what waits.
    #[cold]
    pub(crate) fn poll_write_within_budget(
        &mut self,
        task: &mut Context<'_>,
        out: &mut Vec<u8>,
    ) -> Poll<Result<(), SessionEnd>> {
        if self.memory.must_end() {
            return Poll::Ready(Err(SessionEnd::OverBudget));
        }
        self.poll_write(task, out)
    }

    /// Writes replies; ready when they are gone, or when the peer took nothing for too long.
    #[inline(always)]
    pub(crate) fn poll_write(&mut self, task: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<Result<(), SessionEnd>> {
        if out.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while self.written < out.len() {
            match Pin::new(&mut self.io).poll_write(task, &out[self.written..]) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(SessionEnd::Broken)),
                Poll::Ready(Ok(len)) => {
                    self.written += len;
                    self.stuck_since = Since::NEVER;
                }
                Poll::Pending => return self.wait_for_room(task),
            }
        }
        match Pin::new(&mut self.io).poll_flush(task) {
            Poll::Ready(Ok(())) => self.stuck_since = Since::NEVER,
            Poll::Ready(Err(_)) => return Poll::Ready(Err(SessionEnd::Broken)),
            Poll::Pending => return self.wait_for_room(task),
        }
        out.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    #[cold]
    fn wait_for_room(&mut self, task: &mut Context<'_>) -> Poll<Result<(), SessionEnd>> {
        let (now, timers) = (self.timers().now(), self.timers());
        if !self.timer.is_armed(now) {
            self.stuck_since.set_right(timers);
        }
        let since = self.stuck_since.begin(now);
        self.poll_late(task, now, since + timers.write).map(|()| Err(SessionEnd::WriteTimeout))
    }

    /// Writes what is left and closes, gracefully unless the connection is broken or stuck.
    pub(crate) async fn close(mut self, mut buffers_held: Option<Box<WorkerBuffers>>, end: SessionEnd) -> SessionEnd {
        if !matches!(end, SessionEnd::WriteTimeout | SessionEnd::Broken | SessionEnd::OverBudget) {
            let replied = !buffers_held.as_ref().map_or(&self.unsent, |buffers| &buffers.out).is_empty();
            let finished = poll_fn(|task| self.poll_finish(task, &mut buffers_held)).await.is_ok();
            if finished && !self.has_ended {
                let idle = matches!(end, SessionEnd::Drained | SessionEnd::IdleTimeout) && self.waiting && !replied;
                let timers = self.timers();
                let ticks = if idle { timers.now().saturating_sub(timers.begun(self.waiting_since)) } else { 0 };
                let quiet = TICK.saturating_mul(u32::try_from(ticks).unwrap_or(u32::MAX));
                buffers_held.take().into_iter().for_each(WorkerBuffers::give);
                (self.read_buffer, self.memory) = Default::default();
                linger(self.io, patience(self.cx, quiet), self.cx).await;
            }
        }
        buffers_held.into_iter().for_each(WorkerBuffers::give);
        end
    }
}
