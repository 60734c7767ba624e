//! A comparison for people, within 100 columns.

use std::fmt;

use super::cell::Pair;
use super::change::FEWEST;
use super::metric::Metric;
use super::{Change, Comparison, Row, Verdict};
use crate::Run;
use crate::analysis::words;

/// What both sides lost or won of the processors is told from here on.
const TELL: f64 = 0.05;

/// The line of a regression; `None` for everything else.
pub(super) fn regression(row: &Row) -> Option<String> {
    let (Verdict::Regression(rule), Some(change)) = (&row.verdict, &row.change) else { return None };
    Some(format!("{}: {} {} ({rule})", row.cell, row.metric, interval(row.metric, change)))
}

/// What must be known beside the numbers.
pub(super) fn notes(before: &Run, after: &Run, pairs: &[Pair<'_>]) -> Vec<String> {
    let mut notes = Vec::new();
    for (run, which) in [(before, "first"), (after, "second")] {
        if !run.partial.is_empty() {
            notes.push(format!("the {which} run is partial: {}", run.partial.join("; ")));
        }
        let alone = run.cells.iter().filter(|cell| !cell.rounds.is_empty()).count() - pairs.len();
        if alone > 0 {
            notes.push(format!(
                "the {which} run has {alone} cell{} that the other has not",
                words::plural(alone as u64)
            ));
        }
    }
    if before.tool != after.tool {
        notes.push(format!(
            "the load came from {} and {}: the generator's own CPU time is no reference",
            before.tool, after.tool
        ));
    }
    for pair in pairs {
        let changed = pair.processors_changed();
        if changed.abs() > TELL {
            notes.push(format!(
                "{}: client and server both kept the processors {} {} busy than before: others used the machine, or both \
                 waited; throughput and p50 are judged with that in doubt",
                pair.name,
                words::percent(changed.exp_m1().abs()),
                if changed < 0.0 { "less" } else { "more" }
            ));
        }
    }
    notes
}

impl Verdict {
    /// In a word or two: `same within noise`, `better`, `WORSE`, `REGRESSION (p99>+5%)`, `too few rounds`.
    pub fn text(&self) -> String {
        match self {
            Self::Same => "same within noise".to_owned(),
            Self::Better => "better".to_owned(),
            Self::Worse => "WORSE".to_owned(),
            Self::Regression(rule) => format!("REGRESSION ({rule})"),
            Self::Unknown => "too few rounds".to_owned(),
        }
    }
}

/// `+3.1 % (+1.2 … +5.0)`.
fn interval(metric: &str, change: &Change) -> String {
    // A difference of shares is in points.
    let unit = if metric == Metric::Loss.name() { "points" } else { "%" };
    let [by, low, high] = [change.by, change.low, change.high].map(|share| signed(share * 100.0));
    format!("{by} {unit} ({low} … {high})")
}

/// To a tenth; a whole number where that is long; `>999` beyond.
fn signed(percent: f64) -> String {
    match percent {
        _ if percent > 999.0 => ">+999".to_owned(),
        _ if percent.abs() < 0.05 => "0.0".to_owned(),
        _ if percent.abs() < 99.95 => format!("{percent:+.1}"),
        _ => format!("{percent:+.0}"),
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cell = "";
        for row in &self.rows {
            if row.cell != cell {
                writeln!(f, "{}{}", if cell.is_empty() { "" } else { "\n" }, row.cell)?;
                writeln!(f, "  {:<11}{:>14}{:>14}  {:<29}verdict", "metric", "before", "after", "change (99 % sure)")?;
                cell = &row.cell;
            }
            write_row(f, row)?;
        }
        writeln!(f)?;
        if self.rows.iter().filter_map(|row| row.change).any(|change| change.doubted) {
            writeln!(
                f,
                "* no change is sure where none is left when the generator's own CPU time per message is divided"
            )?;
            writeln!(f, "  out: a machine that was slower as a whole is no regression")?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        write!(f, "{}", self.sentence())
    }
}

fn write_row(f: &mut fmt::Formatter<'_>, row: &Row) -> fmt::Result {
    let text = |value| {
        let metric = Metric::ALL.into_iter().find(|metric| metric.name() == row.metric);
        metric.map_or_else(String::new, |metric| metric.text(value))
    };
    let change = row
        .change
        .as_ref()
        .map_or_else(|| "-".to_owned(), |change| interval(row.metric, change) + if change.doubted { " *" } else { "" });
    let (before, after) = (text(row.before), text(row.after));
    writeln!(f, "  {:<11}{before:>14}{after:>14}  {change:<29}{}", row.metric, row.verdict.text())
}

impl Comparison {
    /// The verdict in one sentence.
    pub fn sentence(&self) -> String {
        let rules = self.rules.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let judged: Vec<_> =
            self.rows.iter().filter(|row| self.rules.iter().any(|rule| rule.metric.name() == row.metric)).collect();
        let unknown = judged.iter().filter(|row| row.verdict == Verdict::Unknown).count();
        let mut text = match self.regressions.as_slice() {
            [] => format!("no regression by {rules}"),
            [one] => format!("REGRESSION: {one}"),
            [first, others @ ..] => {
                format!("{} REGRESSIONS by {rules}, the first: {first}", others.len() + 1)
            }
        };
        if unknown > 0 {
            text += &format!("; {unknown} of {} could not be judged for want of {FEWEST} rounds", judged.len());
        }
        text
    }
}
