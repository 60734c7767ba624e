//! Carrying out a plan.

use std::time::{SystemTime, UNIX_EPOCH};

use swapwire_core::Registry;
use tokio::time::Instant;

use super::round::{Failure, measure};
use super::usage;
use crate::{
    Cell, Conditions, Goal, Load, Monitor, Plan, PlanError, Round, Run, SCHEMA, ServerKind, Settings, Stage, Target,
    TargetInfo,
};

/// Says what to do about a round in which nothing was begun.
pub(crate) const EMPTY: &str = "no request was begun in it; ask for longer rounds (--duration) or a higher rate";

impl Plan {
    /// Measures all of it, on this thread and those of the generator, and blocks until it is done or
    /// [stopped](Monitor::stop). A target that fails ends its own measurements alone: the run is then
    /// [partial](Run::partial).
    ///
    /// # Errors
    /// The plan is [impossible](Plan::check), or nothing could be measured at all.
    pub fn run(&self, registry: &Registry, monitor: &Monitor) -> Result<Run, PlanError> {
        self.check(registry)?;
        let began = Instant::now();
        let mut run = self.blank(registry);
        let mut dead = vec![false; self.targets.len()];
        let all = self.rounds * self.loads.len() * self.targets.len();
        let mut done = 0;
        'rounds: for round in 1..=self.rounds {
            for (at, load) in self.loads.iter().enumerate() {
                for (index, target) in self.targets.iter().enumerate() {
                    if dead[index] {
                        continue;
                    }
                    let stage = self.stage(target, load, round);
                    let what = stage.what.clone();
                    monitor.set_stage(Stage { done, all: Some(all), ..stage });
                    match measure(target, load, &self.conditions, registry, monitor, began) {
                        Ok(measured) => run.cells[at * self.targets.len() + index].rounds.push(measured),
                        Err(Failure::Stopped) => {
                            run.partial.push(format!("stopped in round {round} of {}, at {what}", self.rounds));
                            break 'rounds;
                        }
                        Err(Failure::Setup(why)) => {
                            run.partial.push(why);
                            break 'rounds;
                        }
                        Err(Failure::Empty) => run.partial.push(format!("{what}: round {round} is missing: {EMPTY}")),
                        Err(Failure::Target(why)) => {
                            dead[index] = true;
                            let rounds = self.rounds;
                            run.partial.push(format!("{what}: given up in round {round} of {rounds}: {why}"));
                        }
                    }
                    done += 1;
                }
            }
        }
        self.conclude(run, began)
    }

    /// What is known before anything is measured.
    pub(crate) fn blank(&self, registry: &Registry) -> Run {
        let conditions = &self.conditions;
        let cells = self.loads.iter().flat_map(|load| {
            (0..self.targets.len()).map(|target| Cell { target, load: load.info(), ..Cell::default() })
        });
        Run {
            schema: SCHEMA,
            tool: format!("swapwire {}", env!("CARGO_PKG_VERSION")),
            started_unix_s: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
            machine: usage::machine(),
            settings: Settings {
                rounds: self.rounds,
                duration_s: match conditions.goal {
                    Goal::Time(time) => Some(time.as_secs_f64()),
                    Goal::Requests(_) => None,
                },
                requests: match conditions.goal {
                    Goal::Requests(requests) => Some(requests),
                    Goal::Time(_) => None,
                },
                warmup_s: conditions.warmup.as_secs_f64(),
                ramp_s: conditions.ramp.as_secs_f64(),
                timeout_s: conditions.timeout.map(|timeout| timeout.as_secs_f64()),
                reconnect_every: conditions.reconnect_every,
                framing: conditions.framing.to_string(),
                message: conditions.message.as_ref().map(ToString::to_string),
                expect: conditions.expect.to_string(),
                handler: None,
                threads: conditions.threads,
                pin: conditions.pin.clone(),
                spin: conditions.spin,
                sources: conditions.sources.iter().map(ToString::to_string).collect(),
                seed: conditions.seed,
            },
            targets: self.targets.iter().map(|target| info(target, registry)).collect(),
            cells: cells.collect(),
            ..Run::default()
        }
    }

    /// What is being measured.
    pub(crate) fn stage(&self, target: &Target, load: &Load, round: usize) -> Stage {
        let connections =
            if load.connections == 1 { "1 connection".to_owned() } else { format!("{} connections", load.connections) };
        let mut what = format!("{}, {} B, {connections}", target.name, load.sizes);
        if load.pipeline > 1 && load.rate.is_none() {
            what.push_str(&format!(", pipeline {}", load.pipeline));
        }
        if let Some(rate) = load.rate {
            what.push_str(&format!(", {rate:.0}/s"));
        }
        let each = match self.conditions.goal {
            Goal::Time(time) => Some(self.conditions.ramp + self.conditions.warmup + time),
            Goal::Requests(_) => None,
        };
        Stage { what, round, each, ..Stage::default() }
    }

    /// The findings, if there are any.
    pub(crate) fn conclude(&self, mut run: Run, began: Instant) -> Result<Run, PlanError> {
        run.elapsed_s = began.elapsed().as_secs_f64();
        if run.cells.iter().all(|cell| cell.rounds.is_empty()) && run.found.is_empty() {
            return Err(PlanError::Failed(run.partial));
        }
        run.evaluate();
        Ok(run)
    }
}

/// Measures one target under one load once: for benches that bring statistics of their own, such as criterion. Blocks until
/// it is done.
///
/// # Errors
/// The plan would be [impossible](Plan::check), the target failed, or the generator could not be set up.
pub fn measure_once(
    target: &Target,
    load: &Load,
    conditions: &Conditions,
    registry: &Registry,
) -> Result<Round, PlanError> {
    let plan =
        Plan { targets: vec![target.clone()], loads: vec![load.clone()], conditions: conditions.clone(), rounds: 1 };
    plan.check(registry)?;
    measure(target, load, conditions, registry, &Monitor::new(), Instant::now()).map_err(|failure| match failure {
        Failure::Target(why) | Failure::Setup(why) => PlanError::Failed(vec![why]),
        Failure::Empty => PlanError::Failed(vec![EMPTY.to_owned()]),
        // No caller has the monitor.
        Failure::Stopped => PlanError::Failed(vec!["stopped".to_owned()]),
    })
}

fn info(target: &Target, registry: &Registry) -> TargetInfo {
    let transport = registry.transport(&target.endpoint).ok();
    let capabilities = transport.map(|transport| transport.capabilities(target.endpoint.scheme()));
    TargetInfo {
        name: target.name.clone(),
        endpoint: target.endpoint.to_string(),
        server: match target.server {
            ServerKind::Elsewhere => "elsewhere",
            ServerKind::Process(_) => "process",
            ServerKind::SameProcess => "same-process",
        }
        .to_owned(),
        wire: capabilities.as_ref().map_or_else(String::new, |capabilities| capabilities.shape.to_string()),
        datagrams: capabilities.is_some_and(|capabilities| !capabilities.reliable),
    }
}
