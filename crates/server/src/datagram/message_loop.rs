//! One datagram socket, one message handler: receive a batch, handle it in place, send a batch.

use std::future::Future;
use std::io;
use std::mem::take;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use swapwire_core::{DatagramSocket, Handler, RecvBatch, SendBatch};

use super::call_runner::{Late, Work, WorkExchange, run};
use super::immediate_calls::ImmediateCalls;
use super::sender::DatagramSender;
use super::served_socket::{ServedSocket, SocketLoop, run_socket};
use super::source_filter::SourceFilter;
use crate::ServeContext;
use crate::drain::Succession;
use crate::metrics::{Incident, Stats};
use crate::tasks::catch;

/// Datagrams received at once.
pub(crate) const BATCH: usize = 64;
/// Receive batches that waiting calls may keep; when they keep so many, further calls get copies.
pub(crate) const LENT: usize = 4;
/// Batches handled before other tasks run.
const BATCHES_BEFORE_YIELD: usize = 8;

type Runner = Pin<Box<dyn Future<Output = Late> + Send>>;

/// What the loop leaves to the next.
#[derive(Default)]
struct Left {
    sender: DatagramSender,
    waiting: FuturesUnordered<Runner>,
}

/// Serves one socket until the drain, or until another handler follows. Returns how many calls were cut.
pub(crate) async fn serve_datagrams<H: Handler>(
    handler: Arc<H>,
    socket: Box<dyn DatagramSocket>,
    cx: &ServeContext,
) -> io::Result<u64> {
    let shared = Arc::new(cx.clone());
    let filter = SourceFilter::new(socket.local_addr(), &cx.ours);
    let exchange = Arc::new(WorkExchange::new(filter.clone()));
    let max = socket.max_message();
    let mut control = cx.control.take();
    let left = control.as_mut().and_then(|control| control.rest.take()).and_then(|left| left.downcast::<Left>().ok());
    let Left { sender, waiting } = left.map_or_else(Left::default, |left| *left);
    let fresh = {
        let (handler, exchange, shared) = (Arc::clone(&handler), Arc::clone(&exchange), Arc::clone(&shared));
        move || -> Runner { Box::pin(run(Arc::clone(&handler), Arc::clone(&exchange), Arc::clone(&shared), max)) }
    };
    run_socket(Loop {
        immediate: ImmediateCalls::new(&*handler, &filter, max, &shared),
        handler: Arc::clone(&handler),
        socket: ServedSocket::new(socket, sender, control, Arc::clone(&shared)),
        exchange,
        runner: fresh(),
        fresh,
        waiting,
        stalled: false,
        work: None,
        spare: None,
        lent: Vec::new(),
        cx: shared,
    })
    .await
}

struct Loop<H, F> {
    handler: Arc<H>,
    /// For a handler that never waits: it needs no runner.
    immediate: Option<ImmediateCalls>,
    socket: ServedSocket,
    exchange: Arc<WorkExchange>,
    runner: Runner,
    fresh: F,
    /// Runners left behind with a call that waits; at most `max_waiting`.
    waiting: FuturesUnordered<Runner>,
    stalled: bool,
    /// A batch that is not wholly handled.
    work: Option<Box<Work>>,
    /// A work that can be used again.
    spare: Option<Box<Work>>,
    /// Batches that waiting calls keep; at most [`LENT`].
    lent: Vec<Arc<RecvBatch>>,
    cx: Arc<ServeContext>,
}

impl<H: Handler, F: Fn() -> Runner + Send> SocketLoop for Loop<H, F> {
    fn socket(&mut self) -> &mut ServedSocket {
        &mut self.socket
    }

    fn into_socket(self) -> ServedSocket {
        self.socket
    }

    fn poll(&mut self, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.socket.is_followed(task, Succession::Calls) {
            return self.poll_leave(task).map(Ok);
        }
        for _ in 0..BATCHES_BEFORE_YIELD {
            if self.socket.poll_send(task).is_pending() {
                return Poll::Pending;
            }
            self.collect_late(task);
            if !self.socket.sender.batch.is_empty() {
                continue;
            }
            if self.is_stalled() {
                return Poll::Pending;
            }
            if let Some(work) = self.work.take() {
                self.handle(task, work);
                continue;
            }
            match self.receive(task) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    let is_over = self.socket.is_drained(task) && self.waiting.is_empty();
                    let is_over = is_over && self.socket.sender.is_empty();
                    return if is_over { self.socket.poll_flush(task).map(Ok) } else { Poll::Pending };
                }
            }
        }
        task.waker().wake_by_ref();
        Poll::Pending
    }

    /// Counts what is dropped at the deadline: calls that wait, datagrams that were not handled, replies that were not sent.
    #[cold]
    fn cut(&mut self) -> u64 {
        let work = self.work.take();
        let (handled, bytes) = work.as_ref().map_or((0, 0), |work| (work.handled, work.bytes));
        let unhandled = work.map_or(0, |work| work.left()) as u64;
        let (stats, unsent) = (&self.cx.stats, self.socket.sender.unsent());
        stats.received(handled, bytes);
        Stats::add(&stats.dropped_requests, unhandled);
        Stats::add(&stats.dropped_drain, unhandled);
        Stats::add(&stats.cut_replies, unsent);
        let waiting = take(&mut self.waiting);
        let cut = waiting.len() as u64 + unhandled + unsent;
        // What they hold may panic when it is dropped.
        for call in waiting {
            if catch(|| drop(call)).is_none() {
                self.cx.incidents.panicked();
                Stats::one(&self.cx.stats.panics);
            }
        }
        cut
    }
}

