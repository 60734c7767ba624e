//! Replies that were wrong, or never came.

use super::Seen;
use crate::evaluate::words;

/// Below this many, a round is an anecdote.
const FEW: f64 = 100.0;

pub(super) fn of(seen: &Seen<'_>) -> Vec<String> {
    let (name, summary) = (&seen.name, seen.summary);
    let (faults, settings) = (&summary.faults, &seen.run.settings);
    let mut lines = Vec::new();
    if faults.wrong > 0 {
        lines.push(format!(
            "wrong replies: {name}: {} of {}, where {} was expected (--expect)",
            words::count(faults.wrong as f64),
            words::count(summary.requests as f64),
            settings.expect
        ));
    }
    let unanswered: u64 = seen.cell.rounds.iter().map(|round| round.unanswered()).sum();
    if unanswered > 0 {
        let timeout = settings.timeout_s.map_or_else(|| "the timeout".to_owned(), |s| words::time(s * 1e9));
        let parts = [
            (faults.lost, format!("without a reply within {timeout}")),
            (faults.unsent, "never sent, since earlier ones were in the way".to_owned()),
            (faults.broken, "on connections that broke".to_owned()),
        ];
        let mut parts: Vec<_> = parts
            .into_iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, what)| format!("{} {what}", words::count(number as f64)))
            .collect();
        if faults.late > 0 {
            parts.push(format!("{} were answered later (--timeout)", words::count(faults.late as f64)));
        }
        let share = words::percent(unanswered as f64 / summary.requests as f64);
        let parts = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
        lines.push(format!("loss: {name}: {share} of {} requests{parts}", words::count(summary.requests as f64)));
    }
    if !faults.errors.is_empty() {
        let kinds = faults.errors.iter().map(|(kind, number)| format!("{kind} ({})", words::count(*number as f64)));
        lines.push(format!("errors: {name}: {}", kinds.collect::<Vec<_>>().join(", ")));
    }
    let messages: u64 = seen.cell.rounds.iter().map(|round| round.messages).sum();
    let each = messages as f64 / seen.cell.rounds.len() as f64;
    if each < FEW {
        lines.push(format!(
            "few messages: {name}: {} in a round on average say little about a rate and nothing about a p99; measure longer \
             (--duration)",
            words::count(each)
        ));
    }
    lines
}
