//! The sessions of one listener.

use std::sync::Arc;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::{JoinError, JoinSet};

use crate::accept::Admitted;
use crate::catch::let_go;
use crate::nest::Nest;
use crate::{ServeContext, SessionEnd};

/// Sessions that run: on a runtime of one thread all in one task, elsewhere each in one of its own, so that all threads
/// serve. As many as there is room for connections, by the permit that each holds. Dropping it drops them.
pub(crate) struct Sessions {
    cx: Arc<ServeContext>,
    run: Run,
}

enum Run {
    Together(Nest),
    Apart(JoinSet<SessionEnd>),
}

impl Sessions {
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn new(cx: Arc<ServeContext>) -> Self {
        let run = match Handle::current().runtime_flavor() {
            RuntimeFlavor::CurrentThread => Run::Together(Nest::new(Arc::clone(&cx))),
            _ => Run::Apart(JoinSet::new()),
        };
        Self { cx, run }
    }

    pub(crate) fn spawn(&mut self, session: Admitted) {
        self.cx.stats.opened();
        match &mut self.run {
            Run::Together(nest) => nest.spawn(Box::pin(session)),
            Run::Apart(tasks) => drop(tasks.spawn(session)),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match &self.run {
            Run::Together(nest) => nest.len(),
            Run::Apart(tasks) => tasks.len(),
        }
    }

    /// Counts sessions that end, and is ready when none is left. Cancel safe.
    pub(crate) async fn all_ended(&mut self) {
        match &mut self.run {
            Run::Together(nest) => nest.empty().await,
            Run::Apart(tasks) => {
                while let Some(ended) = tasks.join_next().await {
                    note(&self.cx, ended);
                }
            }
        }
    }

    /// Counts those that have ended.
    pub(crate) fn tidy_up(&mut self) {
        if let Run::Apart(tasks) = &mut self.run {
            while let Some(ended) = tasks.try_join_next() {
                note(&self.cx, ended);
            }
        }
    }

    /// Cuts all that run; they are gone when [`all_ended`](Self::all_ended) says so.
    pub(crate) fn cut(&mut self) {
        match &mut self.run {
            Run::Together(nest) => nest.cut(),
            Run::Apart(tasks) => tasks.abort_all(),
        }
    }
}

fn note(cx: &ServeContext, ended: Result<SessionEnd, JoinError>) {
    cx.stats.closed();
    cx.stats.ended(match ended.map_err(JoinError::try_into_panic) {
        Ok(end) => end,
        Err(Ok(payload)) => {
            let_go(payload);
            cx.panicked()
        }
        Err(Err(_)) => SessionEnd::Cut,
    });
}
