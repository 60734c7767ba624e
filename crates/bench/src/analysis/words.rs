//! Numbers and loads for people.

use crate::{Cell, LoadInfo, Run, Value};

/// Over what the datagrams are counted that the system dropped.
pub(crate) const WHOLE_ROUND: &str = "in the whole round, warm-up included";

/// `tcp at 64 B, 64 connections`.
pub(crate) fn cell(run: &Run, cell: &Cell) -> String {
    format!("{} at {}", target(run, cell.target), load(&cell.load))
}

/// The name of a target; `target N` where the run does not have it.
pub(crate) fn target(run: &Run, index: usize) -> String {
    run.targets.get(index).map_or_else(|| format!("target {}", index + 1), |target| target.name.clone())
}

/// `64 B, 64 connections, pipeline 16, 10,000 per second`.
pub(crate) fn load(load: &LoadInfo) -> String {
    let mut text = without_rate(load);
    if let Some(rate) = load.rate_per_s {
        text += &format!(", {} per second", count(rate));
    }
    text
}

/// The same without the rate.
pub(crate) fn without_rate(load: &LoadInfo) -> String {
    let mut text = size(&load.size);
    text += &format!(", {} connection{}", count(load.connections as f64), plural(load.connections as u64));
    if load.pipeline != 1 {
        text += &format!(", pipeline {}", count(load.pipeline as f64));
    }
    text
}

fn size(text: &str) -> String {
    match text.parse::<u64>() {
        Ok(bytes) if bytes >= 1 << 20 && bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        Ok(bytes) if bytes >= 1 << 10 && bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        _ if text.starts_with("file:") => format!("sizes from {text}"),
        _ => format!("{text} B"),
    }
}

/// `s` where there is more than one.
pub(crate) fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// `120,000`; with decimals below 100.
pub(crate) fn count(number: f64) -> String {
    if number.abs() < 100.0 && number.fract() != 0.0 {
        return digits(number, 3);
    }
    let whole = format!("{:.0}", number.abs());
    let mut text = if number < 0.0 { "-".to_owned() } else { String::new() };
    for (at, digit) in whole.char_indices() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number above 0 to so many significant digits, without trailing zeros.
fn digits(number: f64, significant: i32) -> String {
    if number == 0.0 {
        return "0".to_owned();
    }
    let decimals = (significant - 1 - number.abs().log10().floor() as i32).clamp(0, 9) as usize;
    let text = format!("{number:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A time to three digits: `512 ns`, `6.21 ms`.
pub(crate) fn time(ns: f64) -> String {
    let (number, unit) = match ns {
        _ if ns < 1e3 => (ns, "ns"),
        _ if ns < 1e6 => (ns / 1e3, "µs"),
        _ if ns < 1e9 => (ns / 1e6, "ms"),
        _ => (ns / 1e9, "s"),
    };
    format!("{} {unit}", digits(number, 3))
}

/// A share of 1 to two digits: `12 %`, `0.051 %`.
pub(crate) fn percent(share: f64) -> String {
    format!("{} %", digits(share * 100.0, if share.abs() < 0.1 { 2 } else { 3 }))
}

/// Half of an interval's width.
pub(crate) fn half_width(value: &Value) -> f64 {
    value.high / 2.0 - value.low / 2.0
}

/// `1.42 ± 0.03`; without the uncertainty where it is not known.
pub(crate) fn ratio(value: &Value) -> String {
    plus_minus(value, |number| match number {
        _ if number < 0.001 => format!("{number:.4}"),
        _ if number < 0.01 => format!("{number:.3}"),
        _ if number < 10.0 => format!("{number:.2}"),
        _ => format!("{number:.1}"),
    })
}

/// `120,000 ± 2,000`, as [`ratio`].
pub(crate) fn rate(value: &Value) -> String {
    plus_minus(value, count)
}

fn plus_minus(value: &Value, text: impl Fn(f64) -> String) -> String {
    let half = half_width(value);
    if half > 0.0 { format!("{} ± {}", text(value.median), text(half)) } else { text(value.median) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_are_said_in_words() {
        let info = LoadInfo { size: "64".to_owned(), connections: 64, pipeline: 1, rate_per_s: None };
        assert_eq!(load(&info), "64 B, 64 connections");
        let info = LoadInfo { size: "16384".to_owned(), connections: 1, pipeline: 16, rate_per_s: Some(10_000.0) };
        assert_eq!(load(&info), "16 KiB, 1 connection, pipeline 16, 10,000 per second");
        let info = LoadInfo { size: "64..1024".to_owned(), connections: 2000, pipeline: 1, rate_per_s: Some(0.5) };
        assert_eq!(load(&info), "64..1024 B, 2,000 connections, 0.5 per second");
    }

    #[test]
    fn numbers_have_as_many_digits_as_they_deserve() {
        assert_eq!([count(0.0), count(12.3456), count(999.6), count(1_234_567.0)], ["0", "12.3", "1,000", "1,234,567"]);
        assert_eq!([time(64.0), time(1500.0), time(6_214_000.0), time(2e9)], ["64 ns", "1.5 µs", "6.21 ms", "2 s"]);
        assert_eq!(
            [percent(0.1234), percent(0.05), percent(0.000_51), percent(0.0)],
            ["12.3 %", "5 %", "0.051 %", "0 %"]
        );
        let value = Value { median: 1.42, low: 1.39, high: 1.45, min: 1.3, max: 1.5 };
        assert_eq!(ratio(&value), "1.42 ± 0.03");
        assert_eq!(ratio(&Value { low: 1.42, high: 1.42, ..value }), "1.42");
    }
}
