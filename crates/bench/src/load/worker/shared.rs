//! What the connections of one thread share. They never wait for the lock: no task holds it while it waits.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use swapwire_core::{Endpoint, Framing, RecvBatch, Registry};
use tokio::sync::Notify;

use crate::Monitor;
use crate::Sizes;
use crate::load::request::payload::Payload;
use crate::load::request::tally::{Tally, Window};

/// Bytes that are read at once from a stream.
const READ: usize = 256 * 1024;
/// Datagrams that are received at once; fewer if they are large.
const BATCH: usize = 64;
/// Memory for a batch at most, unless one datagram alone is larger.
const BATCH_BYTES: usize = 4 << 20;
/// Replies after which they are added to the [`Monitor`].
const TELL: u64 = 64;

/// One round's work, the same for all threads.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) registry: Registry,
    /// The target, from each of the addresses that connections come from; at least one.
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) payload: Payload,
    pub(crate) sizes: Sizes,
    pub(crate) framing: Framing,
    pub(crate) connections: usize,
    pub(crate) pipeline: usize,
    pub(crate) rate: Option<f64>,
    /// Measured requests; `None`: the round ends at a time.
    pub(crate) requests: Option<u64>,
    /// Whether there is load before the measured part; otherwise nothing is sent until it begins.
    pub(crate) warmup: bool,
    pub(crate) ramp: Duration,
    pub(crate) timeout: Duration,
    pub(crate) reconnect_every: Option<u64>,
    /// Whether replies tell what they answer.
    pub(crate) identified: bool,
    pub(crate) threads: usize,
    pub(crate) spin: bool,
    /// Whether the kernel's timers may be used; they know nothing of a paused clock.
    pub(crate) fine_timer: bool,
    pub(crate) seed: u64,
    pub(crate) monitor: Monitor,
    /// The step of the timeline.
    pub(crate) step: Duration,
    /// The largest message that the wire carries, where it has boundaries.
    pub(crate) max_message: Option<usize>,
}

/// Behind the lock.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) state: State,
    /// What is read from streams.
    pub(crate) read_buffer: Box<[u8]>,
    /// What is received from wires with boundaries.
    pub(crate) batch: RecvBatch,
    /// Wakes the connections of this thread.
    pub(crate) wakers: Vec<Option<Waker>>,
    /// Connections that were opened for the first time.
    pub(crate) open: usize,
}

/// What decides about requests, and what is counted.
#[derive(Debug)]
pub(crate) struct State {
    /// `None` until all connections are open.
    pub(crate) window: Option<Window>,
    pub(crate) tally: Tally,
    /// Measured requests that this thread has yet to begin.
    pub(crate) remaining: Option<u64>,
    /// Why the round cannot go on.
    pub(crate) failed: Option<String>,
    /// The last measured request was begun.
    exhausted: Arc<Notify>,
    /// Replies that were added to the [`Monitor`].
    told: u64,
}

/// Slots of a batch: one more than replies can be under way on a connection, so that a wire can see that it has them all.
fn slots(pipeline: usize, reply: usize) -> usize {
    pipeline.saturating_add(1).min(BATCH_BYTES / reply).clamp(2, BATCH)
}

/// The lock, and what happens behind it.
#[derive(Debug)]
pub(crate) struct Shared {
    inner: Mutex<Inner>,
    /// A connection was opened for the first time.
    pub(crate) opened: Notify,
    /// The round cannot go on.
    pub(crate) failed: Notify,
    /// The last measured request was begun.
    pub(crate) exhausted: Arc<Notify>,
}

impl Shared {
    /// For a thread with `connections` connections that begins `requests` measured requests.
    pub(crate) fn new(job: &Job, connections: usize, requests: Option<u64>) -> Self {
        // One byte more than is expected, so that what is too long shows.
        let reply = job.payload.longest_reply().or(job.max_message).unwrap_or(0) + 1;
        let batch = match job.max_message {
            None => RecvBatch::new(1, 1),
            Some(_) => RecvBatch::new(slots(job.pipeline, reply), reply),
        };
        let exhausted = Arc::new(Notify::new());
        let state = State {
            window: None,
            tally: Tally::new(job.step),
            remaining: requests,
            failed: None,
            exhausted: Arc::clone(&exhausted),
            told: 0,
        };
        if requests == Some(0) {
            exhausted.notify_one();
        }
        let inner = Inner { state, read_buffer: vec![0; READ].into(), batch, wakers: vec![None; connections], open: 0 };
        Self { inner: Mutex::new(inner), opened: Notify::new(), failed: Notify::new(), exhausted }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The round cannot go on.
    pub(crate) fn fail(&self, why: String) {
        self.lock().state.fail(why);
        self.failed.notify_one();
    }

    /// Every connection looks again at what it should do.
    pub(crate) fn wake_all(&self) {
        let wakers: Vec<_> = self.lock().wakers.iter().flatten().cloned().collect();
        wakers.iter().for_each(Waker::wake_by_ref);
    }
}

impl State {
    /// Tells the [`Monitor`] of new replies, now and then.
    pub(crate) fn tell(&mut self, monitor: &Monitor, now: bool) {
        let new = self.tally.replies - self.told;
        if new >= TELL || now {
            monitor.add_replies(new);
            self.told = self.tally.replies;
        }
    }

    /// Takes a measured request from those that remain; whether there was one.
    pub(crate) fn take_one(&mut self) -> bool {
        match &mut self.remaining {
            None => true,
            Some(0) => false,
            Some(remaining) => {
                *remaining -= 1;
                if *remaining == 0 {
                    self.exhausted.notify_one();
                }
                true
            }
        }
    }

    /// The round cannot go on; the first reason counts.
    pub(crate) fn fail(&mut self, why: String) {
        self.failed.get_or_insert(why);
    }
}
