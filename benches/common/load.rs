//! The load generator of `swapwire bench` under criterion: what it sends, how it checks replies, and how it counts.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion};
use swapwire_bench::{Conditions, Goal, Load, Round, ServerKind, Sizes, Target, measure_once};

use super::{Kind, SIZES, Server, Wire};

/// Full load before each sample, on connections of its own.
const WARM_UP: Duration = Duration::from_millis(10);

/// The same load on both servers. An iteration is a message for each place under way: `connections` with `pipeline` each.
pub fn servers(criterion: &mut Criterion, bench: &str, connections: usize, pipeline: impl Fn(Wire, usize) -> usize) {
    for wire in Wire::ALL {
        let mut group = super::group(criterion, bench, wire);
        for size in SIZES {
            let load = Load { sizes: Sizes::Fixed(size), connections, pipeline: pipeline(wire, size), rate: None };
            let wave = load.connections * load.pipeline;
            group.throughput(super::throughput(wave, size));
            for kind in Kind::BOTH {
                let mut faulty = Vec::new();
                group.bench_function(BenchmarkId::new(kind.name(), size), |bencher| {
                    let server = Server::start(kind, wire);
                    bencher.iter_custom(|waves| {
                        let requests = waves * wave as u64;
                        let round = round(&server, &load, requests);
                        // Some of the replies that came are to requests of the warm-up.
                        let each = round.elapsed_s / round.messages as f64;
                        faulty.extend(faults(&round));
                        Duration::from_secs_f64(each * requests as f64)
                    });
                });
                if let Some(last) = faulty.last() {
                    let cell = format!("{bench}/{}/{}/{size}", wire.name(), kind.name());
                    eprintln!("{cell}: not to be trusted: faults in {} rounds, the last: {last}", faulty.len());
                }
            }
        }
        group.finish();
    }
}

fn round(server: &Server, load: &Load, requests: u64) -> Round {
    let target = Target { name: "server".to_owned(), endpoint: server.endpoint.clone(), server: ServerKind::Elsewhere };
    let conditions = Conditions { goal: Goal::Requests(requests), warmup: WARM_UP, ..Conditions::default() };
    let round = measure_once(&target, load, &conditions, &server.registry).unwrap();
    assert!(round.messages > 0, "{}: no right reply: {:?}", server.endpoint, round.faults);
    round
}

/// What went wrong, if anything did: then the time is that of something else.
fn faults(round: &Round) -> Option<String> {
    let (unanswered, faults) = (round.requests - round.answered, &round.faults);
    let faulty = unanswered > 0 || faults.duplicated.is_some_and(|count| count > 0) || !faults.errors.is_empty();
    faulty.then(|| format!("{unanswered} of {} requests without a right reply: {faults:?}", round.requests))
}
