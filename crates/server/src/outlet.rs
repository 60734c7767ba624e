//! The sending side of a datagram socket: batches, and bounded patience with full peers.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use swapwire_core::{Addr, DatagramSocket, SendBatch};
use tokio::time::Instant;

use crate::deadline::Deadlines;
use crate::stats::Stats;
use crate::{Limits, ServeContext};

/// Replies that wait for full peers: at most so many, and so many bytes.
const WAITING: usize = 1024;
const WAITING_BYTES: usize = 1 << 20;
/// A full peer is tried again after this, doubling up to 32 times it.
const RETRY: Duration = Duration::from_millis(1);
/// A reply that waited this long is dropped.
const PATIENCE: Duration = Duration::from_secs(1);

pub(crate) struct Outlet {
    pub(crate) batch: SendBatch,
    sent: usize,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    retry_at: Option<Instant>,
    retry_after: Duration,
    deadlines: Deadlines,
}

struct Waiting {
    message: Vec<u8>,
    to: Addr,
    local: Option<IpAddr>,
    since: Instant,
}

impl Outlet {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            batch: SendBatch::new(),
            sent: 0,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            retry_at: None,
            retry_after: RETRY,
            deadlines: Deadlines::new(limits),
        }
    }

    /// Whether nothing waits to be sent.
    pub(crate) fn is_empty(&self) -> bool {
        self.batch.is_empty() && self.waiting.is_empty()
    }

    /// Sends the batch; ready when it is empty. Replies to full peers move to the side, and are tried again in time.
    pub(crate) fn poll(
        &mut self,
        task: &mut Context<'_>,
        socket: &mut dyn DatagramSocket,
        cx: &ServeContext,
    ) -> Poll<()> {
        if !self.waiting.is_empty() {
            self.retry(task, socket, cx);
        }
        while let Some(entry) = self.batch.get(self.sent) {
            let queued_behind = !self.waiting.is_empty() && self.waiting.iter().any(|waiting| waiting.to == *entry.to);
            if queued_behind {
                self.set_aside(cx);
                continue;
            }
            match socket.poll_send(task, &self.batch, self.sent) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(count)) => self.sent += count.max(1),
                Poll::Ready(Err(error)) if error.kind() == ErrorKind::WouldBlock => self.set_aside(cx),
                Poll::Ready(Err(error)) => {
                    tracing::debug!(to = %entry.to, %error, "reply not sent");
                    Stats::one(&cx.stats.failed_replies);
                    self.sent += 1;
                }
            }
        }
        self.batch.clear();
        self.sent = 0;
        if !self.waiting.is_empty() {
            let at = *self.retry_at.get_or_insert_with(|| Instant::now() + self.retry_after);
            if self.deadlines.poll(task, Some(at)).is_ready() {
                task.waker().wake_by_ref();
            }
        }
        Poll::Ready(())
    }

    /// Moves the current reply aside; drops it if too much waits.
    fn set_aside(&mut self, cx: &ServeContext) {
        if let Some(entry) = self.batch.get(self.sent) {
            if self.waiting.len() < WAITING && self.waiting_bytes + entry.message.len() <= WAITING_BYTES {
                self.waiting_bytes += entry.message.len();
                let (message, to, local) = (entry.message.to_vec(), *entry.to, entry.local);
                self.waiting.push_back(Waiting { message, to, local, since: Instant::now() });
            } else {
                Stats::one(&cx.stats.dropped_replies);
            }
        }
        self.sent += 1;
    }

    /// Tries every full peer's oldest reply again, if it is time.
    fn retry(&mut self, task: &mut Context<'_>, socket: &mut dyn DatagramSocket, cx: &ServeContext) {
        let now = Instant::now();
        if self.retry_at.is_some_and(|at| now < at) {
            return;
        }
        let mut still_full: Vec<Addr> = Vec::new();
        let mut progress = false;
        for _ in 0..self.waiting.len() {
            let Some(waiting) = self.waiting.pop_front() else { break };
            if now.duration_since(waiting.since) > PATIENCE {
                self.waiting_bytes -= waiting.message.len();
                Stats::one(&cx.stats.dropped_replies);
                continue;
            }
            if !still_full.contains(&waiting.to) {
                let mut one = SendBatch::new();
                one.push(&waiting.message, waiting.to, waiting.local);
                match socket.poll_send(task, &one, 0) {
                    Poll::Ready(Ok(_)) => {
                        self.waiting_bytes -= waiting.message.len();
                        progress = true;
                        continue;
                    }
                    Poll::Ready(Err(error)) if error.kind() != ErrorKind::WouldBlock => {
                        self.waiting_bytes -= waiting.message.len();
                        Stats::one(&cx.stats.failed_replies);
                        continue;
                    }
                    Poll::Ready(Err(_)) | Poll::Pending => still_full.push(waiting.to),
                }
            }
            self.waiting.push_back(waiting);
        }
        self.retry_after = if progress { RETRY } else { (self.retry_after * 2).min(RETRY * 32) };
        self.retry_at = None;
    }
}
