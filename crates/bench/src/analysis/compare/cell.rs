//! One cell in two runs.

use super::change::{self, Estimate, Sample};
use super::metric::Metric;
use super::{Change, Row, Rule, Verdict};
use crate::analysis::{stats, words};
use crate::{Cell, Round, Run};

/// A cell that both runs have.
pub(super) struct Pair<'a> {
    pub(super) name: String,
    open: bool,
    /// Whether the same program generated the load.
    same_tool: bool,
    before: Side<'a>,
    after: Side<'a>,
}

struct Side<'a> {
    rounds: &'a [Round],
}

impl Side<'_> {
    /// The metric's values as they are.
    fn values(&self, metric: Metric) -> Vec<f64> {
        self.rounds.iter().filter_map(|round| metric.of(round)).collect()
    }

    fn sample(&self, metric: Metric, same_tool: bool) -> Sample {
        let known: Vec<_> = self.rounds.iter().filter_map(|round| Some((ln(metric.of(round)?)?, round))).collect();
        let of_client = || known.iter().map(|(_, round)| round.client_cpu_ns().and_then(ln)).collect::<Option<_>>();
        Sample {
            values: known.iter().map(|(value, _)| *value).collect(),
            client: Some(()).filter(|()| same_tool).and_then(|()| of_client()).unwrap_or_default(),
        }
    }

    /// Logarithm of the processors that something had, in the middle of the rounds.
    fn processors(&self, of: fn(&Round) -> Option<f64>) -> Option<f64> {
        stats::median(&self.rounds.iter().filter_map(|round| of(round).and_then(ln)).collect::<Vec<_>>())
    }
}

fn ln(value: f64) -> Option<f64> {
    (value > 0.0 && value.is_finite()).then(|| value.ln())
}

impl<'a> Pair<'a> {
    pub(super) fn new(before: (&Run, &'a Cell), after: (&Run, &'a Cell)) -> Self {
        Self {
            name: words::cell(before.0, before.1),
            open: before.1.load.rate_per_s.is_some(),
            same_tool: before.0.tool == after.0.tool,
            before: Side { rounds: &before.1.rounds },
            after: Side { rounds: &after.1.rounds },
        }
    }

    pub(super) fn rows(&self, rules: &[Rule]) -> Vec<Row> {
        Metric::ALL.into_iter().filter_map(|metric| self.row(metric, rules)).collect()
    }

    fn row(&self, metric: Metric, rules: &[Rule]) -> Option<Row> {
        let [before, after] = [&self.before, &self.after].map(|side| stats::median(&side.values(metric)));
        let change = self.change(metric);
        let verdict = change.as_ref().map_or(Verdict::Unknown, |change| judge(metric, change, rules));
        Some(Row { cell: self.name.clone(), metric: metric.name(), before: before?, after: after?, change, verdict })
    }

    fn change(&self, metric: Metric) -> Option<Change> {
        if metric == Metric::Loss {
            let Estimate { by, low, high, doubted } =
                change::plain(&self.before.values(metric), &self.after.values(metric))?;
            return Some(Change { by, low, high, doubted });
        }
        let [before, after] = [&self.before, &self.after].map(|side| side.sample(metric, self.same_tool));
        let sign = metric.follows_the_machine(self.open);
        let Estimate { by, low, high, doubted } = change::change(&before, &after, sign)?;
        // What both sides lost or won of the processors' time may be all there is to it.
        let doubt = match metric {
            Metric::Throughput => self.processors_changed(),
            Metric::P50 => -self.processors_changed(),
            _ => 0.0,
        };
        let share = |logarithm: f64| logarithm.exp_m1().min(f64::MAX);
        let (low, high) = (low - doubt.max(0.0), high - doubt.min(0.0));
        Some(Change { by: share(by), low: share(low), high: share(high), doubted })
    }

    /// By how much *both* sides of a closed loop had more (or, negative, less) of the processors than before: a logarithm.
    /// A server that needs more for a message takes time from the client alone, so its cost is not hidden by this.
    pub(super) fn processors_changed(&self) -> f64 {
        let changed = |of| Some(self.after.processors(of)? - self.before.processors(of)?);
        match (changed(|round| Some(round.client.cpu_s / round.elapsed_s)), changed(Round::server_processors)) {
            (Some(client), Some(server)) if !self.open && client > 0.0 && server > 0.0 => client.min(server),
            (Some(client), Some(server)) if !self.open && client < 0.0 && server < 0.0 => client.max(server),
            _ => 0.0,
        }
    }
}

fn judge(metric: Metric, change: &Change, rules: &[Rule]) -> Verdict {
    let falls = metric.is_worse_when_it_falls();
    // The end of the interval that is nearest to "no worse".
    let (surely_worse, surely_better) = if falls { (-change.high, change.low) } else { (change.low, -change.high) };
    let broken = rules.iter().filter(|rule| rule.metric == metric && surely_worse > rule.most);
    match broken.max_by(|a, b| a.most.total_cmp(&b.most)) {
        Some(rule) => Verdict::Regression(rule.clone()),
        None if surely_worse > 0.0 => Verdict::Worse,
        None if surely_better > 0.0 => Verdict::Better,
        None => Verdict::Same,
    }
}
