//! A cell over all its rounds.

use crate::analysis::stats;
use crate::{Faults, Round, Spectrum, Summary, Usage, Value};

const PERCENTILES: [(&str, f64); 5] = [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9), ("max", 100.0)];

/// `None` if there are no rounds.
pub(super) fn of(rounds: &[Round]) -> Option<Summary> {
    if rounds.is_empty() {
        return None;
    }
    let over = |measure: &dyn Fn(&Round) -> Option<f64>| -> Option<Value> {
        stats::value(&rounds.iter().filter_map(measure).collect::<Vec<_>>())
    };
    let together = |spectrum: fn(&Round) -> &Spectrum| {
        let mut all = Spectrum::new();
        rounds.iter().for_each(|round| all.merge(spectrum(round)));
        all
    };
    let latency_ns = PERCENTILES
        .iter()
        .filter_map(|(name, percent)| Some(((*name).to_owned(), over(&|round| round.latency_at(*percent))?)));
    let memory = |usage: &Usage| usage.memory;
    Some(Summary {
        messages_per_s: over(&Round::messages_per_s).unwrap_or_default(),
        bytes_per_s: over(&Round::bytes_per_s).unwrap_or_default(),
        latency_ns: latency_ns.collect(),
        latency: together(|round| &round.latency),
        first_reply: together(|round| &round.first_reply),
        connect: together(|round| &round.connect),
        lag: together(|round| &round.lag),
        client_cpu_ns: over(&Round::client_cpu_ns),
        server_cpu_ns: over(&Round::server_cpu_ns),
        server_memory: rounds.iter().filter_map(|round| round.server.as_ref().and_then(memory)).max(),
        requests: rounds.iter().map(|round| round.requests).sum(),
        answered: rounds.iter().map(|round| round.answered).sum(),
        faults: faults(rounds),
    })
}

fn faults(rounds: &[Round]) -> Faults {
    let mut all = Faults::default();
    for Round { faults, .. } in rounds {
        all.wrong += faults.wrong;
        all.lost += faults.lost;
        all.late += faults.late;
        all.unsent += faults.unsent;
        all.broken += faults.broken;
        let visible = [
            (&mut all.duplicated, faults.duplicated),
            (&mut all.reordered, faults.reordered),
            (&mut all.client_drops, faults.client_drops),
            (&mut all.server_drops, faults.server_drops),
        ];
        for (sum, part) in visible {
            *sum = match (*sum, part) {
                (None, None) => None,
                (sum, part) => Some(sum.unwrap_or(0) + part.unwrap_or(0)),
            };
        }
        for (kind, count) in &faults.errors {
            *all.errors.entry(kind.clone()).or_default() += count;
        }
    }
    all
}
