//! A measurement under way.

use std::io;
use std::thread;

use swapwire::Registry;
use swapwire_bench::{Goal, Monitor, Plan, PlanError, Run, ServerKind, Slo};
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval};

use super::progress::{Progress, STEP};
use super::servers::Servers;
use crate::exit::{self, Failure};
use crate::signals::Signals;

/// What to measure.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) plan: Plan,
    /// Search the highest rate at which this holds, instead of measuring in rounds.
    pub(super) search: Option<Slo>,
    pub(super) registry: Registry,
}

impl Work {
    /// What will be measured, and about how long that takes.
    pub(super) fn announcement(&self) -> String {
        let Plan { targets, loads, conditions, rounds } = &self.plan;
        let names = targets.iter().map(|target| match target.server {
            ServerKind::SameProcess => format!("{} (served within this process)", target.name),
            _ => target.name.clone(),
        });
        let names = names.collect::<Vec<_>>().join(", ");
        let under = match loads.len() {
            1 => String::new(),
            several => format!(" under {several} loads each"),
        };
        if let Some(slo) = &self.search {
            return format!("searching the highest rate with {slo}{under}: {names}");
        }
        let rounds_of = match conditions.goal {
            Goal::Time(time) => {
                let each = time + conditions.warmup + conditions.ramp;
                let all = each.as_secs_f64() * (targets.len() * loads.len() * rounds) as f64;
                format!("{time:?}, about {:.0} s in all", all.max(1.0))
            }
            Goal::Requests(1) => "1 request".to_owned(),
            Goal::Requests(count) => format!("{count} requests"),
            _ => "unknown length".to_owned(),
        };
        let rounds = if *rounds == 1 { "1 round".to_owned() } else { format!("{rounds} rounds") };
        format!("measuring {names}{under}: {rounds} of {rounds_of}")
    }

    /// Measures until it is done or told to stop; what was measured by then is kept. Ends the servers.
    ///
    /// # Errors
    /// The plan is impossible, nothing could be measured, or a second signal came.
    pub(super) async fn measure(
        self,
        mut servers: Option<Servers>,
        mut progress: Progress,
        signals: &mut Signals,
    ) -> Result<Run, Failure> {
        let monitor = Monitor::new();
        let mut end = apart({
            let monitor = monitor.clone();
            move || match &self.search {
                Some(slo) => self.plan.search(slo, &self.registry, &monitor),
                None => self.plan.run(&self.registry, &monitor),
            }
        })?;
        let mut steps = interval(STEP);
        steps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let result = loop {
            tokio::select! {
                result = &mut end => break result,
                () = signals.next() => {
                    if monitor.stopped() {
                        progress.end();
                        return Err(Failure::failed("second signal: the measurement was discarded"));
                    }
                    monitor.stop();
                    progress.say("stopping: what was measured so far is kept; a second signal ends at once");
                }
                _ = steps.tick() => progress.draw(&monitor),
            }
        };
        progress.end();
        let whole = matches!(&result, Ok(Ok(run)) if run.partial.is_empty());
        let deaths = servers.as_mut().map(|servers| servers.deaths(!whole && !monitor.stopped())).unwrap_or_default();
        if let Some(servers) = servers {
            servers.end();
        }
        match result {
            Ok(Ok(mut run)) => {
                run.partial.extend(deaths);
                Ok(run)
            }
            Ok(Err(PlanError::Impossible(problems))) => Err(Failure::several(exit::USAGE, problems)),
            Ok(Err(PlanError::Failed(problems))) => {
                Err(Failure::several(exit::FAILURE, problems.into_iter().chain(deaths).collect()))
            }
            Ok(Err(error)) => Err(Failure::failed(error)),
            Err(_) => Err(Failure::failed("bench: the generator panicked")),
        }
    }
}

/// Does `work` on a thread of its own, which the end of the process does not wait for.
pub(super) fn apart<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<oneshot::Receiver<T>, Failure> {
    let (done, is_done) = oneshot::channel();
    let thread = thread::Builder::new().spawn(move || {
        // The receiver may be gone.
        let _ = done.send(work());
    });
    thread.map(|_| is_done).map_err(|error: io::Error| Failure::failed(format_args!("bench: start a thread: {error}")))
}
