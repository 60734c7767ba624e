//! Reloads: of a configuration file, and of the files that endpoints were bound with.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use swapwire::ServerHandle;
use swapwire::admin::{ServerSource, Source as _};
use tokio::sync::Mutex;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::plan::{self, Planner};
use super::{announce, lines};
use crate::cli::ServeArgs;
use crate::config::Config;
use crate::exit::{complain, complain_of};
use crate::manager::Manager;

/// Asks for reloads by a signal. One that is asked for while one waits is the same.
#[derive(Clone, Debug)]
pub(crate) struct Reloads(Sender<()>);

/// Carries them out.
pub(crate) struct Reloader {
    source: ServerSource,
    manager: Manager,
    /// The path of the configuration.
    file: Option<String>,
    asked: Receiver<()>,
}

/// The configuration file of a server that runs. Clones are of the same.
#[derive(Clone)]
pub(crate) struct ConfigFile {
    args: Arc<ServeArgs>,
    planner: Arc<Mutex<Planner>>,
    /// What it said when the server started.
    started: Arc<Config>,
}

impl Reloads {
    pub(crate) fn ask(&self) {
        let _ = self.0.try_send(());
    }
}

impl ConfigFile {
    /// The file of `args`, from which `planner` made the server when it said `started`.
    pub(crate) fn new(args: Arc<ServeArgs>, planner: Planner, started: Config) -> Self {
        Self { args, planner: Arc::new(Mutex::new(planner)), started: Arc::new(started) }
    }

    /// Has `server` serve what the file says now, all of it or nothing, after an earlier call has. What came of it, in a line.
    ///
    /// # Errors
    /// Nothing has changed, and why.
    ///
    /// # Cancel safety
    /// Dropping it leaves everything as it was, or changes everything.
    pub(crate) async fn apply(self, server: ServerHandle) -> Result<String, String> {
        let Self { args, planner, started } = self;
        let mut planner = planner.lock_owned().await;
        // Reading may wait for a disk, and this thread may be one that serves.
        let planned = tokio::task::spawn_blocking(move || {
            let planned = planner.again(&args, &started);
            (planner, planned)
        });
        let (_planner, planned) = planned.await.map_err(|error| error.to_string())?;
        let (config, listens) = planned.map_err(one_line)?;
        let before = server.local_endpoints();
        let applied = server.apply(listens).await.map_err(|error| one_line(plan::explain(&error, &config)))?;
        let mut endpoints = server.local_endpoints();
        endpoints.retain(|endpoint| !before.contains(endpoint));
        // It is written as soon as it is read.
        drop(announce(lines("listening", &endpoints)));
        Ok(applied.to_string())
    }
}

/// The first mistake, and how many there are.
fn one_line(problems: Vec<String>) -> String {
    let more = problems.len().saturating_sub(1);
    let first = problems.into_iter().next().unwrap_or_default();
    if more == 0 { first } else { format!("{first}; and {more} more: --check tells all") }
}

impl Reloader {
    /// What `source` reloads: `file`, if there is one.
    pub(crate) fn new(source: ServerSource, manager: Manager, file: Option<&Path>) -> (Self, Reloads) {
        let (ask, asked) = channel(1);
        let file = file.map(|file| file.display().to_string());
        (Self { source, manager, file, asked }, Reloads(ask))
    }

    /// What is reloaded, in words; nothing, if there is nothing to reload.
    pub(crate) fn subject(&self, server: &ServerHandle) -> Option<String> {
        let endpoints: Vec<_> = server.reloads().iter().map(ToString::to_string).collect();
        self.file.clone().or_else(|| (!endpoints.is_empty()).then(|| endpoints.join(", ")))
    }

    /// Reloads whenever it is asked to, and tells what came of it.
    ///
    /// # Cancel safety
    /// Dropping it leaves everything as it was, or reloaded.
    pub(crate) async fn run(mut self, server: &ServerHandle) -> Infallible {
        while let Some(()) = self.asked.recv().await {
            self.manager.reloading();
            let outcome = self.source.reload().await;
            match (&self.file, outcome) {
                // The log tells what was wrong.
                (None, _) => {}
                (Some(file), Ok(applied)) => complain(format_args!("reloaded {file}: {applied}")),
                (Some(file), Err(error)) => complain_of(format_args!("reload {file}: nothing has changed: {error}")),
            }
            self.manager.ready(server);
        }
        std::future::pending().await
    }
}
