//! What every datagram socket does with a batch before it is handled.

use std::io;
use std::task::{Context, Poll};

use swapwire_core::{DatagramSocket, RecvBatch};

use crate::ServeContext;
use crate::stats::Stats;
use crate::throttle::Throttle;

/// The system is asked what it dropped after so many full batches: rarely enough to cost nothing, and only where there is
/// more to receive than can be.
const FULL_BATCHES: u32 = 16;

/// Receives, throttles sources, and counts what the system dropped.
#[derive(Debug)]
pub(crate) struct Intake {
    throttle: Option<Box<Throttle>>,
    full: u32,
    dropped: u32,
}

impl Intake {
    pub(crate) fn new(cx: &ServeContext) -> Self {
        Self { throttle: cx.limits.source_rate.map(|rate| Box::new(Throttle::new(rate))), full: 0, dropped: 0 }
    }

    /// Receives into an empty `batch`. It may still be empty then.
    #[inline]
    pub(crate) fn poll_recv(
        &mut self,
        task: &mut Context<'_>,
        socket: &mut dyn DatagramSocket,
        batch: &mut RecvBatch,
        cx: &ServeContext,
    ) -> Poll<io::Result<()>> {
        let received = socket.poll_recv(task, batch);
        if batch.is_full() {
            self.note_full(socket, cx);
        }
        if let Some(throttle) = &mut self.throttle {
            Stats::add(&cx.stats.throttled, throttle.sift(batch));
        }
        received
    }

    #[cold]
    fn note_full(&mut self, socket: &dyn DatagramSocket, cx: &ServeContext) {
        self.full += 1;
        if self.full >= FULL_BATCHES {
            self.full = 0;
            self.look(socket, cx);
        }
    }

    /// Counts what the system dropped since the last look.
    pub(crate) fn look(&mut self, socket: &dyn DatagramSocket, cx: &ServeContext) {
        let Some(dropped) = socket.drops() else { return };
        Stats::add(&cx.stats.overflows, u64::from(dropped.wrapping_sub(self.dropped)));
        self.dropped = dropped;
    }
}
