//! The sessions of one listener.

use std::future::Future;
use std::sync::Arc;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::{JoinError, JoinSet};

use super::catch_panic::let_go;
use super::local_task_set::LocalTaskSet;
use crate::SessionEnd;
use crate::metrics::{IncidentLog, WorkerLoad};

/// Sessions that run: on a runtime of one thread all in one task, elsewhere each in one of its own, so that all threads
/// serve. As many as there are permits for connections: each holds one. Dropping it drops them.
pub(crate) struct SessionSet<F> {
    log: IncidentLog,
    load: Arc<WorkerLoad>,
    run: Run<F>,
}

enum Run<F> {
    Together(LocalTaskSet<F>),
    Apart(JoinSet<SessionEnd>),
}

impl<F: Future<Output = SessionEnd> + Send + 'static> SessionSet<F> {
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn new(log: IncidentLog, load: Arc<WorkerLoad>) -> Self {
        let run = match Handle::current().runtime_flavor() {
            RuntimeFlavor::CurrentThread => Run::Together(LocalTaskSet::new(log.clone(), Arc::clone(&load))),
            _ => Run::Apart(JoinSet::new()),
        };
        Self { log, load, run }
    }

    pub(crate) fn spawn(&mut self, session: F) {
        self.load.opened();
        match &mut self.run {
            Run::Together(local) => local.spawn(session),
            Run::Apart(tasks) => drop(tasks.spawn(session)),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match &self.run {
            Run::Together(local) => local.len(),
            Run::Apart(tasks) => tasks.len(),
        }
    }

    /// Counts sessions that end, and is ready when none is left. Cancel safe.
    pub(crate) async fn all_ended(&mut self) {
        match &mut self.run {
            Run::Together(local) => local.empty().await,
            Run::Apart(tasks) => {
                while let Some(ended) = tasks.join_next().await {
                    count_end(&self.log, &self.load, ended);
                }
            }
        }
    }

    /// Counts those that have ended.
    pub(crate) fn tidy_up(&mut self) {
        if let Run::Apart(tasks) = &mut self.run {
            while let Some(ended) = tasks.try_join_next() {
                count_end(&self.log, &self.load, ended);
            }
        }
    }

    /// Cuts all that run; they are gone when [`all_ended`](Self::all_ended) says so.
    pub(crate) fn cut(&mut self) {
        match &mut self.run {
            Run::Together(local) => local.cut(),
            Run::Apart(tasks) => tasks.abort_all(),
        }
    }
}

fn count_end(log: &IncidentLog, load: &WorkerLoad, ended: Result<SessionEnd, JoinError>) {
    load.closed();
    log.stats.ended(match ended.map_err(JoinError::try_into_panic) {
        Ok(end) => end,
        Err(Ok(payload)) => {
            let_go(payload);
            log.panicked()
        }
        Err(Err(_)) => SessionEnd::Cut,
    });
}
