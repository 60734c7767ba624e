//! Runs a message handler over a batch of datagrams, in place; a call that waits is left behind with its datagram.
//!
//! The receiving loop puts a [`Work`] on the desk and polls the runner. Calls that are ready at once cost no allocation, no
//! lock and no task. When a call is not ready, the work goes back to the desk while the call keeps what it borrowed, and
//! the loop goes on with a fresh runner.

use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use swapwire_core::{Addr, Framing, Handler, HandlerError, Peer, RecvBatch, Reply, ReplyError, Request, SendBatch};

use crate::ServeContext;
use crate::stats::Stats;

/// Replies to one batch go out together, unless there are more than this.
const MOST_REPLIES: usize = 1024;

/// A batch of datagrams, how far it is handled, and the replies so far.
pub(crate) struct Work {
    pub(crate) batch: Arc<RecvBatch>,
    /// A call that waits keeps the batch; otherwise it gets a copy of its datagram.
    pub(crate) lend: bool,
    pub(crate) next: usize,
    /// Where in a train of datagrams the next one starts.
    pub(crate) offset: usize,
    pub(crate) out: SendBatch,
    pub(crate) handled: u64,
}

/// One datagram of the work.
#[derive(Clone, Copy)]
struct Item {
    slot: usize,
    from: usize,
    to: usize,
    peer: Option<Addr>,
    local: Option<IpAddr>,
}

impl Item {
    fn bytes<'a>(&self, batch: &'a RecvBatch) -> &'a [u8] {
        batch.get(self.slot).map_or(&[], |(_, bytes)| &bytes[self.from..self.to])
    }
}

impl Work {
    pub(crate) fn is_done(&self) -> bool {
        self.next >= self.batch.len()
    }

    fn claim(&mut self, cx: &ServeContext, own: Option<Addr>) -> Option<Item> {
        loop {
            let (meta, bytes) = self.batch.get(self.next)?;
            let segment = meta.segment.map_or(bytes.len(), |segment| segment.get());
            let (slot, from) = (self.next, self.offset);
            let to = bytes.len().min(from + segment);
            if to >= bytes.len() {
                self.next += 1;
                self.offset = 0;
            } else {
                self.offset = to;
            }
            if meta.truncated {
                Stats::one(&cx.stats.truncated);
                continue;
            }
            if meta.peer.is_some() && meta.peer == local_addr(own, meta.local) {
                // Two servers, or one with itself, would answer each other for ever.
                Stats::one(&cx.stats.dropped_requests);
                continue;
            }
            return Some(Item { slot, from, to, peer: meta.peer, local: meta.local });
        }
    }

    fn push(&mut self, reply: &Reply, item: &Item) {
        if let Some(peer) = item.peer {
            for message in reply.messages() {
                self.out.push(message, peer, item.local);
            }
        }
    }
}

/// What a call that had to wait replied in the end.
pub(crate) struct Late {
    pub(crate) reply: Reply,
    pub(crate) to: Option<Addr>,
    pub(crate) local: Option<IpAddr>,
}

/// Where the loop and its runner hand the work to each other.
#[derive(Default)]
pub(crate) struct Desk(Mutex<Slot>);

#[derive(Default)]
enum Slot {
    #[default]
    Empty,
    Todo(Box<Work>),
    Back(Box<Work>, bool),
}

impl Desk {
    fn swap(&self, slot: Slot) -> Slot {
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), slot)
    }

    pub(crate) fn put(&self, work: Box<Work>) {
        self.swap(Slot::Todo(work));
    }

    /// The work that came back, and whether the runner is waiting with a call of it.
    pub(crate) fn take_back(&self) -> Option<(Box<Work>, bool)> {
        match self.swap(Slot::Empty) {
            Slot::Back(work, waits) => Some((work, waits)),
            _ => None,
        }
    }

    async fn take(&self) -> Box<Work> {
        poll_fn(|_| match self.swap(Slot::Empty) {
            Slot::Todo(work) => Poll::Ready(work),
            other => {
                self.swap(other);
                Poll::Pending
            }
        })
        .await
    }
}

