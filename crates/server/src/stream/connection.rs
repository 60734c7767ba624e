//! One byte stream with a message handler: waiting for bytes, for room, for a deadline, for the drain.

use std::future::poll_fn;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use swapwire_core::server::Replies;
use swapwire_core::{Addr, Answer, ByteStream, FrameDecoder, FrameEncoder, FrameError, Framing, Goodbye, Peer};
use tokio::io::{AsyncRead as _, AsyncWrite as _, AsyncWriteExt as _, ReadBuf};

use super::deadlines::Deadlines;
use super::read_buffer::ReadBuffer;
use super::reading::{Owner, Reading};
use crate::drain::{LINGER_BYTES, linger_time};
use crate::memory::{HeldMemory, WorkerBuffers};
use crate::metrics::{Incident, Stats};
use crate::session_record::SessionRecord;
use crate::time::within;
use crate::{ServeContext, SessionEnd};

/// After so many times [`LEAST`] bytes without a wait, a task lets others run; a short read counts as one.
const YIELD_BUDGET: u16 = 128;
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
    deadlines: Deadlines<'a>,
    /// What may still be read before the task has to wait, or lets others run.
    budget: u16,
    served: bool,
    /// The peer has ended its sending.
    has_ended: bool,
    /// What it keeps counts, or may have to.
    counts: bool,
    /// Its messages are frames of the wire's own.
    is_framed: bool,
    /// The tag of the message that the encoder follows.
    followed: u8,
    /// The decoder holds a part of a message.
    pub(crate) holds_part: bool,
    memory: HeldMemory,
    pub(crate) record: Option<Box<SessionRecord<'a>>>,
    cx: &'a ServeContext,
}

/// What only some connections have of their own: an address that is not the one that was bound, frames of the wire.
pub(crate) struct OwnParts {
    pub(crate) local: Option<Addr>,
    pub(crate) frames: Option<Box<(FrameDecoder, FrameEncoder)>>,
}

impl OwnParts {
    pub(crate) fn of(framing: Option<&Framing>, local: Addr, cx: &ServeContext) -> Option<Box<Self>> {
        let local = (cx.bound != Some(local)).then_some(local);
        let limits = &*cx.limits;
        let frames =
            framing.map(|framing| Box::new((framing.decoder(limits.max_message), framing.encoder(limits.max_reply))));
        (local.is_some() || frames.is_some()).then(|| Box::new(Self { local, frames }))
    }
}

impl<'a> Connection<'a> {
    pub(crate) fn new(
        io: Box<dyn ByteStream>,
        frames: Option<Box<(FrameDecoder, FrameEncoder)>>,
        cx: &'a ServeContext,
    ) -> Self {
        let is_framed = frames.is_some();
        let (decoder, encoder) = match frames.map(|frames| *frames) {
            Some((decoder, encoder)) => (decoder, Some(Box::new(encoder))),
            None => {
                let stateful = matches!(cx.framing, Framing::Codec(_));
                let encoder = stateful.then(|| Box::new(cx.framing.encoder(cx.limits.max_reply)));
                (cx.framing.decoder(cx.limits.max_message), encoder)
            }
        };
        Self {
            io,
            read_buffer: ReadBuffer::default(),
            decoder,
            encoder,
            unsent: Vec::new(),
            written: 0,
            deadlines: Deadlines::new(&cx.timers),
            budget: YIELD_BUDGET,
            served: false,
            has_ended: false,
            counts: false,
            is_framed,
            followed: 0,
            holds_part: false,
            memory: HeldMemory::default(),
            record: None,
            cx,
        }
    }

    /// Counts messages that were handled, replies that were queued, and bytes that were read.
    #[inline(always)]
    pub(crate) fn handled(&mut self, messages: u32, replies: u32, bytes: usize) {
        self.cx.stats.handled(messages, replies, bytes);
        if let Some(record) = &mut self.record {
            record.add(u64::from(messages) + u64::from(replies), bytes as u64);
        }
    }

    /// It ends so, for the event that tells of it.
    pub(crate) fn note_end(&mut self, end: SessionEnd) {
        if let Some(record) = &mut self.record {
            record.ended(end, self.has_ended);
        }
    }

    /// Whether a peer that never pauses has had the grace of the drain.
    #[inline(always)]
    pub(crate) fn drain_is_over(&mut self) -> bool {
        self.deadlines.drain_is_over(self.cx)
    }

