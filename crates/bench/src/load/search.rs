//! The highest rate at which an objective holds.

use std::time::Duration;

use swapwire_core::Registry;
use tokio::time::Instant;

use super::round::{Failure, measure};
use super::run::EMPTY;
use crate::{Found, Goal, Load, Monitor, Plan, PlanError, Probe, Round, Run, Slo, Stage, Target};

/// Where a search begins, in requests per second, unless the load says.
const START: f64 = 1000.0;
/// Where it ends at the latest.
const HIGHEST: f64 = 100e6;
/// Requests that a probe has at least: of fewer, no percentile says anything.
const FEWEST: f64 = 10.0;
/// Two rates that are closer than this are one.
const CLOSE: f64 = 1.03;
/// Rates that are tried at most.
const PROBES: usize = 40;
/// The part of the rate that must be reached.
const REACHED: f64 = 0.99;
/// A generator that is later than this does not do what it was asked for.
const LATE: Duration = Duration::from_millis(1);

/// Why a rate did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Miss {
    /// As of [`Found::limited_by`].
    limit: &'static str,
    why: String,
}

impl Plan {
    /// For each target and load, searches the highest rate at which the objective holds: doubles it until it does not, then
    /// halves the distance, and tries the result again. A rate that fails is tried twice, since one pause of the machine
    /// says nothing of the server. [`Load::rate`] is where the search begins, if it is there. See [`Run::found`].
    ///
    /// # Errors
    /// As [`Plan::run`].
    pub fn search(&self, slo: &Slo, registry: &Registry, monitor: &Monitor) -> Result<Run, PlanError> {
        self.check(registry)?;
        let began = Instant::now();
        let mut run = self.blank(registry);
        run.cells.clear();
        let lowest = match self.conditions.goal {
            Goal::Time(time) => FEWEST / time.as_secs_f64(),
            Goal::Requests(_) => 1.0,
        };
        'all: for load in &self.loads {
            for (index, target) in self.targets.iter().enumerate() {
                let mut try_rate = |rate: f64, number: usize| {
                    let load = Load { rate: Some(rate), ..load.clone() };
                    monitor.set_stage(Stage { done: number, ..self.stage(target, &load, number + 1) });
                    measure(target, &load, &self.conditions, registry, monitor, began)
                };
                let mut probes = Vec::new();
                let outcome = search(load.rate.unwrap_or(START), lowest, slo, &mut probes, &mut try_rate);
                let stopped = match outcome {
                    Ok((rate, limit)) => {
                        run.found.push(found(index, load, rate, slo, limit, probes));
                        continue;
                    }
                    Err(Failure::Empty) => {
                        run.partial.push(format!("{}: given up: {EMPTY}", self.name(target, load)));
                        false
                    }
                    Err(Failure::Target(why)) => {
                        run.partial.push(format!("{}: given up: {why}", self.name(target, load)));
                        false
                    }
                    Err(Failure::Setup(why)) => {
                        run.partial.push(why);
                        true
                    }
                    Err(Failure::Stopped) => {
                        run.partial.push(format!("stopped at {}", self.name(target, load)));
                        true
                    }
                };
                if !probes.is_empty() {
                    let rate = best(&probes);
                    run.found.push(found(index, load, rate, slo, "stopped", probes));
                }
                if stopped {
                    break 'all;
                }
            }
        }
        self.conclude(run, began)
    }

    fn name(&self, target: &Target, load: &Load) -> String {
        self.stage(target, load, 1).what
    }
}

fn found(target: usize, load: &Load, rate: Option<f64>, slo: &Slo, limit: &str, probes: Vec<Probe>) -> Found {
    let load = Load { rate, ..load.clone() }.info();
    Found { target, load, slo: slo.to_string(), limited_by: limit.to_owned(), probes }
}

/// The highest rate that held in the end.
fn best(probes: &[Probe]) -> Option<f64> {
    let lowest_miss =
        probes.iter().filter(|probe| !probe.held).map(|probe| probe.rate_per_s).fold(f64::INFINITY, f64::min);
    let held = probes.iter().filter(|probe| probe.held).map(|probe| probe.rate_per_s);
    held.filter(|rate| *rate < lowest_miss).reduce(f64::max)
}

