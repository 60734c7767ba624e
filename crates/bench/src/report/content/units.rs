//! Numbers as people read them: three digits and a fitting unit.

use crate::Value;

/// Between a number and its unit, so that they stay on one line.
pub(crate) const TIGHT: char = '\u{a0}';

/// Units of one quantity, the smallest first: how many of the smallest each is, and its name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unit(&'static [(f64, &'static str)]);

/// Times, in nanoseconds.
pub(crate) const TIME: Unit = Unit(&[(1.0, "\u{a0}ns"), (1e3, "\u{a0}µs"), (1e6, "\u{a0}ms"), (1e9, "\u{a0}s")]);
/// Numbers of things.
pub(crate) const COUNT: Unit = Unit(&[(1.0, ""), (1e3, "k"), (1e6, "M"), (1e9, "G")]);
/// Bytes on a wire, which are counted in thousands.
pub(crate) const BYTES: Unit = Unit(&[(1.0, "\u{a0}B"), (1e3, "\u{a0}kB"), (1e6, "\u{a0}MB"), (1e9, "\u{a0}GB")]);
/// Bytes of memory, which are counted in powers of two.
pub(crate) const MEMORY: Unit =
    Unit(&[(1.0, "\u{a0}B"), (1024.0, "\u{a0}KiB"), (1048576.0, "\u{a0}MiB"), (1073741824.0, "\u{a0}GiB")]);
/// Quotients.
pub(crate) const RATIO: Unit = Unit(&[(1.0, "")]);

impl Unit {
    /// The unit in which a number has at most three digits before the point.
    fn of(self, number: f64) -> (f64, &'static str) {
        let fits = |(least, _): &&(f64, &str)| number.abs() >= least * 0.9995;
        self.0.iter().rev().find(fits).copied().unwrap_or(self.0[0])
    }

    /// `12.3 µs`.
    pub(crate) fn show(self, number: f64) -> String {
        let (unit, name) = self.of(number);
        let scaled = number / unit;
        let decimals = if self.0.len() > 1 && unit == 1.0 && scaled.fract() == 0.0 { 0 } else { decimals(scaled) };
        format!("{scaled:.decimals$}{name}")
    }

    /// The same for a number that was chosen rather than measured: without zeros at its end.
    pub(crate) fn chosen(self, number: f64) -> String {
        let (unit, name) = self.of(number);
        let text = format!("{:.*}", decimals(number / unit), number / unit);
        let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
        format!("{text}{name}")
    }

    /// The number of a whole count.
    pub(crate) fn whole(self, number: u64) -> String {
        self.show(number as f64)
    }

    /// `12.3 µs ± 0.2 µs`: the median and half its confidence interval, which is never rounded to 0; without the latter if
    /// there is none.
    pub(crate) fn with_error(self, value: &Value) -> String {
        let half = (value.high - value.low) / 2.0;
        if half <= value.median.abs() * 1e-9 || !half.is_finite() {
            return self.show(value.median);
        }
        let (unit, name) = self.of(value.median);
        let decimals = decimals(value.median / unit);
        let grain = 10f64.powi(-(decimals as i32));
        let half = (half / unit / grain).round().max(1.0) * grain;
        let median = value.median / unit;
        let name_once = if name.starts_with(TIGHT) { "" } else { name };
        format!("{median:.decimals$}{name_once} ± {half:.decimals$}{name}")
    }
}

/// Decimals that make three digits.
fn decimals(scaled: f64) -> usize {
    match scaled.abs() {
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        size if size >= 0.9995 || size == 0.0 => 2,
        _ => 3,
    }
}

/// `0.012 %`: a part of a whole.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    let percent = if whole == 0 { 0.0 } else { part as f64 / whole as f64 * 100.0 };
    match percent {
        0.0 => "0\u{a0}%".to_owned(),
        small if small < 0.001 => "under 0.001\u{a0}%".to_owned(),
        percent => format!("{percent:.*}\u{a0}%", decimals(percent)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(median: f64, half: f64) -> Value {
        Value { median, low: median - half, high: median + half, min: 0.0, max: 0.0 }
    }

    #[test]
    fn numbers_have_three_digits_and_a_fitting_unit() {
        let times =
            [(0.0, "0 ns"), (64.0, "64 ns"), (999.6, "1.00 µs"), (12_345.0, "12.3 µs"), (2_500_000_000.0, "2.50 s")];
        for (nanos, text) in times {
            assert_eq!(TIME.show(nanos).replace(TIGHT, " "), text);
        }
        assert_eq!(TIME.show(600e9).replace(TIGHT, " "), "600 s");
        assert_eq!(COUNT.whole(64), "64");
        assert_eq!(COUNT.whole(999), "999");
        assert_eq!(COUNT.whole(412_345), "412k");
        assert_eq!(COUNT.show(9_996.0), "10.0k");
        assert_eq!(BYTES.show(52_800_000.0).replace(TIGHT, " "), "52.8 MB");
        assert_eq!(MEMORY.whole(12 << 20).replace(TIGHT, " "), "12.0 MiB");
        assert_eq!([5.0, 20_000.0, 1_250.0].map(|rate| COUNT.chosen(rate)), ["5", "20k", "1.25k"]);
        assert_eq!(RATIO.show(1.0), "1.00");
        assert_eq!(RATIO.show(0.0504), "0.050");
    }

    #[test]
    fn an_uncertainty_has_the_digits_of_its_number_and_never_vanishes() {
        assert_eq!(COUNT.with_error(&value(412_345.0, 5_100.0)), "412k ± 5k");
        assert_eq!(COUNT.with_error(&value(41_234.0, 120.0)), "41.2k ± 0.1k");
        assert_eq!(RATIO.with_error(&value(1.42, 0.03)), "1.42 ± 0.03");
        assert_eq!(TIME.with_error(&value(12_300.0, 200.0)).replace(TIGHT, " "), "12.3 ± 0.2 µs");
        assert_eq!(TIME.with_error(&value(12_300.0, 1.0)).replace(TIGHT, " "), "12.3 ± 0.1 µs");
        assert_eq!(COUNT.with_error(&value(5.0, 0.0)), "5", "no interval, no claim");
        assert_eq!(RATIO.with_error(&value(3.32, 1e-12)), "3.32", "nor where only the arithmetic is inexact");
        assert_eq!(RATIO.with_error(&value(3.32, 1e-8)), "3.32 ± 0.01");
    }

    #[test]
    fn parts_are_percentages() {
        assert_eq!(percent(0, 0).replace(TIGHT, " "), "0 %");
        assert_eq!(percent(5, 100).replace(TIGHT, " "), "5.00 %");
        assert_eq!(percent(1, 2_000_000).replace(TIGHT, " "), "under 0.001 %");
    }
}
