//! How much a worker has to do, as its deadlines and its drain see it.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use tokio::sync::Notify;

/// What all loops of one worker have to do, of whatever listener.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct WorkerLoad {
    /// Connections that are served.
    open: AtomicUsize,
    /// Loops that have not received all that waits in their socket.
    behind: AtomicUsize,
    heartbeat: Heartbeat,
}

/// Whether the thread of the worker still turns: it is asked, and answers when it gets to it.
#[derive(Debug, Default)]
struct Heartbeat {
    asked: AtomicU64,
    answered: AtomicU64,
    ask: Notify,
    answer: Notify,
}

impl WorkerLoad {
    /// A connection is served from now on.
    pub(crate) fn opened(&self) {
        self.open.fetch_add(1, Relaxed);
    }

    /// A connection that was served is closed.
    pub(crate) fn closed(&self) {
        self.open.fetch_sub(1, Relaxed);
    }

    /// Connections that are served.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// Ready when the worker has turned since this was first polled. Cancel safe.
    pub(crate) async fn next_heartbeat(&self) {
        let number = self.heartbeat.asked.fetch_add(1, Relaxed) + 1;
        self.heartbeat.ask.notify_one();
        loop {
            let answer = self.heartbeat.answer.notified();
            let mut answer = std::pin::pin!(answer);
            answer.as_mut().enable();
            if self.heartbeat.answered.load(Relaxed) >= number {
                return;
            }
            answer.await;
        }
    }

    /// Answers whoever asks, on the worker's thread.
    pub(crate) async fn answer_heartbeats(&self) -> Infallible {
        loop {
            self.heartbeat.ask.notified().await;
            self.heartbeat.answered.store(self.heartbeat.asked.load(Relaxed), Relaxed);
            self.heartbeat.answer.notify_waiters();
        }
    }

    /// Whether a loop has not received all that waits in its socket.
    pub(crate) fn is_behind(&self) -> bool {
        self.behind.load(Relaxed) > 0
    }
}

/// Whether the loop of a socket has not received all that waits there.
#[derive(Debug)]
pub(crate) struct Behind {
    load: Arc<WorkerLoad>,
    is: bool,
}

impl Behind {
    pub(crate) fn new(load: &Arc<WorkerLoad>) -> Self {
        Self { load: Arc::clone(load), is: false }
    }

    /// Says so.
    pub(crate) fn set(&mut self, is: bool) {
        match (std::mem::replace(&mut self.is, is), is) {
            (false, true) => self.load.behind.fetch_add(1, Relaxed),
            (true, false) => self.load.behind.fetch_sub(1, Relaxed),
            _ => 0,
        };
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        self.set(false);
    }
}
