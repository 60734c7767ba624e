//! What every datagram socket does with a batch before it is handled.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use swapwire_core::{DatagramSocket, RecvBatch};
use tokio::time::{Sleep, sleep};

use crate::ServeContext;
use crate::limits::RateLimiter;
use crate::metrics::Incident;
use crate::metrics::UpkeepTimer;

/// The system is asked what it dropped after so many full batches: rarely enough to cost nothing, and only where there is
/// more to receive than can be.
const FULL_BATCHES: u32 = 16;

/// After so many errors in a row, receiving pauses: the next would fail as well.
const ROW: u32 = 64;
const PAUSE: Duration = Duration::from_millis(5);

/// Receives, throttles sources, and counts what the system dropped.
#[derive(Debug)]
pub(crate) struct DatagramReceiver {
    /// Errors since something was received.
    errors: u32,
    pause: Option<Pin<Box<Sleep>>>,
    limiter: Option<Box<RateLimiter>>,
    full: u32,
    dropped: u32,
    upkeep: UpkeepTimer,
    /// The socket gave its last datagram.
    pub(crate) has_ended: bool,
}

impl DatagramReceiver {
    /// Of a socket whose system had `dropped` so much before.
    pub(crate) fn new(cx: &ServeContext, dropped: u32) -> Self {
        let limiter = cx.limits.source_rate.map(|rate| Box::new(RateLimiter::new(rate)));
        Self { errors: 0, pause: None, limiter, full: 0, dropped, upkeep: UpkeepTimer::default(), has_ended: false }
    }

    /// Receives into an empty `batch`. It may still be empty then. Of errors without end, some hundred a second are told.
    #[inline]
    pub(crate) fn poll_recv(
        &mut self,
        task: &mut Context<'_>,
        socket: &mut dyn DatagramSocket,
        batch: &mut RecvBatch,
        cx: &ServeContext,
    ) -> Poll<io::Result<()>> {
        if self.errors >= ROW {
            ready!(self.poll_pause(task));
        }
        let received = socket.poll_recv(task, batch);
        match &received {
            Poll::Ready(Ok(())) => {
                self.errors = 0;
                self.has_ended = batch.is_empty();
            }
            Poll::Ready(Err(_)) => self.errors += 1,
            Poll::Pending => self.look_after(task, socket, cx),
        }
        if batch.is_full() {
            self.note_full(task, socket, cx);
        }
        if batch.with_descriptors() > 0 {
            cx.incidents.note(Incident::Descriptors, batch.with_descriptors() as u64, None, "");
        }
        if let Some(limiter) = &mut self.limiter {
            let refused = limiter.sift(batch);
            if refused > 0 {
                cx.incidents.note(Incident::Throttled, refused, None, "");
            }
        }
        received
    }

    #[cold]
    fn poll_pause(&mut self, task: &mut Context<'_>) -> Poll<()> {
        ready!(self.pause.get_or_insert_with(|| Box::pin(sleep(PAUSE))).as_mut().poll(task));
        self.pause = None;
        self.errors = ROW - 1;
        Poll::Ready(())
    }

    #[cold]
    fn note_full(&mut self, task: &mut Context<'_>, socket: &mut dyn DatagramSocket, cx: &ServeContext) {
        self.full += 1;
        if self.full >= FULL_BATCHES {
            self.full = 0;
            self.look(socket, cx);
            // One that is never idle is looked after as well.
            self.look_after(task, socket, cx);
        }
    }

    #[inline]
    fn look_after(&mut self, task: &mut Context<'_>, socket: &mut dyn DatagramSocket, cx: &ServeContext) {
        if self.upkeep.poll_due(task).is_ready() && !cx.drain.has_begun() {
            let found = socket.upkeep();
            if found.is_some() {
                // It may be another socket now, which has to be asked.
                task.waker().wake_by_ref();
                self.look(socket, cx);
            }
            self.upkeep.found(found, &cx.incidents);
        }
    }

    /// Nothing is received any more. What the system has dropped.
    pub(crate) fn end(&mut self, socket: &dyn DatagramSocket, cx: &ServeContext) -> u32 {
        self.look(socket, cx);
        self.upkeep.forgotten(&cx.incidents);
        self.dropped
    }

    /// Counts what the system dropped since the last look.
    fn look(&mut self, socket: &dyn DatagramSocket, cx: &ServeContext) {
        let Some(dropped) = socket.drops() else { return };
        cx.incidents.note(Incident::Overflow, u64::from(dropped.wrapping_sub(self.dropped)), None, "");
        self.dropped = dropped;
    }
}
