//! A cell over all its rounds.

use crate::analysis::stats;
use crate::{Round, Summary, Usage, Value};

const PERCENTILES: [(&str, f64); 5] = [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9), ("max", 100.0)];

/// `None` if there are no rounds.
pub(super) fn of(rounds: &[Round]) -> Option<Summary> {
    if rounds.is_empty() {
        return None;
    }
    let over = |measure: &dyn Fn(&Round) -> Option<f64>| -> Option<Value> {
        stats::value(&rounds.iter().filter_map(measure).collect::<Vec<_>>())
    };
    let mut all = Round::default();
    rounds.iter().for_each(|round| all.add(round));
    let latency_ns = PERCENTILES
        .iter()
        .filter_map(|(name, percent)| Some(((*name).to_owned(), over(&|round| round.latency_at(*percent))?)));
    let memory = |usage: &Usage| usage.memory;
    Some(Summary {
        messages_per_s: over(&Round::messages_per_s).unwrap_or_default(),
        bytes_per_s: over(&Round::bytes_per_s).unwrap_or_default(),
        latency_ns: latency_ns.collect(),
        latency: all.latency,
        first_reply: all.first_reply,
        connect: all.connect,
        lag: all.lag,
        client_cpu_ns: over(&Round::client_cpu_ns),
        server_cpu_ns: over(&Round::server_cpu_ns),
        server_memory: rounds.iter().filter_map(|round| round.server.as_ref().and_then(memory)).max(),
        requests: all.requests,
        answered: all.answered,
        faults: all.faults,
    })
}
