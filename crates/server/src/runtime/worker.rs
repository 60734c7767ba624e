//! Workers: threads with a runtime of their own each.

use std::io;
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::worker_assignment::{Assignment, Outcome, Shared};
use crate::drain::StopSignals;

/// More workers than this are a mistake.
pub(crate) const MOST_WORKERS: usize = 1024;

/// A runtime for one thread, which may be dropped anywhere: what still runs on it is cut, without waiting.
#[derive(Debug)]
pub(crate) struct WorkerRuntime(Option<Runtime>);

impl WorkerRuntime {
    pub(crate) fn new(number: usize) -> io::Result<Self> {
        let blocking = format!("swapwire-blocking-{number}");
        Builder::new_current_thread().enable_all().thread_name(blocking).build().map(|runtime| Self(Some(runtime)))
    }
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
pub(crate) struct Workers {
    /// One from each loop, so it never is full.
    outcomes: mpsc::Receiver<Outcome>,
    /// Loops that have not ended.
    left: usize,
    threads: Vec<JoinHandle<()>>,
    _cut: DropGuard,
}

impl Workers {
    /// Starts a thread for each assignment.
    ///
    /// # Errors
    /// The system refused a thread. Those that were started end by themselves.
    pub(crate) fn start(
        assignments: Vec<(Assignment, WorkerRuntime, StopSignals)>,
        shared: &Shared,
    ) -> io::Result<Self> {
        let left: usize = assignments.iter().map(|(assignment, ..)| assignment.endpoints().count()).sum();
        let (ended, outcomes) = mpsc::channel(left.max(1));
        let cut = CancellationToken::new();
        let mut workers = Self { outcomes, left, threads: Vec::new(), _cut: cut.clone().drop_guard() };
        for (number, (assignment, runtime, signals)) in assignments.into_iter().enumerate() {
            let (shared, ended, cut) = (shared.clone(), ended.clone(), cut.clone());
            let run = move || {
                if let Some(runtime) = &runtime.0 {
                    runtime.block_on(work(assignment, &shared, &signals, &ended, &cut));
                }
                // Before the sender: when the channel ends, nothing is left of the workers.
                drop(runtime);
                drop(ended);
            };
            let failed = |error: io::Error| io::Error::new(error.kind(), format!("start worker {number}: {error}"));
            let thread = thread::Builder::new().name(format!("swapwire-worker-{number}")).spawn(run).map_err(failed)?;
            workers.threads.push(thread);
        }
        Ok(workers)
    }

    /// The next loop that ends; `None` when all have, and their threads with them. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Outcome> {
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
    pub(crate) fn left(&self) -> usize {
        self.left
    }
}

/// Runs the loops of one worker until all have ended, or everything is cut.
async fn work(
    assignment: Assignment,
    shared: &Shared,
    signals: &StopSignals,
    ended: &mpsc::Sender<Outcome>,
    cut: &CancellationToken,
) {
    let mut loops = assignment.start(shared, signals);
    let all = async {
        while let Some(one) = loops.join_next().await {
            // A loop catches its panics, and nothing else ends it.
            let Ok(outcome) = one else { continue };
            let _ = ended.try_send(outcome);
        }
    };
    tokio::select! {
        biased;
        () = cut.cancelled() => {}
        () = all => {}
    }
}
