//! The sending side of a datagram socket: batches, and bounded patience with full peers.

use std::collections::{HashMap, VecDeque};
use std::future::Future as _;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use swapwire_core::{Addr, DatagramSocket, ErrorClass, SendBatch};
use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::ServeContext;
use crate::metrics::Incident;
use crate::time::DeadlineCheck;

/// Replies that wait for one full peer, at most.
const WAITING_EACH: usize = 64;
/// Bytes of replies that wait for full peers, at most; each counts [`COST`] more.
pub(crate) const WAITING_BYTES: usize = 1 << 20;
const COST: usize = 256;
/// Full peers are tried again after this, doubling up to 32 times it.
const RETRY: Duration = Duration::from_millis(1);
/// A reply that waited this long is dropped.
const PATIENCE: Duration = Duration::from_secs(1);

pub(crate) struct DatagramSender {
    pub(crate) batch: SendBatch,
    sent: usize,
    /// Full peers, each with the replies that wait for it, in order.
    full: HashMap<Addr, VecDeque<DeferredReply>>,
    waiting_bytes: usize,
    retry_at: Instant,
    retry_after: Duration,
    /// For `retry_at`, while replies wait for full peers.
    timer: Option<Pin<Box<Sleep>>>,
    check: DeadlineCheck,
}

struct DeferredReply {
    message: Vec<u8>,
    local: Option<IpAddr>,
    since: Instant,
}

/// What became of one reply.
enum Sent {
    Done,
    PeerFull,
    SocketFull,
}

impl Default for DatagramSender {
    fn default() -> Self {
        Self {
            batch: SendBatch::new(),
            sent: 0,
            full: HashMap::new(),
            waiting_bytes: 0,
            retry_at: Instant::now(),
            retry_after: RETRY,
            timer: None,
            check: DeadlineCheck::default(),
        }
    }
}

impl DatagramSender {
    /// Whether nothing waits to be sent.
    pub(crate) fn is_empty(&self) -> bool {
        self.batch.is_empty() && self.full.is_empty()
    }

    /// How many replies wait to be sent.
    pub(crate) fn unsent(&self) -> u64 {
        let aside: usize = self.full.values().map(VecDeque::len).sum();
        (self.batch.len() - self.sent + aside) as u64
    }

    /// Sends the batch; ready when it is empty. Replies to full peers move to the side, and are tried again in time.
    pub(crate) fn poll(
        &mut self,
        task: &mut Context<'_>,
        socket: &mut dyn DatagramSocket,
        cx: &ServeContext,
    ) -> Poll<()> {
        if !self.full.is_empty() && Instant::now() >= self.retry_at {
            self.retry(task, socket, cx);
        }
        while let Some(entry) = self.batch.get(self.sent) {
            if !self.full.is_empty() && self.full.contains_key(entry.to) {
                self.set_aside(cx);
                continue;
            }
            match socket.poll_send(task, &self.batch, self.sent) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(count)) => {
                    let (count, before) = (count.max(1), self.batch.bytes_before(self.sent));
                    self.sent += count;
                    cx.stats.sent(count as u64, (self.batch.bytes_before(self.sent) - before) as u64);
                }
                Poll::Ready(Err(error)) if socket.classify(&error) == ErrorClass::Retryable => self.set_aside(cx),
                Poll::Ready(Err(error)) => {
                    let len = entry.message.len();
                    cx.incidents.note(Incident::NotSent, 1, Some(entry.to), format_args!("{len} bytes: {error}"));
                    self.sent += 1;
                }
            }
        }
        self.batch.clear();
        self.sent = 0;
        if !self.full.is_empty() {
            self.set_timer(task);
        }
        Poll::Ready(())
    }

    /// Has the task woken at `retry_at`.
    fn set_timer(&mut self, task: &mut Context<'_>) {
        let timer = match &mut self.timer {
            // Polled for this time before: the task's waker stays the same.
            Some(timer) if timer.deadline() == self.retry_at => return,
            Some(timer) => {
                timer.as_mut().reset(self.retry_at);
                timer
            }
            none => none.insert(Box::pin(sleep_until(self.retry_at))),
        };
        // A task that has used its budget must be woken at that time as well.
        if pin!(unconstrained(timer.as_mut())).poll(task).is_ready() {
            task.waker().wake_by_ref();
        }
    }

    /// Moves the current reply aside; drops it if too much waits.
    fn set_aside(&mut self, cx: &ServeContext) {
        let Some(entry) = self.batch.get(self.sent) else { return };
        let cost = entry.message.len() + COST;
        if self.full.is_empty() {
            self.retry_after = RETRY;
            self.retry_at = Instant::now() + RETRY;
        }
        let queue = self.full.entry(*entry.to).or_default();
        if queue.len() < WAITING_EACH && self.waiting_bytes + cost <= WAITING_BYTES {
            self.waiting_bytes += cost;
            queue.push_back(DeferredReply {
                message: entry.message.to_vec(),
                local: entry.local,
                since: Instant::now(),
            });
        } else {
            cx.incidents.note(Incident::PeerFull, 1, Some(entry.to), "");
            if queue.is_empty() {
                self.full.remove(entry.to);
            }
        }
        self.sent += 1;
    }

    /// Sends each full peer what it takes now, and drops what waited too long.
    fn retry(&mut self, task: &mut Context<'_>, socket: &mut dyn DatagramSocket, cx: &ServeContext) {
        let now = Instant::now();
        let mut progress = false;
        let mut one = SendBatch::new();
        let mut freed = 0;
        let is_late = |waiting: &DeferredReply| now.duration_since(waiting.since) > PATIENCE;
        let late = self.full.values().filter_map(VecDeque::front).any(is_late);
        if !late {
            self.check.begin_anew();
        }
        let believed = late && self.check.is_done(&cx.load);
        self.full.retain(|to, queue| {
            while let Some(waiting) = queue.front() {
                one.clear();
                one.push(&waiting.message, *to, waiting.local);
                let sent = match socket.poll_send(task, &one, 0) {
                    Poll::Ready(Ok(_)) => {
                        cx.stats.sent(1, waiting.message.len() as u64);
                        Sent::Done
                    }
                    Poll::Ready(Err(error)) if socket.classify(&error) == ErrorClass::Retryable => Sent::PeerFull,
                    Poll::Ready(Err(error)) => {
                        let len = waiting.message.len();
                        cx.incidents.note(Incident::NotSent, 1, Some(to), format_args!("{len} bytes: {error}"));
                        Sent::Done
                    }
                    Poll::Pending => Sent::SocketFull,
                };
                match sent {
                    Sent::Done => progress = true,
                    Sent::PeerFull if believed && is_late(waiting) => {
                        cx.incidents.note(Incident::PeerFull, 1, Some(to), "");
                    }
                    Sent::PeerFull | Sent::SocketFull => break,
                }
                freed += queue.pop_front().map_or(0, |waiting| waiting.message.len() + COST);
            }
            !queue.is_empty()
        });
        self.waiting_bytes -= freed;
        self.retry_after = if progress { RETRY } else { (self.retry_after * 2).min(RETRY * 32) };
        self.retry_at = now + self.retry_after;
    }
}
