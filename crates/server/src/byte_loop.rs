//! One byte stream, one message handler: read, cut, handle, write.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use swapwire_core::{ByteStream, ConnInfo, Decoded, FrameDecoder, Handler, HandlerError, Reply, Request};
use tokio::io::AsyncWrite as _;
use tokio::time::Instant;

use crate::close::{linger, patience};
use crate::context::{DrainWatch, QUIET};
use crate::deadline::{Deadlines, after};
use crate::input::{Input, Turn};
use crate::stats::Stats;
use crate::{ServeContext, SessionEnd, pool};

/// After so many bytes without a wait, the task lets others run.
const TURN_BUDGET: usize = 256 * 1024;

/// Serves one connection to its end.
///
/// One read, every whole message of it handled in order, one write. While a call waits, the replies of the calls before
/// it are written.
pub(crate) async fn serve_bytes<H: Handler>(
    handler: &H,
    io: Box<dyn ByteStream>,
    info: ConnInfo,
    cx: &ServeContext,
) -> SessionEnd {
    let mut conn = Connection {
        io,
        out: Vec::new(),
        written: 0,
        waiting_since: None,
        stuck_since: None,
        deadlines: Deadlines::new(&cx.limits),
        drain: cx.drain.watch(),
        drain_seen: None,
        budget: TURN_BUDGET,
        cx,
    };
    let end = conn.serve(handler, &info).await;
    match end {
        SessionEnd::WriteTimeout | SessionEnd::Broken => {}
        _ => {
            let replied = !conn.out.is_empty();
            if conn.write_all().await.is_ok() {
                let quiet = matches!(end, SessionEnd::Drained | SessionEnd::IdleTimeout) && !replied;
                let active_at = conn.waiting_since.filter(|_| quiet).unwrap_or_else(Instant::now);
                linger(conn.io, patience(cx, active_at)).await;
            }
        }
    }
    end
}

struct Connection<'a> {
    io: Box<dyn ByteStream>,
    /// Framed replies; `out[..written]` is gone.
    out: Vec<u8>,
    written: usize,
    /// Since when there is nothing to do but to wait for the peer.
    waiting_since: Option<Instant>,
    /// Since when the peer has taken nothing.
    stuck_since: Option<Instant>,
    deadlines: Deadlines,
    drain: DrainWatch,
    drain_seen: Option<Instant>,
    /// Bytes that may still be read before the task has to wait, or lets others run.
    budget: usize,
    cx: &'a ServeContext,
}

enum Read {
    Turn(Turn, usize),
    End(SessionEnd),
}

