//! The load generator of `swapwire bench` under criterion: what it sends, how it checks replies, and how it counts.

use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId};
use swapwire_bench::{Conditions, Goal, Load, Round, ServerKind, Sizes, Target, measure_once};

use super::{Cell, Kind, Server};

/// Full load before each sample, on connections of its own.
const WARM_UP: Duration = Duration::from_millis(10);

/// The same load on each of the servers. An iteration is a message for each place under way: `connections` with `depth`
/// each.
pub fn compare(group: &mut BenchmarkGroup<'_, WallTime>, cell: &Cell, kinds: &[Kind]) {
    let wave = cell.connections * cell.depth;
    group.throughput(super::throughput(wave, cell.size));
    for kind in kinds {
        let mut faulty = Vec::new();
        group.bench_function(BenchmarkId::new(kind.name(), cell.size), |bencher| {
            let server = Server::start(*kind, cell.wire, &cell.framing);
            bencher.iter_custom(|waves| {
                let requests = waves * wave as u64;
                let round = round(&server, cell, requests);
                // Some of the replies that came are to requests of the warm-up.
                let each = round.elapsed_s / round.messages as f64;
                faulty.extend(faults(&round));
                Duration::from_secs_f64(each * requests as f64)
            });
        });
        if let Some(last) = faulty.last() {
            eprintln!("{cell:?}, {kind:?}: not to be trusted: faults in {} rounds, the last: {last}", faulty.len());
        }
    }
}

fn round(server: &Server, cell: &Cell, requests: u64) -> Round {
    let target = Target { name: "server".to_owned(), endpoint: server.endpoint.clone(), server: ServerKind::Elsewhere };
    let load = Load { sizes: Sizes::Fixed(cell.size), connections: cell.connections, pipeline: cell.depth, rate: None };
    let (goal, framing) = (Goal::Requests(requests), cell.framing.clone());
    let conditions = Conditions { goal, framing, warmup: WARM_UP, ..Conditions::default() };
    let round = measure_once(&target, &load, &conditions, &server.registry).unwrap();
    assert!(round.messages > 0, "{}: no right reply: {:?}", server.endpoint, round.faults);
    round
}

/// What went wrong, if anything did: then the time is that of something else.
fn faults(round: &Round) -> Option<String> {
    let (unanswered, faults) = (round.requests - round.answered, &round.faults);
    let faulty = unanswered > 0 || faults.duplicated.is_some_and(|count| count > 0) || !faults.errors.is_empty();
    faulty.then(|| format!("{unanswered} of {} requests without a right reply: {faults:?}", round.requests))
}