/// Returns the rate and what limits it.
fn search(
    start: f64,
    lowest: f64,
    slo: &Slo,
    probes: &mut Vec<Probe>,
    try_rate: &mut impl FnMut(f64, usize) -> Result<Round, Failure>,
) -> Result<(Option<f64>, &'static str), Failure> {
    let mut limit = "rate";
    // Twice, if it must be: two misses in a row.
    let mut holds = |rate: f64, probes: &mut Vec<Probe>, limit: &mut &'static str| {
        for attempt in 0..2 {
            let round = try_rate(rate, probes.len())?;
            let miss = judge(rate, slo, &round);
            if miss.is_none() || attempt == 1 {
                let held = miss.is_none();
                if let Some(miss) = &miss {
                    *limit = miss.limit;
                }
                let why = miss.map(|miss| miss.why).unwrap_or_default();
                probes.push(Probe { rate_per_s: rate, held, why, round });
                return Ok(held);
            }
        }
        Ok(false)
    };
    let (mut low, mut high) = (None, start);
    // Up, until it fails.
    while holds(high, probes, &mut limit)? {
        low = Some(high);
        if high >= HIGHEST || probes.len() >= PROBES {
            return Ok((low, limit));
        }
        high = (high * 2.0).min(HIGHEST);
    }
    // Down, until it holds.
    let mut floor = high;
    while low.is_none() && floor > lowest && probes.len() < PROBES {
        floor = (floor / 4.0).max(lowest);
        if holds(floor, probes, &mut limit)? {
            low = Some(floor);
        } else {
            high = floor;
        }
    }
    let Some(mut low) = low else { return Ok((None, limit)) };
    while high / low > CLOSE && probes.len() < PROBES {
        let middle = (low * high).sqrt();
        if holds(middle, probes, &mut limit)? { low = middle } else { high = middle }
    }
    // Once more: what held once by luck does not count.
    while probes.len() < PROBES {
        if holds(low, probes, &mut limit)? {
            return Ok((Some(low), limit));
        }
        low /= CLOSE;
    }
    Ok((best(probes), limit))
}

/// Whether a rate held, and if not, why.
fn judge(rate: f64, slo: &Slo, round: &Round) -> Option<Miss> {
    let late = Duration::from_nanos(round.lag.percentile(99.0)) > LATE;
    let miss = |limit, why| Some(Miss { limit: if late { "client" } else { limit }, why });
    if let Some((kind, count)) = round.faults.errors.iter().next() {
        return miss("errors", format!("{kind} ({count} times)"));
    }
    let reached = round.messages as f64 / round.elapsed_s;
    if reached < rate * REACHED || round.faults.unsent > 0 {
        return miss("rate", format!("{reached:.0} of {rate:.0} per second were reached"));
    }
    slo.missed_by(round).and_then(|why| miss("objective", why))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers within a millisecond up to `capacity`, and above it 10 ms late; it has a hiccup now and then.
    fn server(capacity: f64, hiccups: usize) -> impl FnMut(f64, usize) -> Result<Round, Failure> {
        let mut calls = 0;
        move |rate, _| {
            calls += 1;
            let slow = rate > capacity || hiccups > 0 && calls % hiccups == 0;
            let mut round = Round { elapsed_s: 1.0, messages: rate as u64, answered: rate as u64, ..Round::default() };
            round.requests = round.messages;
            for _ in 0..1000 {
                round.latency.record(Duration::from_millis(if slow { 10 } else { 1 }));
            }
            Ok(round)
        }
    }

    fn search_in(
        start: f64,
        mut server: impl FnMut(f64, usize) -> Result<Round, Failure>,
    ) -> (Option<f64>, &'static str, usize) {
        let mut probes = Vec::new();
        let slo: Slo = "p99=5ms".parse().unwrap();
        let (rate, limit) = search(start, 1.0, &slo, &mut probes, &mut server).unwrap();
        (rate, limit, probes.len())
    }

    #[test]
    fn it_finds_the_capacity_from_both_sides() {
        for start in [1000.0, 1_000_000.0] {
            let (rate, limit, probes) = search_in(start, server(123_000.0, 0));
            let rate = rate.unwrap();
            assert!((123_000.0 / CLOSE..=123_000.0).contains(&rate), "{rate}");
            assert_eq!(limit, "objective");
            assert!(probes < 25, "{probes}");
        }
    }

    #[test]
    fn a_hiccup_now_and_then_does_not_mislead_it() {
        let (rate, ..) = search_in(1000.0, server(123_000.0, 5));
        assert!((123_000.0 / CLOSE..=123_000.0).contains(&rate.unwrap()), "{rate:?}");
    }

    #[test]
    fn a_server_that_never_holds_has_no_rate() {
        assert_eq!(search_in(1000.0, server(0.0, 0)).0, None);
    }

    #[test]
    fn a_late_generator_is_to_blame_itself() {
        let mut round = server(1e9, 0)(1000.0, 0).unwrap();
        round.messages = 500;
        let slo: Slo = "p99=5ms".parse().unwrap();
        assert_eq!(judge(1000.0, &slo, &round).unwrap().limit, "rate");
        round.lag.record(Duration::from_millis(50));
        assert_eq!(judge(1000.0, &slo, &round).unwrap().limit, "client");
    }
}
