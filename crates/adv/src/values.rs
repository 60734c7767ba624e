//! Values of flags: counts with decimal suffixes; sizes and times as in the options of endpoints; ranges, chances, texts.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use swapwire_core::{OptionValue, unescape};

/// A count, at least 1: `64`, `10k` (10,000), `10M`.
pub(crate) fn count(text: &str) -> Result<u64, String> {
    const HELP: &str = "write a whole number from 1 on, as 64, 10k or 10M";
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "" => 1,
        "k" | "K" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        _ => return Err(HELP.to_owned()),
    };
    let number = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    number.filter(|number| *number > 0).ok_or_else(|| HELP.to_owned())
}

/// A number of bytes.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    usize::parse_option(text).map_err(|problem| problem.to_string())
}

/// A time.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    Duration::parse_option(text).map_err(|problem| problem.to_string())
}

/// A time that is not none.
pub(crate) fn period(text: &str) -> Result<Duration, String> {
    let time = time(text)?;
    if time.is_zero() { Err("write a time above 0, as 500ms".to_owned()) } else { Ok(time) }
}

/// A probability, as `0.01` or `1%`.
pub(crate) fn chance(text: &str) -> Result<f64, String> {
    let (number, unit) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 100.0));
    let chance = number.parse::<f64>().map(|number| number / unit);
    chance
        .ok()
        .filter(|chance| (0.0..=1.0).contains(chance))
        .ok_or_else(|| "write a chance from 0 to 1, as 0.01 or 1%".to_owned())
}

/// Bytes as a text in which `\n`, `\r`, `\t`, `\0`, `\\` and `\xHH` stand for one byte each.
pub(crate) fn bytes(text: &str) -> Result<Bytes, String> {
    const HELP: &str = r"after a backslash write n, r, t, 0, \ or xHH";
    match unescape(text).ok_or(HELP)? {
        none if none.is_empty() => Err("write at least one byte".to_owned()),
        all => Ok(Bytes(all)),
    }
}

/// At least one byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

/// A range of sizes, both ends included: `64` or `64..1k`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) least: usize,
    pub(crate) most: usize,
}

/// A range of times, both ends included: `5ms` or `1ms..20ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) least: Duration,
    pub(crate) most: Duration,
}

impl Times {
    pub(crate) fn range(self) -> RangeInclusive<Duration> {
        self.least..=self.most
    }

    /// One of them, each as likely as any other.
    pub(crate) fn draw(self, random: &mut fastrand::Rng) -> Duration {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(random.u64(micros(self.least)..=micros(self.most)))
    }
}

fn ends<T: PartialOrd>(text: &str, one: impl Fn(&str) -> Result<T, String>) -> Result<(T, T), String> {
    let (least, most) = text.split_once("..").unwrap_or((text, text));
    let (least, most) = (one(least)?, one(most)?);
    if least > most { Err("write the smaller one first".to_owned()) } else { Ok((least, most)) }
}

impl FromStr for Sizes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        ends(text, size).map(|(least, most)| Self { least, most })
    }
}

impl FromStr for Times {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        ends(text, time).map(|(least, most)| Self { least, most })
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.least == self.most { write!(f, "{}", self.least) } else { write!(f, "{}..{}", self.least, self.most) }
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.least == self.most {
            write!(f, "{:?}", self.least)
        } else {
            write!(f, "{:?}..{:?}", self.least, self.most)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_decimal_and_sizes_are_binary() {
        assert_eq!(count("10k"), Ok(10_000));
        assert_eq!(count("10M"), Ok(10_000_000));
        assert_eq!(size("1MiB"), Ok(1 << 20));
        for text in ["", "0", "k", "1.5", "many", "99999999999G"] {
            assert!(count(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ranges_have_one_end_or_two() {
        assert_eq!("64".parse(), Ok(Sizes { least: 64, most: 64 }));
        assert_eq!("64..1k".parse(), Ok(Sizes { least: 64, most: 1024 }));
        let ms = Duration::from_millis;
        let times: Times = "1ms..20ms".parse().unwrap();
        assert_eq!(times, Times { least: ms(1), most: ms(20) });
        let mut random = fastrand::Rng::with_seed(1);
        assert!((0..100).all(|_| times.range().contains(&times.draw(&mut random))));
        assert!("2..1".parse::<Sizes>().is_err() && "1..".parse::<Sizes>().is_err());
    }

    #[test]
    fn chances_lie_between_none_and_certainty() {
        assert_eq!(chance("1%"), Ok(0.01));
        assert_eq!(chance("0.5"), Ok(0.5));
        for text in ["", "2", "101%", "-1", "often", "NaN"] {
            assert!(chance(text).is_err(), "{text}");
        }
    }

    #[test]
    fn texts_can_hold_any_byte() {
        assert_eq!(bytes(r"a\n\x00\xfe\\"), Ok(Bytes(b"a\n\0\xfe\\".to_vec())));
        for text in ["", r"\", r"\q", r"\xz0", r"\x1"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
