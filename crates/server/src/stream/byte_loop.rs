//! One byte stream, one message handler: read, cut, handle, write.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use swapwire_core::{ByteStream, ConnInfo, Decoded, Framing, Handler, Request};

use super::connection::{Connection, OwnParts};
use super::reading::Reading;
use crate::context::PanicContext;
use crate::memory::WorkerBuffers;
use crate::metrics::Incident;
use crate::session_record::SessionRecord;
use crate::{ServeContext, SessionEnd};

/// Serves one connection to its end.
///
/// One read, every whole message of it handled in order, one write. While a call waits, the replies of the calls before
/// it are written.
///
/// All of it is one flat future: what a message costs is mostly how many futures are polled for it, and an idle session
/// keeps nothing but this. (Not an `async fn`, which would keep its arguments twice.)
pub(crate) fn serve_bytes<H: Handler>(
    handler: Arc<H>,
    io: Box<dyn ByteStream>,
    framing: Option<&Framing>,
    info: ConnInfo,
    cx: Arc<ServeContext>,
) -> impl Future<Output = SessionEnd> + Send + use<H> {
    let mut peer = info.peer;
    peer.begin_session();
    let mut own = OwnParts::of(framing, info.local, &cx);
    async move {
        let of = PanicContext { cx: &cx, peer: &peer };
        let limits = &*of.cx.limits;
        let mut conn = Connection::new(io, own.as_mut().and_then(|own| own.frames.take()), of.cx);
        // An idle session keeps what it needs.
        own = own.filter(|own| own.local.is_some());
        let local = own.as_ref().and_then(|own| own.local.as_ref()).or(of.cx.bound.as_ref()).unwrap_or(peer.addr());
        conn.record = SessionRecord::begin(of.cx, peer.addr(), Some(local));
        let mut reading = Reading::default();
        let at_once = handler.properties().ready_at_once;
        let end = loop {
            if let Some(end) = poll_fn(|task| conn.poll_read(task, &mut reading)).await {
                break end;
            }
            // Of one read: what is small costs an idle session nothing.
            let (mut messages, mut counted, mut replied) = (0_u32, 0_u32, 0_u32);
            let ended = 'read: loop {
                let owned;
                let eof = reading.new == 0;
                'frame: {
                    let (range, message) = match conn.decoder.decode(reading.bytes(), eof) {
                        Ok(Decoded::Frame { message, consumed }) => {
                            let range = reading.from + message.start..reading.from + message.end;
                            reading.from += consumed;
                            (range, None)
                        }
                        Ok(Decoded::Owned { message, consumed }) => {
                            reading.from += consumed;
                            conn.holds_part = false;
                            owned = message;
                            (0..0, Some(&owned[..]))
                        }
                        Ok(Decoded::Need { consumed, partial }) => {
                            reading.from += consumed;
                            conn.holds_part = partial;
                            break 'read None;
                        }
                        Ok(Decoded::Control { payload, consumed }) => {
                            let payload = reading.from + payload.start..reading.from + payload.end;
                            reading.from += consumed;
                            if let Some(end) = conn.answer(&mut reading, payload) {
                                break 'read Some(end);
                            }
                            break 'frame;
                        }
                        Err(error) => break 'read Some(conn.bad_frame(&mut reading, error, of.peer)),
                    };
                    messages += 1;
                    // Decided before the first poll: what a call that waits has borrowed cannot be moved.
                    let range =
                        if of.cx.buffers.is_exhausted() { reading.detach(range, &of.cx.buffers) } else { range };
                    // Held from the read to the end of its handling.
                    let Some(buffers) = &mut reading.buffers else { break 'read Some(SessionEnd::Broken) };
                    let WorkerBuffers { input, replies, out, .. } = &mut **buffers;
                    let mut message = message.unwrap_or(&input[range]);
                    if conn.has_state() {
                        message = conn.follow(replies, message);
                    }
                    let mut lent = replies.call(limits.max_reply, true);
                    let result = {
                        let mut call = pin!(handler.handle(Request::new(message, Some(of.peer), local), lent.reply()));
                        match poll_fn(|task| Poll::Ready(call.as_mut().poll(task))).await {
                            Poll::Ready(result) => Ok(result),
                            Poll::Pending => {
                                // A call may wait for long. Of those of one read, the first that does tells.
                                if counted == 0 {
                                    conn.handled(messages, 0, reading.new);
                                    counted = messages;
                                }
                                let _loan = reading.owner.lend(&of.cx.buffers);
                                if of.cx.memory_budget.is_none() {
                                    poll_fn(|task| match conn.poll_write_meanwhile(task, out) {
                                        Poll::Ready(Err(end)) => Poll::Ready(Err(end)),
                                        _ => call.as_mut().poll(task).map(Ok),
                                    })
                                    .await
                                } else {
                                    let kept = reading.owner.memory(out);
                                    let too_much = poll_fn(|task| Poll::Ready(conn.keeps_too_much(task, || kept)));
                                    if too_much.await {
                                        break 'read Some(SessionEnd::OverBudget);
                                    }
                                    poll_fn(|task| match conn.poll_write_within_budget(task, out) {
                                        Poll::Ready(Err(end)) => Poll::Ready(Err(end)),
                                        _ => call.as_mut().poll(task).map(Ok),
                                    })
                                    .await
                                }
                            }
                        }
                    };
                    match result.map(|result| lent.end(result)) {
                        Ok(Ok(())) => {
                            replied = replied.wrapping_add(buffers.replies.len() as u32);
                            match at_once {
                                true => buffers.replies.keep(),
                                false => buffers.replies.drain_into(&mut buffers.out),
                            }
                        }
                        // A failed call replies nothing.
                        Ok(Err(error)) => {
                            of.cx.incidents.tell(Incident::HandlerError, Some(of.peer.addr()), error);
                            buffers.replies.discard();
                            break 'read Some(SessionEnd::HandlerError);
                        }
                        Err(end) => {
                            buffers.replies.discard();
                            break 'read Some(end);
                        }
                    }
                    if buffers.replies.closes() {
                        break 'read Some(SessionEnd::Done);
                    }
                    if reading.from == reading.to && !conn.decoder.keeps_input() {
                        break 'read None;
                    }
                }
                if reading.queued() >= limits.out_queue
                    && let Err(end) = poll_fn(|task| conn.poll_empty(task, &mut reading)).await
                {
                    break Some(end);
                }
            };
            conn.handled(messages - counted, replied, if counted == 0 { reading.new } else { 0 });
            conn.keep(&mut reading, messages > 0);
            // What could not be written is not tried again.
            if let Some(end @ (SessionEnd::Broken | SessionEnd::WriteTimeout | SessionEnd::OverBudget)) = ended {
                break end;
            }
            if let Err(end) = poll_fn(|task| conn.poll_finish(task, &mut reading)).await {
                break end;
            }
            match ended {
                Some(end) => break end,
                None if reading.new == 0 => break SessionEnd::Done,
                None if conn.drain_is_over() => break SessionEnd::Drained,
                None => {}
            }
            if conn.must_yield(reading.new) {
                // The sessions that run meanwhile need buffers too.
                reading.give();
                tokio::task::yield_now().await;
                if conn.is_over_budget() {
                    break SessionEnd::OverBudget;
                }
            }
        };
        conn.note_end(end);
        of.cx.tell_end(end, of.peer);
        // Boxed, so that a session that goes on need not keep room for it.
        Box::pin(conn.close(reading, end)).await
    }
}

#[cfg(all(test, target_pointer_width = "64"))]
mod tests {
    use swapwire_core::{Addr, Peer, handler_fn};

    use super::*;

    #[test]
    fn an_idle_session_stays_small() {
        let handler = Arc::new(handler_fn(|request, reply| Ok(reply.send(request.message())?)));
        let addr = Addr::named("test", "here").expect("short");
        let info = ConnInfo::new(Peer::new(addr), addr);
        let session =
            serve_bytes(handler, Box::new(tokio::io::empty()), None, info, Arc::new(ServeContext::for_test()));
        let size = std::mem::size_of_val(&session);
        // glibc adds 8 bytes and rounds up to 16.
        assert!(size <= 656, "{size} bytes");
    }
}
