//! The findings in plain sentences.

use super::warnings::is_full;
use crate::analysis::words;
use crate::{Cell, Found, LoadInfo, Ratio, Run};

/// Of a search, its result; otherwise of each load in turn: the others against the first target, the best first. Where
/// the first target, or any other, is missing, each for itself.
pub(super) fn of(run: &Run) -> Vec<String> {
    if !run.found.is_empty() {
        return run.found.iter().map(|found| searched(run, found)).collect();
    }
    let mut loads: Vec<&LoadInfo> = Vec::new();
    for cell in &run.cells {
        if !loads.contains(&&cell.load) {
            loads.push(&cell.load);
        }
    }
    loads.into_iter().flat_map(|load| about(run, load)).collect()
}

fn about(run: &Run, load: &LoadInfo) -> Vec<String> {
    // At a given rate all handle as many messages, or they fail; then it is the latency that differs.
    let (metric, best) = if load.rate_per_s.is_some() { ("p99", 1.0) } else { ("messages_per_s", -1.0) };
    let mut ratios: Vec<_> = run.ratios.iter().filter(|ratio| ratio.load == *load && ratio.metric == metric).collect();
    ratios.sort_by(|a, b| (best * a.value.median).total_cmp(&(best * b.value.median)));
    if ratios.is_empty() {
        return run.cells.iter().filter(|cell| cell.load == *load).filter_map(|cell| alone(run, cell)).collect();
    }
    ratios.into_iter().map(|ratio| compared(run, ratio)).collect()
}

/// What a finding about these targets says beside the load.
fn marked(run: &Run, load: &LoadInfo, targets: &[usize]) -> &'static str {
    let mut cells = run.cells.iter().filter(|cell| cell.load == *load && targets.contains(&cell.target));
    if cells.any(|cell| is_full(run, cell)) { " (on a full machine, which client and server shared)" } else { "" }
}

fn compared(run: &Run, ratio: &Ratio) -> String {
    let (this, first) = (words::target(run, ratio.target), words::target(run, ratio.over));
    let full = marked(run, &ratio.load, &[ratio.target, ratio.over]);
    let (load, times) = (words::load(&ratio.load) + full, words::ratio(&ratio.value));
    let value = &ratio.value;
    // An interval of no width is one that is not known, for want of rounds.
    let same = value.low < value.high && value.low <= 1.0 && 1.0 <= value.high;
    match (ratio.metric.as_str(), same) {
        ("p99", true) => {
            format!("the p99 latency of {this} and of {first} is no different within the noise ({times}) at {load}")
        }
        ("p99", false) => format!("the p99 latency of {this} is {times} times that of {first} at {load}"),
        (_, true) => {
            format!(
                "{this} handles as many messages per second as {first}, no different within the noise ({times}), at {load}"
            )
        }
        (_, false) => format!("{this} handles {times} times as many messages per second as {first} at {load}"),
    }
}

fn alone(run: &Run, cell: &Cell) -> Option<String> {
    let summary = cell.summary.as_ref()?;
    let [p50, p99] = ["p50", "p99"].map(|name| summary.latency_ns.get(name).map(|value| words::time(value.median)));
    let mut text = format!(
        "{} handles {} messages per second at {}",
        words::target(run, cell.target),
        words::rate(&summary.messages_per_s),
        words::load(&cell.load) + marked(run, &cell.load, &[cell.target])
    );
    if let (Some(p50), Some(p99)) = (p50, p99) {
        text += &format!(": half of the replies come within {p50}, 99 % within {p99}");
    }
    Some(text)
}

fn searched(run: &Run, found: &Found) -> String {
    let (target, load) = (words::target(run, found.target), words::without_rate(&found.load));
    let why = match found.limited_by.as_str() {
        "objective" => "limited by the objective",
        "rate" => "limited by the server, which did not keep up with more",
        "errors" => "limited by errors",
        "client" => "limited by the client, so it may be more",
        other => &format!("limited by {other}"),
    };
    match found.load.rate_per_s {
        Some(rate) => {
            let rate = words::count(rate);
            format!("{target} holds {} up to {rate} messages per second at {load} ({why})", found.slo)
        }
        None => {
            let least = found.probes.iter().map(|probe| probe.rate_per_s).fold(f64::INFINITY, f64::min);
            let even =
                if least.is_finite() { format!(" even at {} per second", words::count(least)) } else { String::new() };
            format!("{target} does not hold {} at {load}{even} ({why})", found.slo)
        }
    }
}
