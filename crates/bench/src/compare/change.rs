//! How much a number changed between two runs, and how sure that is.
//!
//! Everything here is in natural logarithms: costs and rates spread and drift by factors.
//!
//! The rounds of one run agree better with one another than with those of the next run, for machines drift: on a shared
//! one, CPU time per message moved by 8 % from run to run when nothing had changed, and rounds of one run told nothing of
//! it. What drifts along is a reference measured in the same rounds: dividing by the generator's own CPU time per message
//! left 1.5 % of those 8 %, and a slowdown of the server by 6.6 % stood out in 13 of 13 pairs, with a load of 9 on two
//! processors. So a change is estimated against the first of these that is known:
//!
//! * the generator's CPU time per message in the same round, if the same program generated the load, unless that is much
//!   less sure than the next; where it changed by more than the yardsticks explain, be it that the generator is another
//!   one or that they did not see what the machine did, both ways must agree: the interval holds both;
//! * the yardstick just before the same round, or the yardsticks of the whole run, as far as they moved by more than their
//!   own noise (James and Stein's shrinkage): whatever is surer.
//!
//! How well a reference explains the differences between rounds is no reason to do without one: it is the difference between
//! runs that must be explained, and of that two runs tell nothing.
//!
//! The interval is Welch's, of 99 %, on the means of the rounds. Outliers are first pulled in to three standard deviations
//! (estimated by the median absolute deviation) from the median: a neighbour's burst should neither be an alarm nor hide one.
//! A run's own [noise](BETWEEN) is added, which no number of its rounds averages out.

use crate::stats::{self, Sure};

/// Standard deviation between runs of the same build that no reference explains: memory layout, placement of threads.
pub(super) const BETWEEN: f64 = 0.01;
/// Fewer rounds than this tell nothing.
pub(super) const FEWEST: usize = 3;
/// With fewer rounds than this, what is an outlier cannot be told.
const FEWEST_TO_CLIP: usize = 5;
/// A yardstick is not the work itself: so much of its own movement stays in doubt.
const DOUBT: f64 = 0.2;
/// The client tells more of the drift than the yardstick, so its estimate may be this much less sure.
const MOST_FOR_CLIENT: f64 = 1.5;
/// A generator that costs this much more or less is another one.
const ANOTHER: f64 = 0.05;

/// The rounds of one side: logarithms, in the same order. References that are not known are empty.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample {
    /// What is compared.
    pub(super) values: Vec<f64>,
    /// The generator's CPU time per message.
    pub(super) client: Vec<f64>,
    /// The yardstick.
    pub(super) yardstick: Vec<f64>,
    /// The yardsticks of all rounds of the run, of other cells too.
    pub(super) machine: Vec<f64>,
}

/// By what a change is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reference {
    /// The clock alone.
    None,
    /// The generator's CPU time per message.
    Client,
    /// The yardstick.
    Yardstick,
}

/// A change and half the width of its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Estimate {
    pub(super) by: f64,
    pub(super) reach: f64,
    pub(super) against: Reference,
}

impl Estimate {
    /// What is sure whichever of the two is right: the middle of both intervals together.
    fn or(self, other: Self) -> Self {
        let low = (self.by - self.reach).min(other.by - other.reach);
        let high = (self.by + self.reach).max(other.by + other.reach);
        Self { by: f64::midpoint(low, high), reach: (high - low) / 2.0, against: other.against }
    }
}

/// The change from `before` to `after`; `sign` is 1 for what grows when the machine gets slower, -1 for what shrinks, 0 for
/// what no reference explains. `None` with fewer than [`FEWEST`] rounds.
pub(super) fn change(before: &Sample, after: &Sample, sign: f64) -> Option<Estimate> {
    if before.values.len() < FEWEST || after.values.len() < FEWEST {
        return None;
    }
    let of_run = against_run(before, after, sign);
    if sign == 0.0 {
        return Some(of_run);
    }
    let by_yardstick = against(before, after, |side| &side.yardstick, sign, Reference::Yardstick)
        .filter(|estimate| estimate.reach < of_run.reach)
        .unwrap_or(of_run);
    let Some(by_client) = against(before, after, |side| &side.client, sign, Reference::Client) else {
        return Some(by_yardstick);
    };
    Some(if another_client(before, after) {
        by_client.or(by_yardstick)
    } else if by_client.reach < MOST_FOR_CLIENT * by_yardstick.reach {
        by_client
    } else {
        by_yardstick
    })
}

/// Whether the generator itself costs something else than before, whatever part of that the machine's change explains.
pub(super) fn another_client(before: &Sample, after: &Sample) -> bool {
    if [before, after].iter().any(|side| side.client.len() < FEWEST || side.machine.len() < FEWEST) {
        return false;
    }
    let machine = difference(&before.machine, &after.machine);
    let client = difference(&before.client, &after.client);
    let reach = client.with(machine.variance + 2.0 * BETWEEN * BETWEEN).reach().max(ANOTHER);
    let range = [client.by, client.by - machine.by];
    range.iter().all(|by| *by > reach) || range.iter().all(|by| *by < -reach)
}

fn against_run(before: &Sample, after: &Sample, sign: f64) -> Estimate {
    let plain = difference(&before.values, &after.values);
    let known = sign != 0.0 && before.machine.len() >= FEWEST && after.machine.len() >= FEWEST;
    let machine = if known { difference(&before.machine, &after.machine) } else { Difference::default() };
    let moved = machine.by.powi(2);
    let share = if moved > machine.variance { 1.0 - machine.variance / moved } else { 0.0 };
    let doubt = share * machine.variance + (DOUBT * share * machine.by).powi(2);
    Estimate {
        by: plain.by - sign * share * machine.by,
        reach: plain.with(doubt + 2.0 * BETWEEN * BETWEEN).reach(),
        against: if share > 0.0 { Reference::Yardstick } else { Reference::None },
    }
}

fn against<'a>(
    before: &'a Sample,
    after: &'a Sample,
    reference: fn(&'a Sample) -> &'a Vec<f64>,
    sign: f64,
    against: Reference,
) -> Option<Estimate> {
    let relative = |side: &'a Sample| -> Option<Vec<f64>> {
        let reference = reference(side);
        (reference.len() == side.values.len())
            .then(|| side.values.iter().zip(reference).map(|(value, reference)| value - sign * reference).collect())
    };
    let plain = difference(&relative(before)?, &relative(after)?);
    Some(Estimate { by: plain.by, reach: plain.with(2.0 * BETWEEN * BETWEEN).reach(), against })
}

/// A difference of means: its variance, and the degrees of freedom from which that is known.
#[derive(Clone, Copy, Debug, Default)]
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

    fn reach(self) -> f64 {
        if self.variance > 0.0 { stats::t(Sure::P99, self.freedom) * self.variance.sqrt() } else { 0.0 }
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
    let difference = difference(before, after);
    Some(Estimate { by: difference.by, reach: difference.reach(), against: Reference::None })
}
