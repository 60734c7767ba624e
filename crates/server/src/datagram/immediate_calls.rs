//! A batch of datagrams and a handler whose calls are ready at once: no future outlives its first poll, so all of it is one
//! plain loop over the batch, and the replies lie where they will be sent from.

use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Poll};

use swapwire_core::server::Replies;
use swapwire_core::{Addr, Framing, Handler, HandlerError, Peer, Request, SendBatch, UnixAddr};

use super::call_runner::{MOST_REPLIES, Work, local_addr, settle};
use super::source_filter::{SourceFilter, fits};
use crate::ServeContext;
use crate::limits::AmplificationBound;
use crate::tasks::catch;

/// What handling a batch takes besides the batch.
pub(crate) struct ImmediateCalls {
    replies: Replies,
    /// Of the datagram at hand.
    peer: Peer,
    own: Option<Addr>,
    filter: SourceFilter,
    bound: AmplificationBound,
    lines: bool,
}

impl ImmediateCalls {
    /// For a handler that is [ready at once](swapwire_core::HandlerProperties::ready_at_once); `None` for others.
    pub(crate) fn new(
        handler: &impl Handler,
        filter: &SourceFilter,
        max_message: usize,
        cx: &ServeContext,
    ) -> Option<Self> {
        if !handler.properties().ready_at_once {
            return None;
        }
        let mut replies = Replies::new(Framing::Chunks.encoder(max_message));
        replies.set_enough(cx.limits.out_queue);
        Some(Self {
            replies,
            peer: Peer::new(Addr::Unix(UnixAddr::UNNAMED)),
            own: filter.own(),
            filter: filter.clone(),
            bound: AmplificationBound::new(
                &cx.capabilities,
                filter.own(),
                handler.properties().amplifies,
                cx.limits.max_reply,
            ),
            lines: cx.has_lines(),
        })
    }

    /// Handles the work, or as much of it as gives a full batch of replies, and puts them into `out`, which is empty.
    pub(crate) fn handle(
        &mut self,
        handler: &impl Handler,
        work: &mut Work,
        out: &mut SendBatch,
        task: &mut Context<'_>,
        cx: &ServeContext,
    ) {
        loop {
            let ran = catch(|| self.run(handler, work, out, task, cx));
            let (goes_on, result) = (ran.is_none() || self.replies.has_refused(), ran.map(Ok));
            // Of the call that it stopped at.
            let peer = self.replies.is_answerable().then_some(&self.peer);
            settle(&mut self.replies, result, peer, self.bound, cx);
            if !goes_on || self.replies.is_enough() || out.len() >= MOST_REPLIES {
                break;
            }
        }
        out.take_bytes(&mut self.replies);
    }

    fn run(
        &mut self,
        handler: &impl Handler,
        work: &mut Work,
        out: &mut SendBatch,
        task: &mut Context<'_>,
        cx: &ServeContext,
    ) {
        let bound = self.own.unwrap_or(Addr::Unix(UnixAddr::UNNAMED));
        while let Some((meta, bytes)) = work.batch.get(work.next) {
            if !self.filter.admits(meta, cx) {
                work.skip();
                continue;
            }
            let asked = meta.local.and_then(|local| local_addr(self.own, Some(local)));
            let local = asked.as_ref().unwrap_or(&bound);
            let peer = meta.peer.as_ref().map(|addr| {
                out.direct(addr, meta.local);
                self.peer.become_at(addr);
                &self.peer
            });
            loop {
                let (message, behind) = meta.cut(bytes, work.offset);
                let last = match behind {
                    Some(behind) => {
                        work.offset = behind;
                        false
                    }
                    None => {
                        work.next += 1;
                        work.offset = 0;
                        true
                    }
                };
                if !fits(message.len(), meta, cx) {
                    match last {
                        true => break,
                        false => continue,
                    }
                }
                // Before the call: one that panics is not made again.
                work.handled += 1;
                work.bytes += message.len() as u64;
                let most = self.bound.of_call(message.len());
                let message = if self.lines { self.replies.answer_line(message) } else { message };
                let mut lent = self.replies.call(most, peer.is_some());
                let called = {
                    let call = pin!(handler.handle(Request::new(message, peer, local), lent.reply()));
                    call.poll(task)
                };
                let failed = match called {
                    Poll::Ready(result) => lent.end(result).err(),
                    Poll::Pending => Some(waits()),
                };
                if let Some(error) = failed {
                    settle(&mut self.replies, Some(Err(error)), peer, self.bound, cx);
                }
                // Without an address nothing was replied.
                if peer.is_some() {
                    out.push_kept(&self.replies);
                }
                self.replies.keep();
                // The replies are to be sent first, or a refusal is to be looked at.
                if self.replies.is_enough() || out.len() >= MOST_REPLIES {
                    return;
                }
                if last {
                    break;
                }
            }
        }
    }
}

#[cold]
fn waits() -> HandlerError {
    "a handler that declares to be ready at once waits; its call was dropped".into()
}
