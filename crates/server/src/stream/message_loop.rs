//! One message stream, one message handler.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use swapwire_core::server::Replies;
use swapwire_core::{Addr, ConnInfo, Framing, Handler, MessageStream, RecvError, Request, SendError};

use super::deadlines::Deadlines;
use crate::context::PanicContext;
use crate::drain::LINGER;
use crate::memory::HeldMemory;
use crate::metrics::{Incident, Stats};
use crate::time::within;
use crate::{ServeContext, SessionEnd};

/// After so many errors in a row, other tasks run.
const ROW: u32 = 64;
/// So many messages above the limit end a session: each costs the peer less than it costs here.
const MOST_OFFENCES: u32 = 100;

/// Serves one connection to its end: receive, handle, send.
pub(crate) async fn serve_messages<H: Handler>(
    handler: &H,
    io: Box<dyn MessageStream>,
    mut info: ConnInfo,
    cx: &ServeContext,
) -> SessionEnd {
    info.peer.begin_session();
    let _panic_context = PanicContext { cx, peer: &info.peer };
    let limits = &*cx.limits;
    let max = io.max_message().min(limits.max_message);
    let mut conn = Connection {
        io,
        queue: Queue::default(),
        deadlines: Deadlines::new(&cx.timers),
        offences: 0,
        memory: HeldMemory::default(),
        beside: 0,
        peer: info.peer.addr(),
        cx,
    };
    let mut replies = Replies::new(Framing::Chunks.encoder(max));
    let lines = cx.has_lines();
    let mut message = BytesMut::new();
    let mut served = false;
    let end = loop {
        message.clear();
        conn.beside = message.capacity() + replies.memory();
        match conn.recv(&mut message, served).await {
            Ok(Some(len)) if len > limits.max_message => match conn.is_offended(len) {
                true => break SessionEnd::BadFrame,
                false => continue,
            },
            Ok(Some(_)) => {}
            Ok(None) => break SessionEnd::Done,
            Err(end) => break end,
        }
        served = true;
        if conn.deadlines.drain_is_over(cx) {
            break SessionEnd::Drained;
        }
        Stats::one(&cx.stats.messages);
        let asked = if lines { replies.answer_line(&message) } else { &*message };
        let mut lent = replies.call(limits.max_reply, true);
        let call = handler.handle(Request::new(asked, Some(&info.peer), &info.local), lent.reply());
        match conn.call(call).await.map(|result| lent.end(result)) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                cx.incidents.tell(Incident::HandlerError, Some(info.peer.addr()), error);
                break SessionEnd::HandlerError;
            }
            Err(end) => break end,
        }
        conn.queue.push(&replies);
        if replies.closes() {
            break SessionEnd::Done;
        }
        if conn.queue.bytes.len() >= limits.out_queue
            && let Err(end) = poll_fn(|cx| conn.poll_send(cx)).await
        {
            break end;
        }
    };
    cx.tell_end(end, &info.peer);
    if !matches!(end, SessionEnd::WriteTimeout | SessionEnd::Broken | SessionEnd::OverBudget)
        && poll_fn(|cx| conn.poll_send(cx)).await.is_ok()
    {
        let _ = within(LINGER, &cx.stats, poll_fn(|cx| conn.io.poll_shutdown(cx))).await;
    }
    end
}

/// Replies that wait to be sent: at most `out_queue` and the replies of one call.
#[derive(Default)]
struct Queue {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    sent: usize,
}

impl Queue {
    fn push(&mut self, replies: &Replies) {
        for message in replies.messages() {
            self.bytes.extend_from_slice(message);
            self.ends.push(self.bytes.len());
        }
    }

    fn memory(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<usize>()
    }
}
struct Connection<'a> {
    io: Box<dyn MessageStream>,
    queue: Queue,
    deadlines: Deadlines<'a>,
    offences: u32,
    memory: HeldMemory,
    /// What its buffers take beside the queue.
    beside: usize,
    peer: &'a Addr,
    cx: &'a ServeContext,
}

impl Connection<'_> {
    /// Receives a message, sending the queued replies first.
    async fn recv(&mut self, into: &mut BytesMut, served: bool) -> Result<Option<usize>, SessionEnd> {
        poll_fn(|cx| {
            ready!(self.poll_send(cx))?;
            for errors in 0.. {
                if errors == ROW {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                match self.io.poll_recv(cx, into) {
                    Poll::Ready(Ok(len)) => {
                        self.deadlines.heard();
                        return Poll::Ready(Ok(len));
                    }
                    Poll::Ready(Err(RecvError::TooLarge { len, .. })) => {
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
            if self.keeps_too_much(cx) {
                return Poll::Ready(Err(SessionEnd::OverBudget));
            }
            self.deadlines.poll_peer(cx, served, self.cx).map(Err)
        })
        .await
    }

    /// Counts what it keeps while it waits.
    fn keeps_too_much(&mut self, cx: &Context<'_>) -> bool {
        let kept = self.beside + self.queue.memory();
        self.memory.set(self.cx.memory_budget.as_ref(), kept, cx.waker())
    }

    /// Drops a message that is too large; whether that was one too many.
    fn is_offended(&mut self, len: usize) -> bool {
        self.cx.too_long(len, Some(self.peer));
        self.offences += 1;
        self.offences >= MOST_OFFENCES
    }

    /// Runs one call; while it waits, sends the earlier replies.
    async fn call<T>(&mut self, call: impl Future<Output = T>) -> Result<T, SessionEnd> {
        let mut call = pin!(call);
        poll_fn(|cx| {
            if let Poll::Ready(result) = call.as_mut().poll(cx) {
                return Poll::Ready(Ok(result));
            }
            match self.poll_send(cx) {
                Poll::Ready(Err(end)) => Poll::Ready(Err(end)),
                _ => Poll::Pending,
            }
        })
        .await
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SessionEnd>> {
        let queue = &mut self.queue;
        while let Some(&end) = queue.ends.get(queue.sent) {
            let start = queue.sent.checked_sub(1).map_or(0, |before| queue.ends[before]);
            match self.io.poll_send(cx, &queue.bytes[start..end]) {
                Poll::Ready(result) => {
                    match result {
                        Ok(()) => {}
                        Err(SendError::Io(_) | SendError::Closed) => return Poll::Ready(Err(SessionEnd::Broken)),
                        Err(error) => self.cx.incidents.note(Incident::NotSent, 1, Some(self.peer), error),
                    }
                    queue.sent += 1;
                    self.deadlines.taken();
                }
                Poll::Pending => {
                    if self.keeps_too_much(cx) {
                        return Poll::Ready(Err(SessionEnd::OverBudget));
                    }
                    return self.deadlines.poll_room(cx, self.cx).map(Err);
                }
            }
        }
        queue.bytes.clear();
        queue.ends.clear();
        queue.sent = 0;
        self.io.poll_flush(cx).map_err(|_| SessionEnd::Broken)
    }
}
