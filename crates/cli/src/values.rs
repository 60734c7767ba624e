//! Values of flags: times and sizes, written as in the options of endpoints; counts and rates, with decimal suffixes.

use std::time::Duration;

use swapwire::core::{OptionValue, parse_number};
use swapwire::{SettingUnit, SettingValue};

/// A deadline; none is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline(pub(crate) Option<Duration>);

/// A deadline, switched off by `0`, `none` or `off`.
pub(crate) fn deadline(text: &str) -> Result<Deadline, String> {
    patience(text).map(|Deadline(time)| Deadline(time.filter(|time| !time.is_zero())))
}

impl From<Deadline> for Option<Duration> {
    fn from(deadline: Deadline) -> Self {
        deadline.0
    }
}

/// How long a drain may take: `0` cuts at once, `none` or `off` waits for ever.
pub(crate) fn drain(text: &str) -> Result<Duration, String> {
    patience(text).map(|time| time.0.unwrap_or(Duration::MAX))
}

/// How long to wait: `0` does not wait, `none` or `off` waits for ever.
pub(crate) fn patience(text: &str) -> Result<Deadline, String> {
    if matches!(text, "none" | "off") {
        return Ok(Deadline(None));
    }
    Duration::parse_option(text).map(|time| Deadline(Some(time))).map_err(|problem| format!("{problem}, or none"))
}

/// A number of bytes.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    usize::parse_option(text).map_err(|problem| problem.to_string())
}

/// A time.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    Duration::parse_option(text).map_err(|problem| problem.to_string())
}

/// Whether something is on.
pub(crate) fn switch(text: &str) -> Result<bool, String> {
    bool::parse_option(text).map_err(|problem| problem.to_string())
}

/// A count, of which 0 is told where it is used: `64`, `10k` (10,000), `1.5M`.
pub(crate) fn whole_number(text: &str) -> Result<usize, String> {
    SettingValue::read(text, SettingUnit::Count)
}

/// A count, at least 1: `64`, `10k` (10,000), `1.5M`.
pub(crate) fn count<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
    const HELP: &str = "write a whole number from 1 on, as 64, 10k or 1.5M";
    let number = parse_number(text).filter(|number| (number - number.round()).abs() < 1e-6).ok_or(HELP)?;
    let number = number.round() as u64;
    match T::try_from(number) {
        Ok(count) if number > 0 => Ok(count),
        _ => Err(HELP.to_owned()),
    }
}

/// So many for each second, more than 0: `500`, `10k`, `1.5M`.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    parse_number(text).filter(|rate| *rate > 0.0).ok_or_else(|| "write a rate, as 500, 10k or 1.5M".to_owned())
}

/// The elements of a comma list. Each is told apart: one that is malformed, or that stands there twice.
pub(crate) fn list<T>(
    flag: &str,
    text: &str,
    problems: &mut Vec<String>,
    read: impl Fn(&str) -> Result<T, String>,
) -> Vec<T> {
    let mut all = Vec::new();
    let words: Vec<_> = text.split(',').map(str::trim).collect();
    for (at, word) in words.iter().enumerate() {
        match read(word) {
            _ if words[..at].contains(word) => problems.push(format!("{flag} {text}: {word:?} is given twice")),
            Ok(one) => all.push(one),
            Err(problem) => problems.push(format!("{flag} {word:?}: {problem}")),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_switches_a_deadline_off_and_does_not_wait() {
        assert_eq!(deadline("0"), Ok(Deadline(None)));
        assert_eq!(deadline("none"), Ok(Deadline(None)));
        assert_eq!(deadline("1.5s"), Ok(Deadline(Some(Duration::from_millis(1500)))));
        assert_eq!(patience("0"), Ok(Deadline(Some(Duration::ZERO))));
        assert_eq!(patience("off"), Ok(Deadline(None)));
        assert!(deadline("soon").is_err() && deadline("-1s").is_err() && deadline("").is_err());
    }

    #[test]
    fn sizes_are_bytes_with_units() {
        assert_eq!(size("64KiB"), Ok(65536));
        assert_eq!(size("1M"), Ok(1 << 20));
        assert!(size("much").is_err() && size("").is_err());
    }

    #[test]
    fn counts_and_rates_have_decimal_suffixes() {
        assert_eq!(count::<u64>("64"), Ok(64));
        assert_eq!(count::<usize>("10k"), Ok(10_000));
        assert_eq!(count::<u64>("1.1M"), Ok(1_100_000));
        assert_eq!(count::<u64>("2G"), Ok(2_000_000_000));
        for text in ["", "0", "-1", "1.5", "many", "1kk", "1e3", "k", "99999999999999999999"] {
            assert!(count::<u64>(text).is_err(), "{text}");
        }
        assert!(count::<u8>("256").is_err());
        assert_eq!(rate("0.5"), Ok(0.5));
        assert_eq!(rate("1.5k"), Ok(1500.0));
        assert!(rate("0").is_err() && rate("fast").is_err() && rate("-5").is_err());
    }

    #[test]
    fn every_wrong_element_of_a_list_is_told() {
        let mut problems = Vec::new();
        assert_eq!(list("--rate", "1k, 2k", &mut problems, rate), [1000.0, 2000.0]);
        assert_eq!(problems, Vec::<String>::new());
        list("--rate", "1k,x,1k,", &mut problems, rate);
        let help = "write a rate, as 500, 10k or 1.5M";
        let twice = "--rate 1k,x,1k,: \"1k\" is given twice".to_owned();
        assert_eq!(problems, [format!("--rate \"x\": {help}"), twice, format!("--rate \"\": {help}")]);
    }
}