impl<H: Handler, F: Fn() -> Runner> Loop<H, F> {
    /// Whether as many calls wait as may; one that ends wakes the task.
    fn is_stalled(&mut self) -> bool {
        let stalled = self.waiting.len() >= self.cx.limits.max_waiting;
        if stalled && !self.stalled {
            self.cx.incidents.note(Incident::Stalled, 1, None, "");
        }
        self.stalled = stalled;
        stalled
    }

    /// Takes the replies of calls that had to wait, until the batch is full.
    fn collect_late(&mut self, task: &mut Context<'_>) {
        while !self.waiting.is_empty() && self.socket.sender.batch.bytes() < self.cx.limits.out_queue {
            let Poll::Ready(Some(late)) = self.waiting.poll_next_unpin(task) else { break };
            self.socket.sender.batch.append(&late);
        }
    }

    /// Leaves to the loop that follows, once what was received is handled.
    #[cold]
    fn poll_leave(&mut self, task: &mut Context<'_>) -> Poll<()> {
        while let Some(work) = self.work.take() {
            if self.socket.poll_send(task).is_pending() {
                self.work = Some(work);
                return Poll::Pending;
            }
            self.handle(task, work);
        }
        let (sender, waiting) = (std::mem::take(&mut self.socket.sender), std::mem::take(&mut self.waiting));
        self.socket.leave(Left { sender, waiting });
        Poll::Ready(())
    }

    fn receive(&mut self, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut work = self.spare.take().unwrap_or_else(|| {
            let slot = self.socket.socket.slot_size();
            Box::new(Work {
                batch: Arc::new(RecvBatch::new(BATCH, slot)),
                lend: true,
                next: 0,
                offset: 0,
                out: SendBatch::new(),
                handled: 0,
                bytes: 0,
            })
        });
        let received = match Arc::get_mut(&mut work.batch) {
            Some(batch) => self.socket.poll_recv(task, batch),
            None => Poll::Ready(Err(io::Error::other("the receive batch is in use"))),
        };
        match received {
            Poll::Ready(Ok(true)) => {
                (work.next, work.offset) = (0, 0);
                work.lend = self.lent.iter().filter(|batch| Arc::strong_count(batch) > 1).count() < LENT;
                self.work = Some(work);
                Poll::Ready(Ok(()))
            }
            nothing => {
                self.spare = Some(work);
                nothing.map_ok(|_| ())
            }
        }
    }

    /// Lets the runner handle the work, or a part of it.
    fn handle(&mut self, task: &mut Context<'_>, mut work: Box<Work>) {
        if let Some(immediate) = &mut self.immediate {
            immediate.handle(&*self.handler, &mut work, &mut self.socket.sender.batch, task, &self.cx);
            if work.is_done() {
                self.cx.stats.received(take(&mut work.handled), take(&mut work.bytes));
                self.spare = Some(work);
            } else {
                self.work = Some(work);
            }
            return;
        }
        self.exchange.put(work);
        let polled = self.runner.as_mut().poll(task);
        let Some((mut work, waits)) = self.exchange.take_back() else {
            // Only a runner that lost its work gets here; its batch is lost with it.
            self.runner = (self.fresh)();
            return;
        };
        if waits || polled.is_ready() {
            let runner = std::mem::replace(&mut self.runner, (self.fresh)());
            if waits {
                self.waiting.push(runner);
            }
        }
        std::mem::swap(&mut work.out, &mut self.socket.sender.batch);
        if !work.is_done() {
            self.work = Some(work);
            return;
        }
        self.cx.stats.received(take(&mut work.handled), take(&mut work.bytes));
        if Arc::strong_count(&work.batch) > 1 {
            let free = self.lent.iter().position(|batch| Arc::strong_count(batch) == 1);
            let next = match free {
                Some(free) => self.lent.swap_remove(free),
                None => Arc::new(RecvBatch::new(BATCH, self.socket.socket.slot_size())),
            };
            self.lent.push(std::mem::replace(&mut work.batch, next));
        }
        self.spare = Some(work);
    }
}
