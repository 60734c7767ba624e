//! Runs a message handler over a batch of datagrams, in place; a call that waits is left behind with its datagram.
//!
//! The receiving loop puts a [`Work`] into the exchange and polls the runner. Calls that are ready at once cost no allocation, no
//! lock and no task. When a call is not ready, the work goes back while the call keeps what it borrowed, and
//! the loop goes on with a fresh runner.

use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use swapwire_core::server::{Refused, Replies};
use swapwire_core::{Addr, Framing, Handler, HandlerError, Peer, RecvBatch, ReplyError, Request, SendBatch};

use super::source_filter::{SourceFilter, fits};
use crate::ServeContext;
use crate::limits::AmplificationBound;
use crate::metrics::{Incident, Stats};
use crate::tasks::catch;

/// An error that was made of more than so many others is not looked into further.
const MOST_SOURCES: usize = 16;
/// Replies to one batch go out together, unless there are more than this.
pub(crate) const MOST_REPLIES: usize = 1024;

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
    /// Of those that were handled.
    pub(crate) bytes: u64,
}

/// One datagram of the work: a part of a slot.
#[derive(Clone, Copy)]
struct Item {
    slot: usize,
    from: usize,
    to: usize,
}

impl Item {
    #[inline]
    fn bytes<'a>(&self, batch: &'a RecvBatch) -> &'a [u8] {
        batch.get(self.slot).map_or(&[], |(_, bytes)| &bytes[self.from..self.to])
    }
}

impl Work {
    pub(crate) fn is_done(&self) -> bool {
        self.next >= self.batch.len()
    }

    /// How many datagrams are to come.
    #[cold]
    pub(crate) fn left(&self) -> usize {
        let left = self.batch.iter().skip(self.next).map(|(meta, _)| meta.count()).sum::<usize>();
        let begun = self.batch.get(self.next).and_then(|(meta, _)| meta.segment);
        left - begun.map_or(0, |segment| self.offset / segment)
    }

    /// Passes over what lies in the next slot.
    #[cold]
    pub(crate) fn skip(&mut self) {
        self.next += 1;
        self.offset = 0;
    }

    #[inline]
    fn claim(&mut self, cx: &ServeContext, filter: &SourceFilter) -> Option<Item> {
        loop {
            let (meta, bytes) = self.batch.get(self.next)?;
            let (slot, from) = (self.next, self.offset);
            if from == 0 && !filter.admits(meta, cx) {
                self.skip();
                continue;
            }
            let (message, behind) = meta.cut(bytes, from);
            self.next += usize::from(behind.is_none());
            self.offset = behind.unwrap_or(0);
            if fits(message.len(), meta, cx) {
                return Some(Item { slot, from, to: from + message.len() });
            }
        }
    }
}

/// What a call that had to wait replied in the end.
pub(crate) type Late = SendBatch;

/// Where the loop and its runner hand the work to each other.
pub(crate) struct WorkExchange {
    slot: Mutex<Slot>,
    filter: SourceFilter,
}

#[derive(Default)]
enum Slot {
    #[default]
    Empty,
    Todo(Box<Work>),
    Back(Box<Work>, bool),
}

impl WorkExchange {
    pub(crate) fn new(filter: SourceFilter) -> Self {
        Self { slot: Mutex::default(), filter }
    }

