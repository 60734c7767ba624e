//! How much a number changed between two runs, and how sure that is.
//!
//! Everything here is in natural logarithms: costs and rates spread and drift by factors.
//!
//! The interval is Welch's, of 99 %, on the means of the rounds. Outliers are first pulled in to three standard deviations
//! (estimated by the median absolute deviation) from the median: a burst of another program should neither be an alarm nor
//! hide one. A run's own [noise](BETWEEN) is added, which no number of its rounds averages out.
//!
//! That is not enough on a machine that other programs use: CPU time per message was seen to move by 8 % from run to run when
//! nothing had changed, for seconds at a time, and the rounds of one run tell nothing of it. Two things help.
//!
//! * Other programs on a machine only ever add. With [many](MANY) rounds, what grows with the machine's slowness is
//!   compared by the [quietest](QUIETEST) of them: on one machine the means of 40 rounds differed by 4.5 % between runs of
//!   one build, the means of the lowest tenth by 2 %.
//! * The generator's own CPU time per message moves along. It hides a part of a true change, for a generator that waits
//!   longer for a slower server is woken more often; but where nothing is left of a change when it is divided out, the
//!   machine may be all there is to it, and the interval is widened to hold that.

use crate::analysis::stats::{self, Sure};

/// Standard deviation between runs of the same build that nothing explains: memory layout, placement of threads.
pub(super) const BETWEEN: f64 = 0.01;
/// Fewer rounds than this tell nothing.
pub(super) const FEWEST: usize = 3;
/// With fewer rounds than this, what is an outlier cannot be told.
const FEWEST_TO_CLIP: usize = 5;

/// From so many rounds on, the quietest of them are a sample of their own.
pub(super) const MANY: usize = 20;
/// Their share.
const QUIETEST: f64 = 0.1;
/// Resamplings from which the error of their mean is known.
const RESAMPLINGS: usize = 100;

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
    let many = sign != 0.0 && before.values.len().min(after.values.len()) >= MANY;
    let plain = if many {
        quiet_difference(&before.values, &after.values, sign)
    } else {
        difference(&before.values, &after.values)
    };
    let seen = plain.with(2.0 * BETWEEN * BETWEEN).estimate();
    let relative = |side: &Sample| -> Option<Vec<f64>> {
        (sign != 0.0 && side.client.len() == side.values.len())
            .then(|| side.values.iter().zip(&side.client).map(|(value, client)| value - sign * client).collect())
    };
    let Some((before, after)) = relative(before).zip(relative(after)) else { return Some(seen) };
    let left = difference(&before, &after).by;
    let low = if left <= 0.0 { seen.low.min(left) } else { seen.low };
    let high = if left >= 0.0 { seen.high.max(left) } else { seen.high };
    Some(Estimate { low, high, doubted: true, ..seen })
}

/// The difference of the means of the quietest rounds: the lowest, or the highest where `sign` is negative. Their errors are
/// known by drawing the rounds anew (Efron's bootstrap), always the same way.
fn quiet_difference(before: &[f64], after: &[f64], sign: f64) -> Difference {
    let quiet = |values: &[f64]| {
        let mut sorted: Vec<_> = values.iter().map(|value| sign * value).collect();
        sorted.sort_by(f64::total_cmp);
        sorted.truncate(((values.len() as f64 * QUIETEST) as usize).max(1));
        sign * stats::mean(&sorted)
    };
    let error = |values: &[f64]| {
        let mut random = fastrand::Rng::with_seed(1);
        let mut again = || quiet(&values.iter().map(|_| values[random.usize(..values.len())]).collect::<Vec<_>>());
        stats::variance(&(0..RESAMPLINGS).map(|_| again()).collect::<Vec<_>>())
    };
    let freedom = (before.len() + after.len() - 2) as f64;
    Difference { by: quiet(after) - quiet(before), variance: error(before) + error(after), freedom }
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

    fn estimate(self) -> Estimate {
        let reach = if self.variance > 0.0 { stats::t(Sure::P99, self.freedom) * self.variance.sqrt() } else { 0.0 };
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
    Some(difference(before, after).estimate())
}