impl Connection<'_> {
    async fn serve<H: Handler>(&mut self, handler: &H, info: &ConnInfo) -> SessionEnd {
        let limits = &*self.cx.limits;
        let mut decoder = self.cx.framing.decoder(limits.max_message);
        let mut reply = Reply::framed(limits.max_reply, self.cx.framing.encoder(limits.max_reply));
        let mut input = Input::default();
        let mut frame_deadline = None;
        let mut served = false;
        loop {
            let (mut turn, new) = match self.read(&mut input, frame_deadline, served).await {
                Read::Turn(turn, new) => (turn, new),
                Read::End(end) => return end,
            };
            reply.replace_buffer(pool::take_out());
            let (messages, end) = self.handle_all(handler, info, &mut decoder, &mut reply, &mut turn, new == 0).await;
            pool::give_out(reply.replace_buffer(Vec::new()));
            Stats::add(&self.cx.stats.messages, messages);
            served |= messages > 0;
            input.keep(turn);
            if let Err(end) = self.write_all().await {
                return end;
            }
            match end {
                Err(end) => return end,
                Ok(()) if new == 0 => return SessionEnd::Done,
                Ok(()) => {}
            }
            if self.drain_is_over() {
                return SessionEnd::Drained;
            }
            frame_deadline = match frame_deadline {
                _ if !input.is_partial() => None,
                Some(deadline) if messages == 0 => Some(deadline),
                _ => after(Instant::now(), limits.frame_timeout),
            };
            self.budget = self.budget.saturating_sub(new);
            if self.budget == 0 {
                self.budget = TURN_BUDGET;
                tokio::task::yield_now().await;
            }
        }
    }

    /// Whether a peer that never pauses has had the grace of the drain.
    fn drain_is_over(&mut self) -> bool {
        self.cx.drain.has_begun() && {
            let seen = self.drain_seen.get_or_insert_with(Instant::now);
            seen.elapsed() >= self.cx.limits.drain_grace
        }
    }

    /// Waits for bytes, a deadline, or the drain.
    async fn read(&mut self, input: &mut Input, frame_deadline: Option<Instant>, served: bool) -> Read {
        let limits = &*self.cx.limits;
        let partial = input.is_partial();
        self.waiting_since = None;
        poll_fn(|cx| {
            match input.poll_turn(cx, &mut self.io) {
                Poll::Ready(Ok((turn, new))) => return Poll::Ready(Read::Turn(turn, new)),
                Poll::Ready(Err(_)) => return Poll::Ready(Read::End(SessionEnd::Broken)),
                Poll::Pending => self.budget = TURN_BUDGET,
            }
            let now = Instant::now();
            let since = *self.waiting_since.get_or_insert(now);
            let (mut deadline, mut late) = match partial {
                true => (frame_deadline, SessionEnd::FrameTimeout),
                false => (after(since, limits.idle_timeout), SessionEnd::IdleTimeout),
            };
            if self.drain.poll(cx) {
                let seen = *self.drain_seen.get_or_insert(now);
                let grace = seen + if served && !partial { QUIET } else { limits.drain_grace };
                deadline = Some(deadline.map_or(grace, |deadline| deadline.min(grace)));
                late = SessionEnd::Drained;
            }
            self.deadlines.poll(cx, now, deadline).map(|()| Read::End(late))
        })
        .await
    }

    /// Handles every whole message of the turn.
    async fn handle_all<H: Handler>(
        &mut self,
        handler: &H,
        info: &ConnInfo,
        decoder: &mut FrameDecoder,
        reply: &mut Reply,
        turn: &mut Turn,
        eof: bool,
    ) -> (u64, Result<(), SessionEnd>) {
        let limits = &*self.cx.limits;
        let mut messages = 0;
        let result = loop {
            let owned;
            let (message, consumed) = match decoder.decode(turn.unread(), eof) {
                Ok(Decoded::Frame { message, consumed }) => (&turn.unread()[message], consumed),
                Ok(Decoded::Owned { message, consumed }) => {
                    owned = message;
                    (&owned[..], consumed)
                }
                Ok(Decoded::Need { consumed, .. }) => {
                    turn.consume(consumed);
                    break Ok(());
                }
                Err(error) => {
                    tracing::debug!(peer = %info.peer, %error, "bad frame");
                    break Err(SessionEnd::BadFrame);
                }
            };
            messages += 1;
            reply.reset(limits.max_reply, true);
            let call = handler.handle(Request::new(message, Some(&info.peer), &info.local), reply);
            let result = self.call(call).await;
            turn.consume(consumed);
            match result {
                Err(end) => break Err(end),
                // A failed call replies nothing: what it left may be half a message.
                Ok(Err(error)) => {
                    tracing::debug!(peer = %info.peer, %error, "handler error");
                    break Err(SessionEnd::HandlerError);
                }
                Ok(Ok(())) => reply.drain_into(&mut self.out),
            }
            if reply.closes() {
                break Err(SessionEnd::Done);
            }
            if turn.unread().is_empty() && !decoder.keeps_input() {
                break Ok(());
            }
            if self.out.len() - self.written >= limits.out_queue
                && let Err(end) = self.write_all().await
            {
                break Err(end);
            }
        };
        (messages, result)
    }

    /// Runs one call; while it waits, writes the earlier replies.
    async fn call(
        &mut self,
        call: impl Future<Output = Result<(), HandlerError>>,
    ) -> Result<Result<(), HandlerError>, SessionEnd> {
        let mut call = pin!(call);
        poll_fn(|cx| {
            if let Poll::Ready(result) = call.as_mut().poll(cx) {
                return Poll::Ready(Ok(result));
            }
            match self.poll_write(cx) {
                Poll::Ready(Err(end)) => Poll::Ready(Err(end)),
                _ => Poll::Pending,
            }
        })
        .await
    }

    async fn write_all(&mut self) -> Result<(), SessionEnd> {
        poll_fn(|cx| self.poll_write(cx)).await
    }

    /// Writes the replies; ready when they are gone, or when the peer took nothing for too long.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SessionEnd>> {
        if self.out.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while self.written < self.out.len() {
            match Pin::new(&mut self.io).poll_write(cx, &self.out[self.written..]) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(SessionEnd::Broken)),
                Poll::Ready(Ok(len)) => {
                    self.written += len;
                    self.stuck_since = None;
                }
                Poll::Pending => {
                    let now = Instant::now();
                    let since = *self.stuck_since.get_or_insert(now);
                    let deadline = after(since, self.cx.limits.write_timeout);
                    return self.deadlines.poll(cx, now, deadline).map(|()| Err(SessionEnd::WriteTimeout));
                }
            }
        }
        if ready!(Pin::new(&mut self.io).poll_flush(cx)).is_err() {
            return Poll::Ready(Err(SessionEnd::Broken));
        }
        pool::give_out(std::mem::take(&mut self.out));
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}
