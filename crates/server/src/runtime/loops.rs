//! The loops of a server that runs: on the caller's runtime, or on workers.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::part::{Outcome, Part, Shared};
use super::worker::{WorkerRuntime, Workers};
use crate::metrics::WorkerLoad;

/// Dropping this cuts them.
pub(super) enum Loops {
    Here { loops: JoinSet<Outcome>, shared: Arc<Shared>, load: Arc<WorkerLoad> },
    Elsewhere(Workers),
}

impl Loops {
    /// None yet, on so many workers as there are loads, or, without workers, here.
    pub(super) fn new(workers: bool, loads: &[Arc<WorkerLoad>], shared: Arc<Shared>) -> Self {
        match loads {
            [load] if !workers => Self::Here { loops: JoinSet::new(), shared, load: Arc::clone(load) },
            loads => Self::Elsewhere(Workers::new(loads, &shared)),
        }
    }

    /// Starts what serves `parts`, all or none; `runtimes` were made for some workers.
    ///
    /// # Errors
    /// The system refused a worker its thread, or a handler has blocked one for too long.
    pub(super) fn start(&mut self, parts: Vec<Part>, runtimes: Vec<(usize, WorkerRuntime)>) -> io::Result<()> {
        match self {
            Self::Here { loops, shared, load } => parts.into_iter().for_each(|part| part.start(loops, shared, load)),
            Self::Elsewhere(workers) => {
                let mut counts = BTreeMap::new();
                parts.iter().for_each(|part| *counts.entry(part.control.worker).or_insert(0) += 1);
                let mut runtimes: BTreeMap<_, _> = runtimes.into_iter().collect();
                for (number, count) in &counts {
                    workers.start(*number, runtimes.remove(number), *count)?;
                }
                if let Some((number, _)) = counts.iter().find(|(number, count)| !workers.takes(**number, **count)) {
                    return Err(io::Error::other(format!("worker {number} takes nothing more: its thread is blocked")));
                }
                parts.into_iter().for_each(|part| workers.give(part));
            }
        }
        Ok(())
    }

    /// The next one that ends; `None` when all have. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<Outcome> {
        match self {
            Self::Here { loops, .. } => loop {
                match loops.join_next().await? {
                    Ok(outcome) => return Some(outcome),
                    Err(error) => tracing::error!(%error, "a serving loop ended without an outcome"),
                }
            },
            Self::Elsewhere(workers) => workers.next().await,
        }
    }

    /// How many have not ended.
    pub(super) fn left(&self) -> usize {
        match self {
            Self::Here { loops, .. } => loops.len(),
            Self::Elsewhere(workers) => workers.left(),
        }
    }
}
