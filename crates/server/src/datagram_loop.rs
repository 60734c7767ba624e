//! One datagram socket, one message handler: receive a batch, handle it in place, send a batch.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use swapwire_core::{DatagramSocket, ErrorClass, Handler, RecvBatch, SendBatch};

use crate::ServeContext;
use crate::at_once::AtOnce;
use crate::catch::catch;
use crate::context::{DrainWatch, LastCall};
use crate::gate::Gate;
use crate::intake::Intake;
use crate::outlet::Outlet;
use crate::runner::{Desk, Late, Work, run};
use crate::stats::Stats;
use crate::troubles::Trouble;

/// Datagrams received at once.
pub(crate) const BATCH: usize = 64;
/// Receive batches that waiting calls may keep; when they keep so many, further calls get copies.
pub(crate) const LENT: usize = 4;
/// Batches handled before other tasks run.
const TURNS: usize = 8;
/// Batches received in a row during a drain, at most.
pub(crate) const DRAIN_TURNS: usize = 4096;

type Runner = Pin<Box<dyn Future<Output = Late> + Send>>;

/// Serves one socket until the drain. Returns how many calls were cut.
pub(crate) async fn serve_datagrams<H: Handler>(
    handler: Arc<H>,
    socket: Box<dyn DatagramSocket>,
    cx: &ServeContext,
) -> io::Result<u64> {
    let shared = Arc::new(cx.clone());
    let gate = Gate::new(socket.local_addr(), &cx.ours);
    let desk = Arc::new(Desk::new(gate.clone()));
    let max = socket.max_message();
    let fresh = {
        let (handler, desk, shared) = (Arc::clone(&handler), Arc::clone(&desk), Arc::clone(&shared));
        move || -> Runner { Box::pin(run(Arc::clone(&handler), Arc::clone(&desk), Arc::clone(&shared), max)) }
    };
    let mut this = Loop {
        at_once: AtOnce::new(&*handler, &gate, max, &shared),
        handler: Arc::clone(&handler),
        socket,
        desk,
        runner: fresh(),
        fresh,
        waiting: FuturesUnordered::new(),
        stalled: false,
        work: None,
        spare: None,
        lent: Vec::new(),
        intake: Intake::new(&shared),
        outlet: Outlet::new(&shared.limits),
        drain: shared.drain.watch(),
        last_call: LastCall::default(),
        drain_turns: 0,
        cx: shared,
    };
    let ended = tokio::select! {
        biased;
        result = poll_fn(|task| this.poll(task)) => result.map(|()| 0),
        () = cx.abort.cancelled() => Ok(this.cut()),
    };
    this.intake.end(&*this.socket, cx);
    ended
}

struct Loop<H, F> {
    handler: Arc<H>,
    /// For a handler that never waits: it needs no runner.
    at_once: Option<AtOnce>,
    socket: Box<dyn DatagramSocket>,
    desk: Arc<Desk>,
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
    intake: Intake,
    outlet: Outlet,
    drain: DrainWatch,
    last_call: LastCall,
    drain_turns: usize,
    cx: Arc<ServeContext>,
}

