//! Errors, counted by what they mean.

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use nix::errno::Errno;
use serde_json::Value;

/// What an error means for whoever looks at the server.
pub(crate) fn meaning(error: &io::Error) -> &'static str {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ECONNREFUSED | Errno::ENOENT) => "refused",
        Some(Errno::ECONNRESET | Errno::ECONNABORTED) => "reset",
        Some(Errno::EPIPE) => "closed",
        Some(Errno::ETIMEDOUT) => "timeout",
        Some(Errno::EMFILE | Errno::ENFILE) => "no descriptor here",
        Some(Errno::EADDRNOTAVAIL | Errno::EADDRINUSE) => "no address here",
        Some(_) => "other",
        None => match error.kind() {
            io::ErrorKind::UnexpectedEof => "closed",
            io::ErrorKind::TimedOut => "timeout",
            io::ErrorKind::InvalidData => "wrong reply",
            _ => "other",
        },
    }
}

/// What an error says, without its number.
pub(crate) fn cause(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), |code| Errno::from_raw(code).desc().to_owned())
}

/// Errors by meaning; as many kinds as [`meaning`] knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Failures {
    by_meaning: BTreeMap<&'static str, u64>,
    /// The first that was not foreseen.
    other: Option<String>,
}

impl Failures {
    pub(crate) fn add(&mut self, error: &io::Error) {
        let meaning = meaning(error);
        if meaning == "other" && self.other.is_none() {
            self.other = Some(cause(error));
        }
        *self.by_meaning.entry(meaning).or_default() += 1;
    }

    pub(crate) fn total(&self) -> u64 {
        self.by_meaning.values().sum()
    }

    pub(crate) fn json(&self) -> Value {
        self.by_meaning.iter().map(|(meaning, count)| ((*meaning).to_owned(), Value::from(*count))).collect()
    }
}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.by_meaning.is_empty() {
            return f.write_str("no errors");
        }
        for (at, (meaning, count)) in self.by_meaning.iter().enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            write!(f, "{comma}{count} {meaning}")?;
        }
        self.other.iter().try_for_each(|other| write!(f, " (the first: {other})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_by_meaning() {
        let mut failures = Failures::default();
        assert_eq!(failures.to_string(), "no errors");
        for errno in [Errno::ECONNRESET, Errno::ECONNREFUSED, Errno::ECONNRESET, Errno::EPERM] {
            failures.add(&errno.into());
        }
        failures.add(&io::ErrorKind::UnexpectedEof.into());
        assert_eq!(failures.total(), 5);
        assert_eq!(failures.to_string(), "1 closed, 1 other, 1 refused, 2 reset (the first: Operation not permitted)");
    }
}
