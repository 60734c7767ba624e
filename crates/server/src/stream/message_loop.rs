//! One message stream, one message handler.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, ready};

use swapwire_core::{Addr, ConnInfo, Handler, MessageStream, RecvError, Request, SendError};

use super::deadlines::Deadlines;
use crate::context::PanicContext;
use crate::drain::LINGER;
use crate::memory::{HeldMemory, MessageBuffers, MessageQueue};
use crate::metrics::{Incident, Stats};
use crate::time::within;
use crate::{ServeContext, SessionEnd};

/// After so many errors in a row, other tasks run.
const ROW: u32 = 64;
/// So many messages above the limit end a session: each costs the peer less than it costs here.
const MOST_OFFENCES: u32 = 100;

/// Buffers of the worker, while there is something to do.
type Held = Option<Box<MessageBuffers>>;

/// Serves one connection to its end: receive, handle, send.
///
/// While it waits for its peer it keeps no buffer; while the peer takes nothing, only the replies.
pub(crate) async fn serve_messages<H: Handler>(
    handler: &H,
    io: Box<dyn MessageStream>,
    mut info: ConnInfo,
    cx: &ServeContext,
) -> SessionEnd {
    info.peer.begin_session();
    let _panic_context = PanicContext { cx, peer: &info.peer };
    let limits = &*cx.limits;
    let mut conn = Connection {
        max_message: io.max_message().min(limits.max_message),
        io,
        unsent: MessageQueue::default(),
        deadlines: Deadlines::new(&cx.timers),
        offences: 0,
        served: false,
        served_since: false,
        lost: false,
        memory: HeldMemory::default(),
        peer: info.peer.addr(),
        cx,
    };
    let lines = cx.has_lines();
    let mut held: Held = None;
    let end = loop {
        match poll_fn(|task| conn.poll_recv(task, &mut held)).await {
            Ok(true) => {}
            Ok(false) => break SessionEnd::Done,
            Err(end) => break end,
        }
        // Held from the receipt to the end of the handling.
        let Some(buffers) = &mut held else { break SessionEnd::Broken };
        if conn.deadlines.drain_is_over(cx) {
            break SessionEnd::Drained;
        }
        Stats::one(&cx.stats.messages);
        let beside = if cx.memory_budget.is_some() { buffers.memory() } else { 0 };
        let MessageBuffers { message, replies, queue } = &mut **buffers;
        let asked = if lines { replies.answer_line(message) } else { message };
        let mut lent = replies.call(limits.max_reply, true);
        let call = handler.handle(Request::new(asked, Some(&info.peer), &info.local), lent.reply());
        match conn.call(call, queue, beside).await.map(|result| lent.end(result)) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                cx.incidents.tell(Incident::HandlerError, Some(info.peer.addr()), error);
                break SessionEnd::HandlerError;
            }
            Err(end) => break end,
        }
        queue.push(replies);
        if replies.closes() {
            break SessionEnd::Done;
        }
        if queue.bytes() >= limits.out_queue
            && let Err(end) = poll_fn(|task| conn.poll_finish(task, &mut held)).await
        {
            break end;
        }
    };
    cx.tell_end(end, &info.peer);
    if !matches!(end, SessionEnd::WriteTimeout | SessionEnd::Broken | SessionEnd::OverBudget)
        && poll_fn(|task| conn.poll_finish(task, &mut held)).await.is_ok()
    {
        held.take().into_iter().for_each(MessageBuffers::give);
        if !cx.capabilities.says_goodbye || end.is_orderly() && !conn.lost {
            let _ = within(LINGER, &cx.stats, poll_fn(|task| conn.io.poll_shutdown(task))).await;
        }
    }
    held.into_iter().for_each(MessageBuffers::give);
    end
}

struct Connection<'a> {
    io: Box<dyn MessageStream>,
    max_message: usize,
    /// Replies that the peer has not taken, while no buffers are held.
    unsent: MessageQueue,
    deadlines: Deadlines<'a>,
    offences: u32,
    served: bool,
    /// It has served a message since it waited last.
    served_since: bool,
    /// A reply could not be sent, although the wire goes on.
    lost: bool,
    memory: HeldMemory,
    peer: &'a Addr,
    cx: &'a ServeContext,
}

