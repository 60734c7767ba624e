//! Two runs side by side.

mod alike;
mod cell;
mod change;
mod metric;
mod rule;
#[cfg(test)]
mod tests;
mod text;

pub use rule::{Rule, RuleParseError};

use crate::analysis::words;
use crate::{Cell, Run};
use cell::Pair;
use metric::Metric;

/// What changed from one run to another; its text is a table and a verdict.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Comparison {
    /// Every metric of every cell that both runs have, cell by cell.
    pub rows: Vec<Row>,
    /// The regressions, a line each.
    pub regressions: Vec<String>,
    /// What a reader must know beside the numbers, a line each.
    pub notes: Vec<String>,
    /// The rules by which it was judged.
    pub rules: Vec<Rule>,
}

/// One metric of one cell in both runs.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Row {
    /// The cell, as `tcp at 64 B, 64 connections`.
    pub cell: String,
    /// The metric, as a [`Rule`] names it.
    pub metric: &'static str,
    /// The median over the rounds before, as measured: per second, nanoseconds, bytes or a share of 1.
    pub before: f64,
    /// The same after.
    pub after: f64,
    /// The change of the means, or, with 20 rounds and more, of the quietest tenth where the machine's pace matters; `None`
    /// if there are fewer than three rounds on a side.
    pub change: Option<Change>,
    /// What follows.
    pub verdict: Verdict,
}

/// A change, as a share of what was before (0.05 is 5 % more); for `loss`, a difference of shares.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Change {
    /// The estimate.
    pub by: f64,
    /// Lower end of its 99 % interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// The interval also holds 0 where no change is left when the generator's own CPU time per message is divided out.
    pub doubted: bool,
}

/// What a change means.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Verdict {
    /// The interval holds "no change".
    Same,
    /// Better, for sure.
    Better,
    /// Worse, for sure, but within the rules.
    Worse,
    /// Worse than a rule allows, for sure.
    Regression(Rule),
    /// There are too few rounds.
    Unknown,
}

/// Why two runs cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("compare: {0}")]
pub struct CompareError(String);

/// Compares `after` with `before`. Without rules, the default ones: `throughput<-2%` and `server-cpu>+2%`.
///
/// A rule's threshold says how much worse is bad; how much is noise, the interval of the change says. A rule fires only
/// if *all* of the 99 % interval is beyond its threshold, so thresholds need no room for noise. With the default rules, a
/// server that is 10 % slower is found nearly always in 10 rounds that spread by 3 %, or in 20 that spread by 5 %; with
/// fewer rounds it may be missed, but what does not change is not reported. How the interval comes about is told in the
/// source, `analysis/compare/change.rs`.
///
/// In a closed loop, throughput and p50 also depend on how much of the processors the two sides got. What both sides lost of
/// that may be the work of another program, so it widens the interval; and it is [noted](Comparison::notes). Where the rules
/// shall see a server that waits more than before, measure in an open loop and give a rule for p50 or p99.
///
/// # Errors
/// The runs have no cell in common, or were made under different conditions (all of them are named), or no cell has three
/// rounds in both; or one of `rules` is about a metric that no common cell has.
pub fn compare(before: &Run, after: &Run, rules: &[Rule]) -> Result<Comparison, CompareError> {
    let differences = alike::differences(before, after);
    if !differences.is_empty() {
        let differences = differences.join(", ");
        return Err(CompareError(format!("the runs were made differently: {differences}; measure again alike")));
    }
    let pairs = pairs(before, after);
    if pairs.is_empty() {
        let [before, after] = [before, after].map(cells);
        return Err(CompareError(format!("no target under the same load is in both: before {before}; after {after}")));
    }
    let defaults = [Rule { metric: Metric::Throughput, most: 0.02 }, Rule { metric: Metric::ServerCpu, most: 0.02 }];
    let judged_by = if rules.is_empty() { &defaults } else { rules };
    let rows: Vec<_> = pairs.iter().flat_map(|pair| pair.rows(judged_by)).collect();
    if rows.iter().all(|row| row.verdict == Verdict::Unknown) {
        let least = change::FEWEST;
        return Err(CompareError(format!("no cell has {least} rounds in both runs: ask for 10 (--rounds)")));
    }
    if let Some(rule) = rules.iter().find(|rule| rows.iter().all(|row| row.metric != rule.metric.name())) {
        return Err(CompareError(format!("rule {rule}: no cell has {} in both runs", rule.metric.name())));
    }
    let regressions = rows.iter().filter_map(text::regression).collect();
    Ok(Comparison { regressions, notes: text::notes(before, after, &pairs), rules: judged_by.to_vec(), rows })
}

fn pairs<'a>(before: &'a Run, after: &'a Run) -> Vec<Pair<'a>> {
    let one = |cell: &'a Cell| {
        let name = words::target(before, cell.target);
        let same = |other: &&Cell| other.load == cell.load && words::target(after, other.target) == name;
        let other = after.cells.iter().find(same)?;
        (!cell.rounds.is_empty() && !other.rounds.is_empty()).then(|| Pair::new((before, cell), (after, other)))
    };
    before.cells.iter().filter_map(one).collect()
}

/// What a run has, for an error.
fn cells(run: &Run) -> String {
    let names = run.cells.iter().filter(|cell| !cell.rounds.is_empty());
    let mut names: Vec<_> = names.map(|cell| words::cell(run, cell)).collect();
    let more = names.len().saturating_sub(3);
    names.truncate(3);
    match (names.len(), more) {
        (0, _) => "nothing".to_owned(),
        (_, 0) => names.join("; "),
        _ => format!("{} and {more} more", names.join("; ")),
    }
}
