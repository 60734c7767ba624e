//! How much a number changed between two runs, and how sure that is.
//!
//! Everything here is in natural logarithms: costs and rates spread and drift by factors.
//!
//! The interval is Welch's, of 99 %, on the means of the rounds. Outliers are first pulled in to three standard deviations
//! (estimated by the median absolute deviation) from the median: a neighbour's burst should neither be an alarm nor hide one.
//! A run's own [noise](BETWEEN) is added, which no number of its rounds averages out.
//!
//! That is not enough on a machine that others share: CPU time per message was seen to move by 8 % from run to run when
//! nothing had changed, and rounds of one run tell nothing of it. The generator's own CPU time per message moves along, so
//! the interval is widened to hold the change that is left when that is divided out, with its own interval of 95 %. It does not *replace* the estimate, for
//! it hides a part of a true change: a generator that waits longer for a slower server wakes more often, and costs more. So
//! a change is sure only if both ways of looking at it agree that there is one.

use crate::stats::{self, Sure};

/// Standard deviation between runs of the same build that nothing explains: memory layout, placement of threads.
pub(super) const BETWEEN: f64 = 0.01;
/// Fewer rounds than this tell nothing.
pub(super) const FEWEST: usize = 3;
/// With fewer rounds than this, what is an outlier cannot be told.
const FEWEST_TO_CLIP: usize = 5;

/// The rounds of one side: logarithms, in the same order.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample {
    /// What is compared.
    pub(super) values: Vec<f64>,
    /// The generator's CPU time per message; empty where it is not known, or no reference.
    pub(super) client: Vec<f64>,
}

/// A change with its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Estimate {
    pub(super) by: f64,
    pub(super) low: f64,
    pub(super) high: f64,
    /// Whether the generator's CPU time had its say.
    pub(super) doubted: bool,
}

/// The change from `before` to `after`; `sign` is 1 for what grows when the machine gets slower, -1 for what shrinks, 0 for
/// what the generator's CPU time does not explain. `None` with fewer than [`FEWEST`] rounds.
pub(super) fn change(before: &Sample, after: &Sample, sign: f64) -> Option<Estimate> {
    if before.values.len() < FEWEST || after.values.len() < FEWEST {
        return None;
    }
    let seen = difference(&before.values, &after.values).with(2.0 * BETWEEN * BETWEEN).estimate(Sure::P99);
    let relative = |side: &Sample| -> Option<Vec<f64>> {
        (sign != 0.0 && side.client.len() == side.values.len())
            .then(|| side.values.iter().zip(&side.client).map(|(value, client)| value - sign * client).collect())
    };
    let Some((before, after)) = relative(before).zip(relative(after)) else { return Some(seen) };
    let left = difference(&before, &after).estimate(Sure::P95);
    Some(Estimate { low: seen.low.min(left.low), high: seen.high.max(left.high), doubted: true, ..seen })
}

/// A difference of means: its variance, and the degrees of freedom from which that is known.
#[derive(Clone, Copy, Debug)]
struct Difference {
    by: f64,
    variance: f64,
    freedom: f64,
}

impl Difference {
    /// With a further variance that is known for certain (Satterthwaite).
    fn with(self, more: f64) -> Self {
        let variance = self.variance + more;
        let share = if variance > 0.0 { self.variance / variance } else { 1.0 };
        let freedom = if share > 0.0 { self.freedom / (share * share) } else { f64::INFINITY };
        Self { variance, freedom, ..self }
    }

    fn estimate(self, sure: Sure) -> Estimate {
        let reach = if self.variance > 0.0 { stats::t(sure, self.freedom) * self.variance.sqrt() } else { 0.0 };
        Estimate { by: self.by, low: self.by - reach, high: self.by + reach, doubted: false }
    }
}

/// Welch's difference of two means, outliers pulled in.
fn difference(before: &[f64], after: &[f64]) -> Difference {
    let [(mean_before, part_before, count_before), (mean_after, part_after, count_after)] =
        [before, after].map(|side| {
            let side = clipped(side);
            (stats::mean(&side), stats::variance(&side) / side.len() as f64, side.len() as f64)
        });
    let variance = part_before + part_after;
    let square = part_before.powi(2) / (count_before - 1.0) + part_after.powi(2) / (count_after - 1.0);
    let freedom = if square > 0.0 { variance * variance / square } else { count_before + count_after - 2.0 };
    Difference { by: mean_after - mean_before, variance, freedom }
}

fn clipped(values: &[f64]) -> Vec<f64> {
    let Some(middle) = stats::median(values).filter(|_| values.len() >= FEWEST_TO_CLIP) else { return values.to_vec() };
    let off: Vec<_> = values.iter().map(|value| (value - middle).abs()).collect();
    // 1.4826: from the median absolute deviation to the standard deviation of normal values.
    let most = 3.0 * 1.4826 * stats::median(&off).unwrap_or(0.0);
    values.iter().map(|value| value.clamp(middle - most, middle + most)).collect()
}

/// The difference of two means as it is, without logarithms and without the allowance between runs.
pub(super) fn plain(before: &[f64], after: &[f64]) -> Option<Estimate> {
    if before.len() < FEWEST || after.len() < FEWEST {
        return None;
    }
    Some(difference(before, after).estimate(Sure::P99))
}