    /// Whether it is time to let others run, after a turn of so many bytes.
    #[inline(always)]
    pub(crate) fn must_yield(&mut self, new: usize) -> bool {
        let turns = u16::try_from(new / LEAST).unwrap_or(u16::MAX);
        self.budget = self.budget.saturating_sub(turns.max(1));
        let over = self.budget == 0;
        if over {
            self.budget = YIELD_BUDGET;
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
        if self.unsent.is_empty() && !self.is_partial() {
            self.memory = HeldMemory::default();
        }
        self.memory.must_end()
    }

    #[cold]
    fn count(&mut self, task: &Context<'_>, more: usize) -> bool {
        let kept = self.unsent.capacity() + self.read_buffer.memory() + self.decoder.memory() + more;
        let too_much = self.memory.set(self.cx.memory_budget.as_ref(), kept, task.waker());
        self.counts = self.memory.is_open();
        too_much
    }

    /// Waits for bytes, a deadline, or the drain. Buffers are held when it is ready, and none while it waits.
    #[inline(always)]
    pub(crate) fn poll_read(&mut self, task: &mut Context<'_>, reading: &mut Reading) -> Poll<Option<SessionEnd>> {
        match self.read_buffer.poll_fill(task, &mut self.io, reading, &self.cx.buffers) {
            Poll::Ready(Ok(())) => {
                if self.deadlines.heard() {
                    self.budget = YIELD_BUDGET;
                }
                self.has_ended = reading.new == 0;
                self.exchange_encoder(reading);
                Poll::Ready(None)
            }
            Poll::Ready(Err(_)) => Poll::Ready(Some(SessionEnd::Broken)),
            Poll::Pending => {
                reading.give();
                self.wait(task).map(Some)
            }
        }
    }

    #[inline(always)]
    fn exchange_encoder(&mut self, reading: &mut Reading) {
        if let (Some(encoder), Some(buffers)) = (&mut self.encoder, &mut reading.buffers) {
            std::mem::swap(&mut **encoder, buffers.replies.encoder_mut());
        }
    }

    #[inline(never)]
    fn take_encoder(&mut self, reading: &mut Reading) {
        self.exchange_encoder(reading);
        if let Some(encoder) = &mut self.encoder {
            Stats::add(&self.cx.stats.replies_not_text, encoder.take_changed());
        }
    }

    #[inline(always)]
    fn wait(&mut self, task: &mut Context<'_>) -> Poll<SessionEnd> {
        if self.counts && self.count(task, 0) {
            return Poll::Ready(SessionEnd::OverBudget);
        }
        let answered = self.served && !self.is_partial();
        self.deadlines.poll_peer(task, answered, self.cx)
    }

    /// Keeps what was left unread, and the buffers only if they are the worker's.
    #[inline(always)]
    pub(crate) fn keep(&mut self, reading: &mut Reading, served: bool) {
        let Some(buffers) = &mut reading.buffers else { return };
        if buffers.replies.bytes() > 0 {
            buffers.replies.drain_into(&mut buffers.out);
        }
        if self.encoder.is_some() {
            self.take_encoder(reading);
        }
        self.read_buffer.keep(reading);
        self.served |= served;
        if self.is_partial() || self.deadlines.has_frame() {
            self.deadlines.set_frame(self.is_partial(), served, &self.cx.timers);
            self.counts = self.cx.memory_budget.is_some();
        }
        if let Owner::Connection(_) = reading.owner {
            self.part_with(reading);
        }
    }

    /// Whether a message has begun to arrive and is not whole.
    #[inline(always)]
    fn is_partial(&self) -> bool {
        self.read_buffer.is_partial() || self.holds_part
    }

    /// Whether messages are framed by what only this connection has.
    #[inline(always)]
    pub(crate) fn has_state(&self) -> bool {
        self.encoder.is_some()
    }

    /// Makes replies to `message` as it is, where messages have kinds or are lines; the message without the end of its line.
    #[inline(never)]
    pub(crate) fn follow<'m>(&mut self, replies: &mut Replies, message: &'m [u8]) -> &'m [u8] {
        let tag = self.decoder.tag();
        if std::mem::replace(&mut self.followed, tag) != tag {
            replies.encoder_mut().follow(tag);
        }
        let is_line = self.is_framed && matches!(self.cx.framing, Framing::Lines);
        if is_line { replies.answer_line(message) } else { message }
    }

    /// Answers a control frame, behind the replies to what came before it; how the session ends, if that ends it.
    #[cold]
    pub(crate) fn answer(&mut self, reading: &mut Reading, payload: Range<usize>) -> Option<SessionEnd> {
        let WorkerBuffers { input, replies, out, .. } = &mut **reading.buffers.as_mut()?;
        replies.drain_into(out);
        match replies.encoder_mut().answer(self.decoder.tag(), &input[payload], out) {
            Answer::GoesOn => None,
            _ => {
                self.has_ended = true;
                Some(SessionEnd::Done)
            }
        }
    }

    /// Tells of bytes that are no frame, also the peer, where the wire has a good-bye for that; how the session ends.
    #[cold]
    pub(crate) fn bad_frame(&mut self, reading: &mut Reading, error: FrameError, peer: &Peer) -> SessionEnd {
        if let FrameError::Ended(_) = error {
            return SessionEnd::Broken;
        }
        if let Some(buffers) = &mut reading.buffers {
            let WorkerBuffers { replies, out, .. } = &mut **buffers;
            replies.drain_into(out);
            replies.encoder_mut().goodbye(Goodbye::Bad(&error), out);
        }
        self.cx.incidents.tell(Incident::BadFrame, Some(peer.addr()), error);
        SessionEnd::BadFrame
    }

    /// Gives the buffers back and keeps the replies in them.
    #[cold]
    fn part_with(&mut self, reading: &mut Reading) {
        if let Some(buffers) = &mut reading.buffers {
            self.unsent = buffers.out.as_slice().to_vec();
            buffers.out.clear();
            reading.give();
        }
    }

    /// Writes the replies; while it waits, no buffers are held.
    #[inline(always)]
    pub(crate) fn poll_finish(
        &mut self,
        task: &mut Context<'_>,
        reading: &mut Reading,
    ) -> Poll<Result<(), SessionEnd>> {
        let Some(buffers) = &mut reading.buffers else { return self.poll_unsent(task) };
        let written = self.poll_write(task, &mut buffers.out);
        match &written {
            Poll::Ready(Ok(())) => buffers.replies.exchange_buffer(&mut buffers.out),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                self.part_with(reading);
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

    /// Writes the replies while there is more to handle in the bytes that were read.
    #[cold]
    pub(crate) fn poll_empty(&mut self, task: &mut Context<'_>, reading: &mut Reading) -> Poll<Result<(), SessionEnd>> {
        let Some(buffers) = &mut reading.buffers else { return Poll::Ready(Ok(())) };
        if buffers.replies.bytes() > 0 {
            buffers.replies.drain_into(&mut buffers.out);
        }
        let written = self.poll_write_within_budget(task, &mut buffers.out);
        if written.is_pending() {
            reading.detach(0..0, &self.cx.buffers);
            let owner = reading.owner;
            let kept = || reading.buffers.as_ref().map_or(0, |buffers| owner.memory(&buffers.out));
            if self.keeps_too_much(task, kept) {
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
                    self.cx.stats.wrote(len);
                    if let Some(record) = &mut self.record {
                        record.add(0, len as u64);
                    }
                    self.deadlines.taken();
                }
                Poll::Pending => return self.deadlines.poll_room(task, self.cx).map(Err),
            }
        }
        match Pin::new(&mut self.io).poll_flush(task) {
            Poll::Ready(Ok(())) => self.deadlines.taken(),
            Poll::Ready(Err(_)) => return Poll::Ready(Err(SessionEnd::Broken)),
            Poll::Pending => return self.deadlines.poll_room(task, self.cx).map(Err),
        }
        out.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    /// Whether the peer is told that this is all: where the wire has a good-bye, if it is; elsewhere, unless the peer has ended,
    /// as dropping the stream tells it.
    fn says_end(&self, end: SessionEnd) -> bool {
        if self.is_framed {
            return true;
        }
        if self.cx.capabilities.says_goodbye { end.is_orderly() } else { !self.has_ended }
    }

    /// Writes what is left and closes, gracefully unless the connection is broken or stuck.
    pub(crate) async fn close(mut self, mut reading: Reading, end: SessionEnd) -> SessionEnd {
        if !matches!(end, SessionEnd::WriteTimeout | SessionEnd::Broken | SessionEnd::OverBudget) {
            self.say_goodbye(&mut reading, end);
            let replied = !reading.buffers.as_ref().map_or(&self.unsent, |buffers| &buffers.out).is_empty();
            let finished = poll_fn(|task| self.poll_finish(task, &mut reading)).await.is_ok();
            if finished && self.says_end(end) {
                let idle = matches!(end, SessionEnd::Drained | SessionEnd::IdleTimeout) && !replied;
                let quiet = if idle { self.deadlines.quiet(&self.cx.timers) } else { Duration::ZERO };
                reading.give();
                (self.read_buffer, self.memory) = Default::default();
                linger(self.io, linger_time(&self.cx.drain, &self.cx.limits, quiet), self.cx).await;
            }
        }
        reading.give();
        end
    }
}

impl Connection<'_> {
    /// Puts the good-bye of a wire with frames behind the replies, unless it was said.
    fn say_goodbye(&mut self, reading: &mut Reading, end: SessionEnd) {
        if !self.is_framed {
            return;
        }
        let out = match &mut reading.buffers {
            Some(buffers) => &mut buffers.out,
            None => &mut self.unsent,
        };
        if let Some(encoder) = &mut self.encoder {
            encoder.goodbye(end.goodbye(), out);
        }
    }
}

/// Ends the writing half, then reads and forgets a little: closing with unread input makes the system throw away what the
/// peer has not yet received. Behind the end of the input there is none, and dropping the stream does.
async fn linger(mut io: Box<dyn ByteStream>, time: Duration, cx: &ServeContext) {
    let _ = within(time, &cx.load, async {
        io.shutdown().await?;
        let mut left = LINGER_BYTES;
        poll_fn(|task| {
            while left > 0 {
                let mut buffers = WorkerBuffers::take(&cx.buffers);
                let mut into = ReadBuf::new(&mut buffers.input);
                let read = Pin::new(&mut io).poll_read(task, &mut into);
                let len = into.filled().len();
                buffers.give();
                ready!(read)?;
                left = if len == 0 { 0 } else { left.saturating_sub(len) };
            }
            Poll::Ready(Ok::<_, std::io::Error>(()))
        })
        .await
    })
    .await;
}