impl Connection<'_> {
    /// Sends the replies, then receives a message into the buffers, which are held when it is ready, and not while it waits.
    /// `false` is the end.
    fn poll_recv(&mut self, task: &mut Context<'_>, held: &mut Held) -> Poll<Result<bool, SessionEnd>> {
        ready!(self.poll_finish(task, held))?;
        let buffers = held.get_or_insert_with(|| MessageBuffers::take(self.max_message));
        for errors in 0.. {
            if errors == ROW {
                task.waker().wake_by_ref();
                return Poll::Pending;
            }
            buffers.message.clear();
            match self.io.poll_recv(task, &mut buffers.message) {
                Poll::Ready(Ok(Some(len))) if len <= self.cx.limits.max_message => {
                    self.deadlines.heard();
                    (self.served, self.served_since) = (true, true);
                    return Poll::Ready(Ok(true));
                }
                Poll::Ready(Ok(None)) => return Poll::Ready(Ok(false)),
                Poll::Ready(Ok(Some(len)) | Err(RecvError::TooLarge { len, .. })) => {
                    self.deadlines.heard();
                    if self.is_offended(len) {
                        return Poll::Ready(Err(SessionEnd::BadFrame));
                    }
                }
                Poll::Ready(Err(RecvError::PeerNoise(error))) => {
                    self.cx.incidents.note(Incident::Noise, 1, Some(self.peer), error);
                }
                Poll::Ready(Err(_)) => return Poll::Ready(Err(SessionEnd::Broken)),
                Poll::Pending => break,
            }
        }
        held.take().into_iter().for_each(MessageBuffers::give);
        self.wait(task).map(Err)
    }

    /// Waits for the peer, with nothing but what the wire has of a message.
    fn wait(&mut self, task: &mut Context<'_>) -> Poll<SessionEnd> {
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

    /// Drops a message that is too large; whether that was one too many.
    fn is_offended(&mut self, len: usize) -> bool {
        self.cx.too_long(len, Some(self.peer));
        self.offences += 1;
        self.offences >= MOST_OFFENCES
    }

    /// Runs one call; while it waits, sends the earlier replies. The buffers take so much `beside` the queue.
    async fn call<T>(
        &mut self,
        call: impl Future<Output = T>,
        queue: &mut MessageQueue,
        beside: usize,
    ) -> Result<T, SessionEnd> {
        let mut call = pin!(call);
        poll_fn(|task| {
            if let Poll::Ready(result) = call.as_mut().poll(task) {
                return Poll::Ready(Ok(result));
            }
            let sent = self.poll_send(task, queue);
            if self.keeps_too_much(task, || beside + queue.memory()) {
                return Poll::Ready(Err(SessionEnd::OverBudget));
            }
            match sent {
                Poll::Ready(Err(end)) => Poll::Ready(Err(end)),
                _ => Poll::Pending,
            }
        })
        .await
    }

    /// Sends what is queued. While it waits, it keeps that and no buffers.
    fn poll_finish(&mut self, task: &mut Context<'_>, held: &mut Held) -> Poll<Result<(), SessionEnd>> {
        let Some(buffers) = held else { return self.poll_unsent(task) };
        let sent = self.poll_send(task, &mut buffers.queue);
        if sent.is_pending() {
            self.unsent = buffers.queue.take_unsent();
            held.take().into_iter().for_each(MessageBuffers::give);
            if self.keeps_too_much_unsent(task) {
                return Poll::Ready(Err(SessionEnd::OverBudget));
            }
        }
        sent
    }

    fn poll_unsent(&mut self, task: &mut Context<'_>) -> Poll<Result<(), SessionEnd>> {
        let mut unsent = std::mem::take(&mut self.unsent);
        let sent = self.poll_send(task, &mut unsent);
        if sent.is_pending() {
            self.unsent = unsent;
            if self.keeps_too_much_unsent(task) {
                return Poll::Ready(Err(SessionEnd::OverBudget));
            }
        }
        sent
    }

    fn keeps_too_much_unsent(&mut self, task: &Context<'_>) -> bool {
        let kept = self.unsent.memory();
        self.keeps_too_much(task, || kept)
    }

    /// Sends a queue; ready when it is empty, or when the peer took nothing for too long.
    fn poll_send(&mut self, task: &mut Context<'_>, queue: &mut MessageQueue) -> Poll<Result<(), SessionEnd>> {
        while let Some(message) = queue.next() {
            match self.io.poll_send(task, message) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(SendError::Io(_) | SendError::Closed)) => {
                    return Poll::Ready(Err(SessionEnd::Broken));
                }
                Poll::Ready(Err(error)) => {
                    self.lost = true;
                    self.cx.incidents.note(Incident::NotSent, 1, Some(self.peer), error);
                }
                Poll::Pending => return self.deadlines.poll_room(task, self.cx).map(Err),
            }
            queue.pass();
            self.deadlines.taken();
        }
        queue.clear();
        match self.io.poll_flush(task) {
            Poll::Ready(Ok(())) => {
                self.deadlines.taken();
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(_)) => Poll::Ready(Err(SessionEnd::Broken)),
            Poll::Pending => self.deadlines.poll_room(task, self.cx).map(Err),
        }
    }
}
