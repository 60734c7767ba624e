//! Structs whose fields are set by name, with texts as values: for configuration files, environments and flags.

use std::time::Duration;

use crate::name::suggestion::{hint, listed};
use crate::{OptionValue, Printable};

#[cfg(feature = "serde")]
mod map;

#[cfg(feature = "serde")]
pub use map::{deserialize_settings, serialize_settings};

/// What a setting is, which decides how its value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SettingUnit {
    /// A whole number, with decimal suffixes: `64`, `10k` (10,000), `1.5M`.
    Count,
    /// A number of bytes, with binary suffixes: `65536`, `64KiB`, `1MiB`.
    Bytes,
    /// A time: `500ms`, `30s`, `5m`, `1h`.
    Time,
    /// A word of its own.
    Text,
}

/// One field of a [`Settings`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Setting {
    /// The field's name.
    pub name: &'static str,
    /// How its value is written.
    pub unit: SettingUnit,
    /// What it means: the docs of the field, on one line, with their links.
    pub help: &'static str,
}

impl Setting {
    /// Describes a field.
    pub const fn new(name: &'static str, unit: SettingUnit, help: &'static str) -> Self {
        Self { name, unit, help }
    }
}

/// A struct whose fields can be listed, read and written by name. A value that can be switched off is `none` then.
///
/// ```
/// use swapwire_core::{SessionConfig, Settings};
///
/// let mut config = SessionConfig::default();
/// config.set("max_message", "64KiB")?;
/// assert_eq!((config.max_message, config.get("framing").as_deref()), (65_536, Some("chunks")));
/// let error = config.set("max_mesage", "1").unwrap_err();
/// assert!(error.to_string().contains("did you mean \"max_message\"?"));
/// # Ok::<(), swapwire_core::SettingError>(())
/// ```
///
/// With the feature `serde`, `serialize_settings` and `deserialize_settings` make a map of it and read one.
pub trait Settings: Default {
    /// The fields, in their order.
    const FIELDS: &'static [Setting];

    /// Sets the field `name`.
    ///
    /// # Errors
    /// There is no such field, or the value is malformed. Nothing is changed then. Whether the value makes sense is not
    /// checked here.
    fn set(&mut self, name: &str, value: &str) -> Result<(), SettingError>;

    /// The value of the field `name`, as [`set`](Self::set) reads it; `None` if there is no such field, or its value has no
    /// text.
    fn get(&self, name: &str) -> Option<String>;
}

debug_as_text!(SettingError);

/// Why a setting was refused.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingError {
    /// There is no such setting.
    #[error("unknown setting {name:?}{}", hint(name, known))]
    Unknown {
        /// The name as written.
        name: String,
        /// The settings that there are, with commas.
        known: String,
    },
    /// The value is malformed.
    #[error("{name}={}: {}", Printable::new(value), Printable::new(reason))]
    Value {
        /// The setting's name.
        name: &'static str,
        /// The value as written.
        value: String,
        /// What would be right.
        reason: String,
    },
}

impl SettingError {
    /// No field of `S` is called `name`.
    pub fn unknown<S: Settings>(name: &str) -> Self {
        Self::Unknown { name: name.to_owned(), known: listed(S::FIELDS.iter().map(|field| field.name)) }
    }

    /// Reads the value of the setting `name`.
    ///
    /// # Errors
    /// It is malformed.
    pub fn read<T: SettingValue>(name: &'static str, unit: SettingUnit, value: &str) -> Result<T, Self> {
        T::read(value, unit).map_err(|reason| Self::Value { name, value: value.to_owned(), reason })
    }
}

/// A type that a setting can have.
pub trait SettingValue: Sized {
    /// Reads a value.
    ///
    /// # Errors
    /// What would be right, for people.
    fn read(text: &str, unit: SettingUnit) -> Result<Self, String>;

    /// The text that [`read`](Self::read) reads; `None` if there is none.
    fn write(&self, unit: SettingUnit) -> Option<String>;

    /// Whether this is written to switch it off, as well as `none`.
    fn is_off(&self) -> bool {
        false
    }
}

impl SettingValue for usize {
    fn read(text: &str, unit: SettingUnit) -> Result<Self, String> {
        match unit {
            SettingUnit::Bytes => Self::parse_option(text).map_err(|reason| reason.to_string()),
            _ => parse_count(text),
        }
    }

    fn write(&self, unit: SettingUnit) -> Option<String> {
        let suffixes = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
        let fits = |(shift, _): &(u32, &str)| self.trailing_zeros() >= *shift;
        Some(match suffixes.into_iter().find(fits) {
            Some((shift, suffix)) if unit == SettingUnit::Bytes && *self > 0 => format!("{}{suffix}", self >> shift),
            _ => self.to_string(),
        })
    }
}

impl SettingValue for u32 {
    fn read(text: &str, _: SettingUnit) -> Result<Self, String> {
        parse_count(text)
    }

    fn write(&self, _: SettingUnit) -> Option<String> {
        Some(self.to_string())
    }
}