impl<H: Handler, F: Fn() -> Runner> Loop<H, F> {
    fn poll(&mut self, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        for _ in 0..TURNS {
            if self.outlet.poll(task, &mut *self.socket, &self.cx).is_pending() {
                return Poll::Pending;
            }
            self.collect_late(task);
            if !self.outlet.batch.is_empty() {
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
                Poll::Pending if self.drain.poll(task) => {
                    let idle = self.waiting.is_empty() && self.outlet.is_empty();
                    return if self.last_call.poll(task, &self.cx.stats).is_ready() && idle {
                        Poll::Ready(Ok(()))
                    } else {
                        Poll::Pending
                    };
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        task.waker().wake_by_ref();
        Poll::Pending
    }

    /// Whether as many calls wait as may; one that ends wakes the task.
    fn is_stalled(&mut self) -> bool {
        let stalled = self.waiting.len() >= self.cx.limits.max_waiting;
        if stalled && !self.stalled {
            self.cx.note(Trouble::Stalled, 1, None, "");
        }
        self.stalled = stalled;
        stalled
    }

    /// Counts what is dropped at the deadline: calls that wait, datagrams that were not handled, replies that were not sent.
    #[cold]
    fn cut(&mut self) -> u64 {
        let work = self.work.take();
        let handled = work.as_ref().map_or(0, |work| work.handled);
        let unhandled = work.map_or(0, |work| work.left()) as u64;
        let unsent = self.outlet.unsent();
        Stats::add(&self.cx.stats.messages, handled);
        Stats::add(&self.cx.stats.dropped_requests, unhandled);
        Stats::add(&self.cx.stats.failed_replies, unsent);
        let waiting = std::mem::take(&mut self.waiting);
        let cut = waiting.len() as u64 + unhandled + unsent;
        // What they hold may panic when it is dropped.
        for call in waiting {
            if catch(|| drop(call)).is_none() {
                self.cx.stats.ended(self.cx.panicked());
            }
        }
        cut
    }

    /// Takes the replies of calls that had to wait, until the batch is full.
    fn collect_late(&mut self, task: &mut Context<'_>) {
        while !self.waiting.is_empty() && self.outlet.batch.bytes() < self.cx.limits.out_queue {
            let Poll::Ready(Some(late)) = self.waiting.poll_next_unpin(task) else { break };
            self.outlet.batch.append(&late);
        }
    }

    fn receive(&mut self, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.drain_turns > DRAIN_TURNS {
            return Poll::Pending;
        }
        let mut work = self.spare.take().unwrap_or_else(|| {
            let slot = self.socket.slot_size();
            Box::new(Work {
                batch: Arc::new(RecvBatch::new(BATCH, slot)),
                lend: true,
                next: 0,
                offset: 0,
                out: SendBatch::new(),
                handled: 0,
            })
        });
        let received = match Arc::get_mut(&mut work.batch) {
            Some(batch) => {
                batch.clear();
                self.intake.poll_recv(task, &mut *self.socket, batch, &self.cx)
            }
            None => Poll::Ready(Err(io::Error::other("the receive batch is in use"))),
        };
        match received {
            Poll::Ready(Ok(())) => {
                (work.next, work.offset) = (0, 0);
                work.lend = self.lent.iter().filter(|batch| Arc::strong_count(batch) > 1).count() < LENT;
                if self.cx.drain.has_begun() {
                    self.drain_turns += 1;
                }
                self.work = Some(work);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => {
                self.spare = Some(work);
                match self.socket.classify(&error) {
                    ErrorClass::ListenerFatal => Poll::Ready(Err(error)),
                    _ => {
                        self.cx.note(Trouble::Noise, 1, None, error);
                        Poll::Ready(Ok(()))
                    }
                }
            }
            Poll::Pending => {
                self.spare = Some(work);
                Poll::Pending
            }
        }
    }

    /// Lets the runner handle the work, or a part of it.
    fn handle(&mut self, task: &mut Context<'_>, mut work: Box<Work>) {
        if let Some(at_once) = &mut self.at_once {
            at_once.handle(&*self.handler, &mut work, &mut self.outlet.batch, task, &self.cx);
            if work.is_done() {
                Stats::add(&self.cx.stats.messages, std::mem::take(&mut work.handled));
                self.spare = Some(work);
            } else {
                self.work = Some(work);
            }
            return;
        }
        self.desk.put(work);
        let polled = self.runner.as_mut().poll(task);
        let Some((mut work, waits)) = self.desk.take_back() else {
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
        std::mem::swap(&mut work.out, &mut self.outlet.batch);
        if !work.is_done() {
            self.work = Some(work);
            return;
        }
        Stats::add(&self.cx.stats.messages, std::mem::take(&mut work.handled));
        if Arc::strong_count(&work.batch) > 1 {
            let free = self.lent.iter().position(|batch| Arc::strong_count(batch) == 1);
            let next = match free {
                Some(free) => self.lent.swap_remove(free),
                None => Arc::new(RecvBatch::new(BATCH, self.socket.slot_size())),
            };
            self.lent.push(std::mem::replace(&mut work.batch, next));
        }
        self.spare = Some(work);
    }
}
