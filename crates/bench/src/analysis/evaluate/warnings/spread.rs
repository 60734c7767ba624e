//! Rounds that do not agree.

use super::{Doubt, Seen};
use crate::analysis::stats::{self, Sure};
use crate::analysis::words;
use crate::{Round, Value};

/// A number that is not known better than to this share of it is noisy; a difference below it is not worth a line.
const NOISY: f64 = 0.1;
/// Fewer rounds cannot tell the first from the others.
const FEWEST: usize = 4;

pub(super) fn of(seen: &Seen<'_>) -> impl Iterator<Item = Doubt> {
    drift(seen).into_iter().chain(noise(seen))
}

/// How far its numbers move, where that is too far.
fn noise(seen: &Seen<'_>) -> Option<Doubt> {
    let summary = seen.summary;
    let latency = |name: &str| summary.latency_ns.get(name).copied();
    let measures = if seen.cell.load.rate_per_s.is_some() {
        vec![("p50", latency("p50")), ("p99", latency("p99"))]
    } else {
        vec![("messages per second", Some(summary.messages_per_s)), ("p50", latency("p50"))]
    };
    let noisy: Vec<_> = measures
        .into_iter()
        .filter_map(|(what, value)| {
            let share = half_share(&value?)?;
            (share > NOISY).then(|| format!("{what} ± {}", words::percent(share)))
        })
        .collect();
    (!noisy.is_empty()).then(|| Doubt {
        cause: format!("noisy: ask for more rounds (--rounds), {}, or a quieter machine", seen.longer()),
        here: noisy.join(", "),
    })
}

fn half_share(value: &Value) -> Option<f64> {
    (value.median > 0.0).then(|| words::half_width(value) / value.median)
}

/// Whether the first round was outside the 99 % prediction interval of the later ones, and by something that matters: its
/// rate in a closed loop, its median latency in an open one.
fn drift(seen: &Seen<'_>) -> Option<Doubt> {
    let open = seen.cell.load.rate_per_s.is_some();
    let measure = |round: &Round| if open { round.latency_at(50.0) } else { round.messages_per_s() };
    let numbers: Vec<_> = seen.cell.rounds.iter().map(measure).collect::<Option<_>>()?;
    let (first, later) = numbers.split_first().filter(|_| numbers.len() >= FEWEST)?;
    let (usual, count) = (stats::mean(later), later.len() as f64);
    let usually = stats::t(Sure::P99, count - 1.0) * (stats::variance(later) * (1.0 + 1.0 / count)).sqrt();
    let off = (first - usual).abs();
    (off > NOISY * usual && off > usually).then(|| {
        let say = |number| if open { words::time(number) } else { format!("{} per second", words::count(number)) };
        let what = if open { " in the median" } else { "" };
        Doubt {
            cause: "drift: the first round differs from the later ones; try a longer --warmup".to_owned(),
            here: format!("{}{what}, then {}", say(*first), say(usual)),
        }
    })
}