/// `none` is [`Duration::MAX`].
impl SettingValue for Duration {
    fn read(text: &str, _: SettingUnit) -> Result<Self, String> {
        if OFF.contains(&text) {
            return Ok(Self::MAX);
        }
        Self::parse_option(text).map_err(|reason| format!("{reason}, or none"))
    }

    fn write(&self, _: SettingUnit) -> Option<String> {
        if *self == Self::MAX {
            return Some(OFF[0].to_owned());
        }
        let units = [(3_600_000_000, "h"), (60_000_000, "m"), (1_000_000, "s"), (1_000, "ms"), (1, "us")];
        let micros = self.as_micros();
        let whole = units.into_iter().find(|(unit, _)| micros > 0 && micros.is_multiple_of(*unit));
        Some(match whole.filter(|_| self.subsec_nanos().is_multiple_of(1000)) {
            Some((unit, suffix)) => format!("{}{suffix}", micros / unit),
            None if self.is_zero() => "0s".to_owned(),
            None => format!("{}.{:09}s", self.as_secs(), self.subsec_nanos()),
        })
    }

    fn is_off(&self) -> bool {
        self.is_zero()
    }
}

impl<T: SettingValue> SettingValue for Option<T> {
    fn read(text: &str, unit: SettingUnit) -> Result<Self, String> {
        if OFF.contains(&text) {
            return Ok(None);
        }
        let or_none =
            |reason: String| if reason.ends_with(", or none") { reason } else { format!("{reason}, or none") };
        T::read(text, unit).map(|value| Some(value).filter(|value| !value.is_off())).map_err(or_none)
    }

    fn write(&self, unit: SettingUnit) -> Option<String> {
        self.as_ref().map_or_else(|| Some(OFF[0].to_owned()), |value| value.write(unit))
    }
}

/// What switches a value off.
const OFF: [&str; 2] = ["none", "off"];

/// Whole numbers are exact below this.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A number with a decimal suffix: `64`, `10k` (10,000), `1.5M`, `2G`.
pub fn parse_number(text: &str) -> Option<f64> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor = match unit {
        "" => 1.0,
        "k" | "K" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        _ => return None,
    };
    number.parse::<f64>().ok().map(|number| number * factor).filter(|number| *number < EXACT)
}

fn parse_count<T: TryFrom<u64> + std::str::FromStr>(text: &str) -> Result<T, String> {
    if let Ok(exact) = text.parse() {
        return Ok(exact);
    }
    let whole = parse_number(text).filter(|number| (number - number.round()).abs() < 1e-6);
    let count = whole.and_then(|number| T::try_from(number.round() as u64).ok());
    count.ok_or_else(|| "write a whole number, as 64, 10k or 1.5M".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_they_are_written() {
        let times = [0, 1, 999, 1000, 1_500_000, 30_000_000_000, 300_000_000_000, 86_400_000_000_000, 12_345_678_901];
        for time in times.map(Duration::from_nanos).into_iter().chain([Duration::MAX]) {
            let text = time.write(SettingUnit::Time).unwrap();
            assert_eq!(Duration::read(&text, SettingUnit::Time), Ok(time), "{text}");
        }
        for size in [0, 1, 1000, 1024, 65_536, 1 << 20, 3 << 30, usize::MAX] {
            for unit in [SettingUnit::Bytes, SettingUnit::Count] {
                let text = size.write(unit).unwrap();
                assert_eq!(usize::read(&text, unit), Ok(size), "{text}");
            }
        }
        let write = |value: Option<Duration>| value.write(SettingUnit::Time).unwrap();
        let texts = [300, 30, 7200].map(|seconds| write(Some(Duration::from_secs(seconds))));
        assert_eq!((texts.join(" "), write(None)), ("5m 30s 2h".to_owned(), "none".to_owned()));
        assert_eq!(
            (65_536_usize.write(SettingUnit::Bytes), 1000_usize.write(SettingUnit::Bytes)),
            (Some("64KiB".into()), Some("1000".into()))
        );
    }

    #[test]
    fn what_is_no_value_is_told() {
        assert_eq!(usize::read("10k", SettingUnit::Count), Ok(10_000));
        assert_eq!(usize::read("10k", SettingUnit::Bytes), Ok(10_240));
        assert_eq!(Option::<usize>::read("off", SettingUnit::Count), Ok(None));
        assert_eq!(Option::<usize>::read("0", SettingUnit::Count), Ok(Some(0)));
        assert_eq!(Option::<Duration>::read("0", SettingUnit::Time), Ok(None));
        let wrong = Option::<u32>::read("many", SettingUnit::Count).unwrap_err();
        assert_eq!(wrong, "write a whole number, as 64, 10k or 1.5M, or none");
        for text in ["", "-1", "1.5", "1kk", "99999999999999999999"] {
            assert!(
                u32::read(text, SettingUnit::Count).is_err() && usize::read(text, SettingUnit::Count).is_err(),
                "{text}"
            );
        }
        let wrong = Option::<Duration>::read("soon", SettingUnit::Time).unwrap_err();
        assert_eq!(wrong, "write a time, as 500ms, 30s, 5m or 1h, or none");
    }
}
