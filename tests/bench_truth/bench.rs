//! Plans, and what holds for every round.

use std::fmt::Display;
use std::time::Duration;

use swapwire::default_registry;
use swapwire_bench::{
    Conditions, Expect, Goal, Load, Monitor, Plan, PlanError, Round, Run, ServerKind, Spectrum, Target,
};

use crate::common::within;

/// One connection in a closed loop.
pub(crate) fn load(size: &str) -> Load {
    Load { sizes: size.parse().unwrap(), connections: 1, pipeline: 1, rate: None }
}

/// `requests` that are echoed. No warm-up: with a rate, all that a server sees is then measured. The timeout is one that a
/// busy machine does not reach.
pub(crate) fn echoes(requests: u64) -> Conditions {
    Conditions {
        expect: Expect::Echo,
        goal: Goal::Requests(requests),
        warmup: Duration::ZERO,
        timeout: Some(Duration::from_secs(20)),
        ..Conditions::default()
    }
}

/// One round of one server.
pub(crate) fn plan(endpoint: impl Display, load: Load, conditions: Conditions) -> Plan {
    Plan { targets: vec![target("it", endpoint)], loads: vec![load], conditions, rounds: 1 }
}

pub(crate) fn target(name: &str, endpoint: impl Display) -> Target {
    Target { name: name.to_owned(), endpoint: endpoint.to_string().parse().unwrap(), server: ServerKind::Elsewhere }
}

/// Tries again where other work of the machine may have been in the way: what is wrong is wrong each time.
pub(crate) async fn in_one_try_of_many(attempt: impl AsyncFn() -> Result<(), String>) {
    let mut said = Vec::new();
    for _ in 0..10 {
        match attempt().await {
            Ok(()) => return,
            Err(why) => said.push(why),
        }
    }
    panic!("in no try: {said:#?}");
}

/// `Err` with what was seen, unless it is so.
pub(crate) fn is_so(is: bool, seen: impl Display) -> Result<(), String> {
    if is { Ok(()) } else { Err(seen.to_string()) }
}

/// Carries a plan out on a thread of its own, within the guard.
pub(crate) async fn run(plan: Plan) -> Result<Run, PlanError> {
    let what = format!("a run against {}", plan.targets[0].endpoint);
    let (done, result) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || drop(done.send(plan.run(&default_registry(), &Monitor::new()))));
    let run = within(what, result).await.unwrap();
    for round in run.iter().flat_map(|run| &run.cells).flat_map(|cell| &cell.rounds) {
        let faults = &round.faults;
        let ends = round.answered + faults.wrong + faults.lost + faults.broken + faults.unsent;
        assert_eq!(ends, round.requests, "every request has one end: {round:?}");
    }
    run
}

/// The only round of a run that succeeds.
pub(crate) async fn round(plan: Plan) -> Round {
    let mut run = run(plan).await.unwrap();
    assert_eq!(run.partial, [""; 0]);
    run.cells.remove(0).rounds.remove(0)
}

/// Every request was rightly answered and nothing else happened.
pub(crate) fn assert_flawless(round: &Round, requests: u64, what: &str) {
    assert_eq!((round.requests, round.answered), (requests, requests), "{what}: {round:?}");
    let faults = &round.faults;
    assert_eq!((faults.wrong, faults.lost, faults.broken), (0, 0, 0), "{what}: {faults:?}");
    assert!(faults.errors.is_empty(), "{what}: {faults:?}");
    assert_eq!((faults.duplicated.unwrap_or(0), faults.reordered.unwrap_or(0)), (0, 0), "{what}: {faults:?}");
}

/// The latencies of all requests, those of the first ones included.
pub(crate) fn latencies(round: &Round) -> Spectrum {
    let mut all = round.latency.clone();
    all.merge(&round.first_reply);
    all
}
