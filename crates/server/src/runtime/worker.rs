//! Workers: threads with a runtime of their own each.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::part::{Outcome, Part, Shared};
use crate::metrics::WorkerLoad;

/// Parts that wait for a worker to start them, which is at once unless a handler blocks its thread; or as many as it begins with.
const WAITING_PARTS: usize = 1024;

/// Loops that have ended and wait for the server to note it; a worker with more waits.
const WAITING_OUTCOMES: usize = 64;

/// A runtime for one thread, which may be dropped anywhere: what still runs on it is cut, without waiting.
#[derive(Debug)]
pub(super) struct WorkerRuntime(Option<Runtime>);

impl WorkerRuntime {
    pub(super) fn new(number: usize) -> io::Result<Self> {
        let blocking = format!("swapwire-blocking-{number}");
        let runtime = Builder::new_current_thread().enable_all().thread_name(blocking).build();
        runtime.map(|runtime| Self(Some(runtime))).map_err(|error| not_started(number, &error))
    }
}

fn not_started(number: usize, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("start worker {number}: {error}"))
}

impl Drop for WorkerRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// The workers of a running server. Dropping this makes them cut everything and end by themselves.
#[derive(Debug)]
pub(super) struct Workers {
    /// By number; those that have nothing to do are not started.
    workers: Vec<Option<Worker>>,
    loads: Vec<Arc<WorkerLoad>>,
    shared: Arc<Shared>,
    outcomes: mpsc::Receiver<Outcome>,
    ended: Option<mpsc::Sender<Outcome>>,
    /// Loops that have not ended.
    left: usize,
    /// Of those that were told that no more parts come.
    threads: Vec<JoinHandle<()>>,
    cut: CancellationToken,
    _cut_on_drop: DropGuard,
}

#[derive(Debug)]
struct Worker {
    parts: mpsc::Sender<Part>,
    thread: JoinHandle<()>,
}

impl Workers {
    /// None is started.
    pub(super) fn new(loads: &[Arc<WorkerLoad>], shared: &Arc<Shared>) -> Self {
        let (ended, outcomes) = mpsc::channel(WAITING_OUTCOMES);
        let cut = CancellationToken::new();
        Self {
            workers: loads.iter().map(|_| None).collect(),
            loads: loads.to_vec(),
            shared: Arc::clone(shared),
            outcomes,
            ended: Some(ended),
            left: 0,
            threads: Vec::new(),
            _cut_on_drop: cut.clone().drop_guard(),
            cut,
        }
    }

    /// Starts a worker for `count` parts, unless it runs, on `runtime` or another.
    ///
    /// # Errors
    /// The system refused a runtime or a thread.
    pub(super) fn start(&mut self, number: usize, runtime: Option<WorkerRuntime>, count: usize) -> io::Result<()> {
        let Some(ended) = self.ended.clone().filter(|_| self.workers[number].is_none()) else { return Ok(()) };
        let runtime = runtime.map_or_else(|| WorkerRuntime::new(number), Ok)?;
        let (parts, incoming) = mpsc::channel(WAITING_PARTS.max(count));
        let (shared, load, cut) = (Arc::clone(&self.shared), Arc::clone(&self.loads[number]), self.cut.clone());
        let run = move || {
            if let Some(runtime) = &runtime.0 {
                runtime.block_on(work(incoming, &shared, &load, &ended, &cut));
            }
            // Before the sender: when the channel ends, nothing is left of the workers.
            drop(runtime);
            drop(ended);
        };
        let thread = thread::Builder::new().name(format!("swapwire-worker-{number}")).spawn(run);
        let thread = thread.map_err(|error| not_started(number, &error))?;
        self.workers[number] = Some(Worker { parts, thread });
        Ok(())
    }

    /// Whether a worker that runs takes so many parts more.
    pub(super) fn takes(&self, number: usize, parts: usize) -> bool {
        self.workers[number].as_ref().is_some_and(|worker| worker.parts.capacity() >= parts)
    }

    /// Gives a worker that [takes](Self::takes) it one more part.
    pub(super) fn give(&mut self, part: Part) {
        if let Some(worker) = &self.workers[part.control.worker]
            && worker.parts.try_send(part).is_ok()
        {
            self.left += 1;
        }
    }

    /// The next loop that ends; `None` when all have, and their threads with them. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<Outcome> {
        if self.left == 0 {
            self.ended = None;
            let workers = self.workers.iter_mut().filter_map(Option::take);
            self.threads.extend(workers.map(|worker| worker.thread));
        }
        if let Some(outcome) = self.outcomes.recv().await {
            self.left -= 1;
            return Some(outcome);
        }
        for thread in self.threads.drain(..) {
            // It has nothing left to do but to end.
            if thread.join().is_err() {
                tracing::error!("a worker panicked");
            }
        }
        None
    }

    /// Loops that have not ended.
    pub(super) fn left(&self) -> usize {
        self.left
    }
}

/// Runs the loops of one worker until all have ended and no more come, or everything is cut.
async fn work(
    mut parts: mpsc::Receiver<Part>,
    shared: &Arc<Shared>,
    load: &Arc<WorkerLoad>,
    ended: &mpsc::Sender<Outcome>,
    cut: &CancellationToken,
) {
    let (mut loops, mut more, mut heartbeats) = (JoinSet::new(), true, pin!(load.answer_heartbeats()));
    while more || !loops.is_empty() {
        tokio::select! {
            biased;
            () = cut.cancelled() => return,
            never = &mut heartbeats => match never {},
            part = parts.recv(), if more => match part {
                Some(part) => part.start(&mut loops, shared, load),
                None => more = false,
            },
            // A loop catches its panics, and nothing else ends it.
            Some(one) = loops.join_next() => if let Ok(outcome) = one {
                tokio::select! {
                    biased;
                    () = cut.cancelled() => return,
                    _ = ended.send(outcome) => {}
                }
            },
        }
    }
}