/// Handles works from the desk until a call has to wait; then ends with that call's replies.
pub(crate) async fn run<H: Handler>(
    handler: Arc<H>,
    desk: Arc<Desk>,
    cx: Arc<ServeContext>,
    own: Option<Addr>,
    max_message: usize,
) -> Late {
    let limits = Arc::clone(&cx.limits);
    let bounded = cx.capabilities.spoofable && !handler.amplifies();
    let unknown = Addr::Unix(swapwire_core::UnixAddr::UNNAMED);
    let mut reply = Reply::framed(limits.max_reply, Framing::Chunks.encoder(max_message));
    let mut copy = Vec::new();
    loop {
        let mut work = desk.take().await;
        let lent = work.lend.then(|| Arc::clone(&work.batch));
        while let Some(item) = work.claim(&cx, own) {
            work.handled += 1;
            let message = match &lent {
                Some(batch) => item.bytes(batch),
                None => {
                    copy.clear();
                    copy.extend_from_slice(item.bytes(&work.batch));
                    &copy
                }
            };
            let room = if bounded { limits.max_reply.min((3 * message.len()).max(64)) } else { limits.max_reply };
            reply.reset(room, item.peer.is_some());
            let peer = item.peer.map(Peer::new);
            let local = local_addr(own, item.local).unwrap_or(unknown);
            let (result, back) = {
                let call = pin!(handler.handle(Request::new(message, peer.as_ref(), &local), &mut reply));
                Call { call, work: Some(work), desk: &desk }.await
            };
            settle(&mut reply, result, &cx);
            let Some(mine) = back else {
                return Late { reply, to: item.peer, local: item.local };
            };
            work = mine;
            work.push(&reply, &item);
            if work.out.bytes() >= limits.out_queue || work.out.len() >= MOST_REPLIES {
                break;
            }
        }
        drop(lent);
        desk.swap(Slot::Back(work, false));
    }
}

/// The address that a datagram reached on a socket bound to `own`.
pub(crate) fn local_addr(own: Option<Addr>, local: Option<IpAddr>) -> Option<Addr> {
    match (own, local) {
        (Some(Addr::Inet(own)), Some(ip)) => Some(Addr::Inet(std::net::SocketAddr::new(ip, own.port()))),
        _ => own,
    }
}

/// Counts what went wrong; a failed call replies nothing.
fn settle(reply: &mut Reply, result: Option<Result<(), HandlerError>>, cx: &ServeContext) {
    match result {
        Some(Ok(())) => return,
        Some(Err(error)) if matches!(error.downcast_ref(), Some(ReplyError::NoReturnAddress)) => {
            Stats::one(&cx.stats.failed_replies);
        }
        Some(Err(error)) => {
            tracing::debug!(%error, "handler error");
            Stats::one(&cx.stats.handler_errors);
        }
        None => Stats::one(&cx.stats.panics),
    }
    reply.reset(0, false);
}

/// One call. When it is not ready at once, the work goes back to the desk.
struct Call<'a, F> {
    call: Pin<&'a mut F>,
    work: Option<Box<Work>>,
    desk: &'a Desk,
}

impl<F: Future> Future for Call<'_, F> {
    /// `None`: the call panicked. The work, unless it went back.
    type Output = (Option<F::Output>, Option<Box<Work>>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        match catch_unwind(AssertUnwindSafe(|| this.call.as_mut().poll(cx))) {
            Ok(Poll::Ready(result)) => Poll::Ready((Some(result), this.work.take())),
            Err(_) => Poll::Ready((None, this.work.take())),
            Ok(Poll::Pending) => {
                if let Some(work) = this.work.take() {
                    this.desk.swap(Slot::Back(work, true));
                }
                Poll::Pending
            }
        }
    }
}
