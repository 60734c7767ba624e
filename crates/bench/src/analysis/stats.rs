//! The statistics of a handful of rounds.

use crate::Value;

/// The standard error of a median over that of a mean, for many normal values; it is less for few.
/// Kenney & Keeping, *Mathematics of Statistics*, part 1, § 14.10: the square root of π/2.
const MEDIAN_OVER_MEAN: f64 = 1.2533;

/// Two-sided quantiles of Student's t for 1 to 30 degrees of freedom: NIST/SEMATECH e-Handbook, § 1.3.6.7.2.
const T_95: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
    2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];
const T_99: [f64; 30] = [
    63.657, 9.925, 5.841, 4.604, 4.032, 3.707, 3.499, 3.355, 3.250, 3.169, 3.106, 3.055, 3.012, 2.977, 2.947, 2.921,
    2.898, 2.878, 2.861, 2.845, 2.831, 2.819, 2.807, 2.797, 2.787, 2.779, 2.771, 2.763, 2.756, 2.750,
];

/// How sure an interval is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sure {
    P95,
    P99,
}

/// The two-sided quantile of Student's t. Fractions of a degree of freedom are dropped, which errs to the wide side. Beyond
/// the tables: the first terms of its expansion around the normal quantile z, z + (z³ + z)/4f (Abramowitz & Stegun 26.7.5).
pub(crate) fn t(sure: Sure, freedom: f64) -> f64 {
    let (table, z) = match sure {
        Sure::P95 => (&T_95, 1.95996_f64),
        Sure::P99 => (&T_99, 2.57583),
    };
    if freedom < 1.0 {
        return f64::INFINITY;
    }
    table.get(freedom as usize - 1).copied().unwrap_or_else(|| z + (z.powi(3) + z) / (4.0 * freedom))
}

/// The middle one, or the mean of the middle two; `None` of nothing.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    // Halved before they are added, so that no sum overflows.
    Some(if sorted.len() % 2 == 1 { upper } else { sorted[sorted.len() / 2 - 1] / 2.0 + upper / 2.0 })
}

/// The arithmetic mean; 0 of nothing.
pub(crate) fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

/// The sample variance; 0 of fewer than two.
pub(crate) fn variance(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let mean = mean(values);
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64
}

/// The median with its 95 % interval; `None` if no value is a number. What is not finite is left out.
///
/// Times, rates and ratios spread by factors, so the interval is one of their logarithms: the median ± t·s·1.2533/√n, s the
/// sample's standard deviation. It is as wide for five rounds as five rounds deserve, which a bootstrap of so few is not,
/// and order statistics give no 95 % interval below six. Where a value is 0 or less, the values themselves take the place
/// of their logarithms, and the interval ends at 0 if none is negative.
pub(crate) fn value(values: &[f64]) -> Option<Value> {
    let values: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    let median = median(&values)?;
    let min = values.iter().copied().fold(f64::INFINITY, f64::min);
    let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let (low, high) = if values.len() < 3 || min == max {
        (median, median)
    } else if min > 0.0 {
        let reach = reach(&values.iter().map(|value| value.ln()).collect::<Vec<_>>()).exp();
        (median / reach, median * reach)
    } else {
        let reach = reach(&values);
        (if min < 0.0 { median - reach } else { (median - reach).max(0.0) }, median + reach)
    };
    Some(Value { median, low: low.max(f64::MIN), high: high.min(f64::MAX), min, max })
}

/// Half the width of the 95 % interval of the median of normal values.
fn reach(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    t(Sure::P95, count - 1.0) * MEDIAN_OVER_MEAN * (variance(values) / count).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::samples::normal;

    fn close(a: f64, b: f64) -> bool {
        (a / b - 1.0).abs() < 1e-3
    }

    #[test]
    fn the_quantiles_are_those_of_the_tables_and_go_on_smoothly() {
        assert_eq!([t(Sure::P95, 2.0), t(Sure::P95, 4.9), t(Sure::P99, 8.0)], [4.303, 2.776, 3.355]);
        assert!(
            close(t(Sure::P95, 40.0), 2.021) && close(t(Sure::P99, 60.0), 2.660) && t(Sure::P95, 0.5).is_infinite()
        );
    }

    #[test]
    fn an_interval_is_the_one_computed_by_hand() {
        // Logarithms in base 2: 0, 1, 2; their deviation is 1, so the reach is 4.303 · 1.2533 / √3 = 3.1136.
        let three = value(&[1.0, 4.0, 2.0]).unwrap();
        assert_eq!((three.median, three.min, three.max), (2.0, 1.0, 4.0));
        assert!(close(three.low, 2.0 / 2_f64.powf(3.1136)) && close(three.high, 2.0 * 2_f64.powf(3.1136)), "{three:?}");
        // With a zero: the values themselves. Deviation 1, median 1.
        let zero = value(&[0.0, 1.0, 2.0]).unwrap();
        assert!(zero.low == 0.0 && close(zero.high, 4.1136), "{zero:?}");
    }

    #[test]
    fn few_values_have_no_interval_and_none_have_no_median() {
        assert_eq!(value(&[]), None);
        assert_eq!(value(&[f64::NAN, f64::INFINITY]), None);
        assert_eq!(value(&[3.0]), Some(Value { median: 3.0, low: 3.0, high: 3.0, min: 3.0, max: 3.0 }));
        assert_eq!(value(&[3.0, 5.0]), Some(Value { median: 4.0, low: 4.0, high: 4.0, min: 3.0, max: 5.0 }));
    }

    #[test]
    fn nothing_but_numbers_comes_out_of_extremes() {
        for values in [[1e-300, 1.0, 1e300], [0.0, 0.0, f64::MAX], [0.0, 0.0, 0.0], [-f64::MAX, 0.0, f64::MAX]] {
            let value = value(&values).unwrap();
            let all = [value.median, value.low, value.high, value.min, value.max];
            assert!(all.iter().all(|number| number.is_finite()), "{values:?} {value:?}");
            assert!(value.low <= value.median && value.median <= value.high, "{values:?} {value:?}");
        }
    }

    #[test]
    fn the_interval_holds_the_truth_in_at_least_95_of_100_samples() {
        let mut random = fastrand::Rng::with_seed(3);
        for count in [3, 5, 10, 30] {
            let held = (0..4000)
                .filter(|_| {
                    let sample: Vec<_> = (0..count).map(|_| 100.0 * (0.05 * normal(&mut random)).exp()).collect();
                    let value = value(&sample).unwrap();
                    value.low <= 100.0 && 100.0 <= value.high
                })
                .count();
            assert!((3780..3960).contains(&held), "{held} of 4000 with {count} rounds");
        }
    }
}
