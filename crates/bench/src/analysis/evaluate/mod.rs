//! From rounds to findings.

mod conclusion;
mod summary;
#[cfg(test)]
mod tests;
mod warnings;

use crate::analysis::stats;
use crate::{Cell, Ratio, Round, Run};

impl Run {
    /// Fills in everything that follows from the rounds: summaries, ratios, warnings and conclusions. What was there is
    /// replaced, so that it can be called again on a run that was read from a file.
    pub fn evaluate(&mut self) {
        for cell in &mut self.cells {
            cell.summary = summary::of(&cell.rounds);
        }
        self.ratios = ratios(&self.cells);
        self.warnings = warnings::of(self);
        self.conclusion = conclusion::of(self);
    }
}

type Measure = fn(&Round) -> Option<f64>;

/// What ratios are made of.
const RATIOS: [(&str, Measure); 4] = [
    ("messages_per_s", Round::messages_per_s),
    ("p50", |round| round.latency_at(50.0)),
    ("p99", |round| round.latency_at(99.0)),
    ("server_cpu_ns", Round::server_cpu_ns),
];

fn ratios(cells: &[Cell]) -> Vec<Ratio> {
    let mut ratios = Vec::new();
    for first in cells.iter().filter(|cell| cell.target == 0) {
        for other in cells.iter().filter(|cell| cell.target != 0 && cell.load == first.load) {
            for (metric, measure) in RATIOS {
                // Round by round: what slowed the machine in one of them touched both.
                let pairs = other.rounds.iter().zip(&first.rounds);
                let paired: Vec<_> = pairs
                    .filter_map(|(other, first)| Some(measure(other)? / measure(first).filter(|over| *over > 0.0)?))
                    .collect();
                if let Some(value) = stats::value(&paired) {
                    let metric = metric.to_owned();
                    ratios.push(Ratio { target: other.target, over: 0, load: first.load.clone(), metric, value });
                }
            }
        }
    }
    ratios
}