    fn swap(&self, slot: Slot) -> Slot {
        std::mem::replace(&mut *self.slot.lock().unwrap_or_else(PoisonError::into_inner), slot)
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

/// Handles works from the exchange until a call has to wait; then ends with that call's replies.
pub(crate) async fn run<H: Handler>(
    handler: Arc<H>,
    exchange: Arc<WorkExchange>,
    cx: Arc<ServeContext>,
    max_message: usize,
) -> Late {
    let own = exchange.filter.own();
    let limits = Arc::clone(&cx.limits);
    let bound = AmplificationBound::new(&cx.capabilities, own, handler.properties().amplifies, limits.max_reply);
    let lines = cx.has_lines();
    let unknown = Addr::Unix(swapwire_core::UnixAddr::UNNAMED);
    let mut replies = Replies::new(Framing::Chunks.encoder(max_message));
    let mut origin = Origin { slot: usize::MAX, peer: None, ip: None, local: own.unwrap_or(unknown) };
    let mut copy = Vec::new();
    loop {
        let mut work = exchange.take().await;
        origin.slot = usize::MAX;
        let lent = work.lend.then(|| Arc::clone(&work.batch));
        while let Some(item) = work.claim(&cx, &exchange.filter) {
            work.handled += 1;
            work.bytes += (item.to - item.from) as u64;
            if item.slot != origin.slot {
                origin.read(item.slot, &work.batch, own);
            }
            let message = match &lent {
                Some(batch) => item.bytes(batch),
                None => {
                    copy.clear();
                    copy.extend_from_slice(item.bytes(&work.batch));
                    &copy
                }
            };
            let room = bound.of_call(message.len());
            let message = if lines { replies.answer_line(message) } else { message };
            let request = Request::new(message, origin.peer.as_ref(), &origin.local);
            let mut lent = replies.call(room, origin.peer.is_some());
            let (called, reply) = (&*handler, lent.reply());
            let (result, back) = match catch(move || called.handle(request, reply)) {
                Some(call) => Call { call: pin!(Some(call)), work: Some(work), exchange: &exchange }.await,
                None => (None, Some(work)),
            };
            let result = result.map(|result| lent.end(result));
            settle(&mut replies, result, origin.peer.as_ref(), bound, &cx);
            let Some(mine) = back else {
                let mut late = SendBatch::new();
                origin.push(&mut late, &replies);
                return late;
            };
            work = mine;
            origin.push(&mut work.out, &replies);
            if work.out.bytes() >= limits.out_queue || work.out.len() >= MOST_REPLIES {
                break;
            }
        }
        drop(lent);
        exchange.swap(Slot::Back(work, false));
    }
}

/// Where the datagrams of a slot come from: read once for a whole train.
struct Origin {
    slot: usize,
    peer: Option<Peer>,
    ip: Option<IpAddr>,
    local: Addr,
}

impl Origin {
    #[inline]
    fn read(&mut self, slot: usize, batch: &RecvBatch, own: Option<Addr>) {
        let Some((meta, _)) = batch.get(slot) else { return };
        self.slot = slot;
        self.peer = meta.peer.map(Peer::new);
        if self.ip != meta.local {
            self.ip = meta.local;
            self.local = local_addr(own, meta.local).unwrap_or(self.local);
        }
    }

    fn push(&self, out: &mut SendBatch, replies: &Replies) {
        if let Some(peer) = &self.peer {
            replies.messages().for_each(|message| out.push(message, *peer.addr(), self.ip));
        }
    }
}

/// The address that a datagram reached on a socket bound to `own`.
pub(crate) fn local_addr(own: Option<Addr>, local: Option<IpAddr>) -> Option<Addr> {
    match (own, local) {
        (Some(Addr::Inet(own)), Some(ip)) => Some(Addr::Inet(std::net::SocketAddr::new(ip, own.port()))),
        _ => own,
    }
}

/// Counts and tells what went wrong; a failed call replies nothing. The `result` of one that panicked is `None`.
#[inline]
pub(crate) fn settle(
    replies: &mut Replies,
    result: Option<Result<(), HandlerError>>,
    peer: Option<&Peer>,
    bound: AmplificationBound,
    cx: &ServeContext,
) {
    let failed = !matches!(result, Some(Ok(())));
    if failed || replies.has_refused() {
        look_into(replies, result, peer.map(Peer::addr), bound, cx);
    }
}

#[cold]
fn look_into(
    replies: &mut Replies,
    result: Option<Result<(), HandlerError>>,
    peer: Option<&Addr>,
    bound: AmplificationBound,
    cx: &ServeContext,
) {
    let withheld = note_refused(replies, peer, bound, cx);
    let error = match result {
        Some(Ok(())) => return,
        result => result.and_then(Result::err),
    };
    // To show and to drop an error is the handler's code as well.
    let told = error.and_then(|error| catch(|| tell_error(error, withheld, replies, peer, bound, cx)));
    if told.is_none() {
        Stats::one(&cx.stats.panics);
        cx.incidents.tell(Incident::Panic, peer, "");
    }
    replies.discard();
}

/// Counts and tells of replies that a call was not let send, whatever its handler made of it; whether there were any. Above
/// `max_reply`, that is the handler's own matter.
fn note_refused(replies: &mut Replies, peer: Option<&Addr>, bound: AmplificationBound, cx: &ServeContext) -> bool {
    let Some(Refused { count, len, .. }) = replies.take_refused() else { return false };
    let limit = replies.limit();
    if !replies.is_answerable() {
        cx.incidents.note(Incident::NoAddress, count, peer, "");
    } else if bound.refused(limit) {
        cx.incidents.note(
            Incident::Withheld,
            count,
            peer,
            format_args!("{len} bytes, where this call may reply {limit} in all"),
        );
    } else {
        return false;
    }
    true
}

fn tell_error(
    error: HandlerError,
    withheld: bool,
    replies: &Replies,
    peer: Option<&Addr>,
    bound: AmplificationBound,
    cx: &ServeContext,
) {
    let error = error.into_inner();
    match reply_error(&*error) {
        Some(ReplyError::Full { .. } | ReplyError::NoReturnAddress) if withheld => {}
        // Of a fork of the call's reply, which has the room that is left.
        Some(ReplyError::NoReturnAddress) => cx.incidents.note(Incident::NoAddress, 1, peer, ""),
        Some(ReplyError::Full { len, limit }) if *limit == replies.remaining() && bound.refused(replies.limit()) => {
            cx.incidents.note(
                Incident::Withheld,
                1,
                peer,
                format_args!("{len} bytes, where this call may reply {limit} in all"),
            );
        }
        _ => {
            cx.incidents.tell(Incident::HandlerError, peer, error);
            Stats::one(&cx.stats.handler_errors);
        }
    }
}

/// What a reply was refused for, if that is what an error is about, or one that it was made of.
fn reply_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a ReplyError> {
    let sources = std::iter::successors(Some(error), |error| error.source());
    sources.take(MOST_SOURCES).find_map(|error| error.downcast_ref())
}

/// One call. When it is not ready at once, the work goes back.
struct Call<'a, F> {
    /// Dropped where a panic of it is caught.
    call: Pin<&'a mut Option<F>>,
    work: Option<Box<Work>>,
    exchange: &'a WorkExchange,
}

impl<F: Future> Future for Call<'_, F> {
    /// `None`: the call panicked. The work, unless it went back.
    type Output = (Option<F::Output>, Option<Box<Work>>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let polled = catch(|| {
            let polled = this.call.as_mut().as_pin_mut()?.poll(cx);
            if polled.is_ready() {
                this.call.set(None);
            }
            Some(polled)
        });
        match polled.flatten() {
            Some(Poll::Ready(result)) => Poll::Ready((Some(result), this.work.take())),
            None => {
                catch(|| this.call.set(None));
                Poll::Ready((None, this.work.take()))
            }
            Some(Poll::Pending) => {
                if let Some(work) = this.work.take() {
                    this.exchange.swap(Slot::Back(work, true));
                }
                Poll::Pending
            }
        }
    }
}
