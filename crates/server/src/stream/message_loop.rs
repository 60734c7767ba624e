//! One message stream, one message handler: receive, handle, send.

mod connection;

use std::future::{Future as _, poll_fn};
use std::mem::take;
use std::pin::pin;
use std::task::Poll;

use swapwire_core::{ConnInfo, Handler, MessageStream, Request};

use self::connection::{Connection, Held};
use crate::context::PanicContext;
use crate::memory::MessageBuffers;
use crate::metrics::Incident;
use crate::session_record::SessionRecord;
use crate::{ServeContext, SessionEnd};

/// Serves one connection to its end.
///
/// What has arrived is received together, every message of it handled in order, and all replies sent together, with one flush.
/// While a call waits, the replies of the calls before it are sent. While it waits for its peer it keeps no buffer; while the
/// peer takes nothing, only the replies, and the messages that are not handled.
pub(crate) async fn serve_messages<H: Handler>(
    handler: &H,
    io: Box<dyn MessageStream>,
    mut info: ConnInfo,
    cx: &ServeContext,
) -> SessionEnd {
    info.peer.begin_session();
    let _panic_context = PanicContext { cx, peer: &info.peer };
    let limits = &*cx.limits;
    let mut conn = Connection::new(io, info.peer.addr(), cx);
    conn.record = SessionRecord::begin(cx, info.peer.addr(), Some(&info.local));
    let lines = cx.has_lines();
    let at_once = handler.properties().ready_at_once;
    let mut held: Held = None;
    let end = loop {
        if let Err(end) = poll_fn(|task| conn.poll_recv(task, &mut held)).await {
            break end;
        }
        let (mut messages, mut bytes) = (0, 0);
        let ended = loop {
            let buffers = conn.resume(&mut held);
            // Decided before the first poll: what a call that waits has borrowed cannot be moved.
            if !at_once && cx.buffers.is_exhausted() && !buffers.are_own() {
                buffers.detach(conn.max_message);
            }
            let (own, beside) = (buffers.are_own(), cx.memory_budget.as_ref().map_or(0, |_| buffers.memory()));
            let MessageBuffers { inbox, replies, out, .. } = &mut **buffers;
            let Some(message) = inbox.message() else { break None };
            messages += 1;
            bytes += message.len() as u64;
            let asked = if lines { replies.answer_line(message) } else { message };
            let mut lent = replies.call(limits.max_reply, true);
            let result = {
                let mut call = pin!(handler.handle(Request::new(asked, Some(&info.peer), &info.local), lent.reply()));
                match poll_fn(|task| Poll::Ready(call.as_mut().poll(task))).await {
                    Poll::Ready(result) => Ok(result),
                    Poll::Pending => {
                        // A call may wait for long.
                        conn.count(take(&mut messages), take(&mut bytes));
                        let _loan = (!own).then(|| cx.buffers.lend());
                        // Those of calls that are ready at once are not in the queue yet.
                        conn.wait_for(call, (!at_once).then_some(&mut *out), beside).await
                    }
                }
            };
            match result.map(|result| lent.end(result)) {
                Ok(Ok(())) => {
                    out.direct(conn.peer, None);
                    if at_once {
                        out.push_kept(replies);
                        replies.keep();
                    } else {
                        out.push_replies(replies);
                    }
                }
                // A failed call replies nothing.
                Ok(Err(error)) => {
                    cx.incidents.tell(Incident::HandlerError, Some(info.peer.addr()), error);
                    replies.discard();
                    break Some(SessionEnd::HandlerError);
                }
                Err(end) => {
                    replies.discard();
                    break Some(end);
                }
            }
            inbox.pass();
            if replies.closes() {
                break Some(SessionEnd::Done);
            }
            let queued = if at_once { replies.bytes() } else { out.bytes() };
            if queued >= limits.out_queue {
                if at_once {
                    out.take_bytes(replies);
                }
                if let Err(end) = poll_fn(|task| conn.poll_finish(task, &mut held)).await {
                    break Some(end);
                }
            }
        };
        conn.count(messages, bytes);
        // What could not be sent is not tried again.
        if let Some(end @ (SessionEnd::Broken | SessionEnd::WriteTimeout | SessionEnd::OverBudget)) = ended {
            break end;
        }
        if at_once
            && let Some(buffers) = &mut held
            && !buffers.out.is_empty()
        {
            buffers.out.take_bytes(&mut buffers.replies);
        }
        if let Err(end) = poll_fn(|task| conn.poll_finish(task, &mut held)).await {
            break end;
        }
        if let Some(end) = ended {
            break end;
        }
        if conn.deadlines.drain_is_over(cx) {
            break SessionEnd::Drained;
        }
        if conn.must_yield() {
            // The sessions that run meanwhile need buffers too.
            held.take().into_iter().for_each(MessageBuffers::give);
            conn.has_asked = false;
            tokio::task::yield_now().await;
        }
    };
    held.into_iter().for_each(MessageBuffers::give);
    conn.note_end(end);
    cx.tell_end(end, &info.peer);
    conn.close(end).await;
    end
}
