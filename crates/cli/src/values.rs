//! Values of flags: times and sizes, written as in the options of endpoints.

use std::time::Duration;

use swapwire::core::OptionValue;

/// A deadline; none is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline(pub(crate) Option<Duration>);

/// A deadline, switched off by `0`, `none` or `off`.
pub(crate) fn deadline(text: &str) -> Result<Deadline, String> {
    patience(text).map(|Deadline(time)| Deadline(time.filter(|time| !time.is_zero())))
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
}
