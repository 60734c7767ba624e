//! `swapwire bench`.

use std::time::Duration;

use swapwire::Registry;
use swapwire_bench::{Run, Slo, report};
use tokio::time::timeout;

use crate::cli::BenchArgs;
use crate::exit::{self, Failure, complain};
use crate::outputs::Outputs;
use crate::signals::Signals;
use crate::ws_headers::without_secrets;

mod judge;
mod memory;
mod process;
mod progress;
mod servers;
pub(crate) mod setup;
mod work;

use progress::Progress;
use servers::{Servers, Spec, Started};
use setup::{Setup, named};
use work::{Work, apart};

/// How long the end waits for servers that are being started.
const FAREWELL: Duration = Duration::from_secs(1);

/// Measures, prints a table and writes the files.
pub(crate) fn run(args: &BenchArgs) -> Result<u8, Failure> {
    let registry = args.headers.registry().map_err(Failure::usage)?;
    let setup = setup::read(args, &registry).map_err(|problems| Failure::several(exit::USAGE, problems))?;
    let outputs = Outputs::open(args.json.as_ref(), &args.outputs)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format_args!("bench: start the runtime: {error}")))?;
    runtime.block_on(async {
        // A signal from here on ends what was begun.
        let mut signals =
            Signals::new().map_err(|error| Failure::failed(format_args!("bench: watch for signals: {error}")))?;
        let Setup { servers: spec, mut plan, find_max, slo } = setup;
        let servers = match &spec {
            Some(spec) => {
                let (servers, places) = start(spec, &registry, &mut signals).await?;
                plan.targets = named(places);
                Some(servers)
            }
            None => None,
        };
        let work = Work { plan, search: slo.clone().filter(|_| find_max), registry };
        let quiet = args.quiet;
        if !quiet {
            complain(work.announcement());
        }
        let mut run = work.measure(servers, Progress::new(quiet), &mut signals).await?;
        run.settings.handler = spec.map(|spec| spec.handler);
        run.command = command();
        // The warnings depend on whose servers they were.
        run.evaluate();
        let end = apart(move || conclude(run, slo.as_ref(), outputs, quiet))?;
        tokio::select! {
            code = end => code.unwrap_or_else(|_| Err(Failure::failed("bench: the report panicked"))),
            // Whoever should take the outputs may never do so.
            () = signals.next() => Err(Failure::failed("bench: stopped by a signal while the outputs were written")),
        }
    })
}

/// Starts servers, unless told to stop meanwhile; those that are there by then are ended.
async fn start(spec: &Spec, registry: &Registry, signals: &mut Signals) -> Result<Started, Failure> {
    let (spec, registry) = (spec.clone(), registry.clone());
    let mut started = apart(move || Servers::start(&spec, &registry))?;
    match signals.unless(&mut started).await {
        Some(started) => started.unwrap_or_else(|_| Err(Failure::failed("bench: the start of the servers panicked"))),
        None => {
            let _ = timeout(FAREWELL, started).await;
            Err(Failure::failed("bench: stopped by a signal before the measurement"))
        }
    }
}

/// This command, as it can be called again, but for the values of headers.
fn command() -> Vec<String> {
    let given = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    ["swapwire".to_owned()].into_iter().chain(without_secrets(given)).collect()
}

/// The table, the files, and what went wrong.
fn conclude(run: Run, slo: Option<&Slo>, outputs: Outputs, quiet: bool) -> Result<u8, Failure> {
    let mut problems = judge::problems(&run);
    if !quiet {
        problems.extend(outputs.print(|color| report::text(&run, color)));
    }
    let missed = slo.map(|slo| judge::missed(&run, slo)).unwrap_or_default();
    problems.extend(outputs.write(&[(String::new(), run)]));
    match (problems.is_empty(), missed.is_empty()) {
        (true, true) => Ok(exit::OK),
        (true, false) => Err(Failure::several(exit::MISSED, missed)),
        (false, _) => Err(Failure::several(exit::FAILURE, problems.into_iter().chain(missed).collect())),
    }
}
