//! Typed reading of an endpoint's options.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeBounds;
use std::time::Duration;

use super::endpoint::PATH;
use super::suggestion::{hint, listed};
use crate::{Endpoint, Printable};

/// On which side of a connection an option has a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// For binding and for connecting.
    Both,
    /// For binding only.
    Bind,
    /// For connecting only.
    Connect,
}

/// A transport's description of one of its options; the command and the documentation read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OptionDoc {
    /// The key in the endpoint's query.
    pub name: &'static str,
    /// What the value looks like and what holds without it: `bool, default true`.
    pub value: &'static str,
    /// One line about the effect.
    pub help: &'static str,
    /// Where it has a meaning.
    pub side: Side,
    /// Whether it must be given there.
    pub required: bool,
}

impl OptionDoc {
    /// Describes one option.
    pub const fn new(name: &'static str, value: &'static str, help: &'static str, side: Side) -> Self {
        Self { name, value, help, side, required: false }
    }

    /// The same option, which must be given on its side.
    #[must_use]
    pub const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// Whether it has a meaning on `side` ([`Side::Bind`] or [`Side::Connect`]).
    pub fn is_for(&self, side: Side) -> bool {
        self.side == Side::Both || self.side == side
    }
}

debug_as_text!(OptionError);

/// Why the options of an endpoint were refused.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionError {
    /// The transport has no such option.
    #[error("unknown option {name:?}{}{note}", hint(name, known))]
    Unknown {
        /// The option as written.
        name: String,
        /// The options that would be understood here, or `none`.
        known: String,
        /// What else it may have been meant as; begins with a semicolon, or is empty.
        note: String,
    },
    /// The option exists, but not for this operation.
    #[error("option {name:?} is for {side} only")]
    WrongSide {
        /// The option as written.
        name: String,
        /// `binding` or `connecting`.
        side: &'static str,
    },
    /// The option must be given.
    #[error("option {name:?} is missing; write {name}={value}: {help}")]
    Missing {
        /// The option's name.
        name: String,
        /// What its value looks like.
        value: String,
        /// What it is for.
        help: String,
    },
    /// The value does not parse.
    #[error("option {name}={}: {}", Printable::new(value), Printable::new(reason))]
    Value {
        /// The option's name.
        name: String,
        /// The value as written.
        value: String,
        /// What would be right.
        reason: String,
    },
}

/// Reads the options of an endpoint one by one, typed; an option that no reader asked for is an error.
///
/// ```
/// use swapwire_core::{Endpoint, OptionDoc, Side};
/// const OPTIONS: &[OptionDoc] = &[OptionDoc::new("nodelay", "bool, default true", "send small segments at once", Side::Both)];
///
/// let endpoint: Endpoint = "tcp://127.0.0.1:1?nodelay=off".parse()?;
/// let options = endpoint.read_options();
/// options.check(OPTIONS, Side::Bind)?;
/// let nodelay: bool = options.get("nodelay")?.unwrap_or(true);
/// assert!(!nodelay);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct OptionReader<'a> {
    endpoint: &'a Endpoint,
}

impl<'a> OptionReader<'a> {
    pub(crate) fn new(endpoint: &'a Endpoint) -> Self {
        Self { endpoint }
    }

    /// Refuses options that are not in `known`, or not for `side` (`Side::Bind` or `Side::Connect`), and endpoints without one
    /// that is required there.
    ///
    /// # Errors
    /// The first option that does not belong, with the list of those that do; else the first that is missing.
    pub fn check(&self, known: &[OptionDoc], side: Side) -> Result<(), OptionError> {
        for (name, _) in self.endpoint.options() {
            let Some(doc) = known.iter().find(|doc| doc.name == name) else {
                let here = known.iter().filter(|doc| doc.is_for(side));
                let here_has_path = here.clone().any(|doc| doc.name == PATH);
                let known = listed(here.map(|doc| doc.name));
                let note = self.meant_otherwise(name, here_has_path);
                return Err(OptionError::Unknown { name: name.clone(), known, note });
            };
            if !doc.is_for(side) {
                let side = if doc.side == Side::Bind { "binding" } else { "connecting" };
                return Err(OptionError::WrongSide { name: name.clone(), side });
            }
        }
        match known.iter().find(|doc| doc.required && doc.is_for(side) && self.endpoint.option(doc.name).is_none()) {
            Some(OptionDoc { name, value, help, .. }) => Err(OptionError::Missing {
                name: (*name).to_owned(),
                value: (*value).to_owned(),
                help: (*help).to_owned(),
            }),
            None => Ok(()),
        }
    }

    /// What an unknown option may be: a path that has no meaning here, or a query of one that has.
    fn meant_otherwise(&self, unknown: &str, here_has_path: bool) -> String {
        match self.endpoint.option(PATH) {
            _ if unknown == PATH => "; there is no path behind the port here".to_owned(),
            _ if !here_has_path => String::new(),
            path => {
                let value = self.endpoint.option(unknown).unwrap_or_default();
                let target = format!("{}?{unknown}={value}", path.unwrap_or("/"));
                let whole = self.endpoint.clone().without_option(unknown).with_option(PATH, target);
                format!("; a query of the request is written as part of the path: {whole}")
            }
        }
    }

    /// The value of `name`, if it was given.
    ///
    /// # Errors
    /// The value does not parse as `T`.
    pub fn get<T: OptionValue>(&self, name: &str) -> Result<Option<T>, OptionError> {
        let Some(value) = self.endpoint.option(name) else { return Ok(None) };
        T::parse_option(value).map(Some).map_err(|reason| OptionError::Value {
            name: name.to_owned(),
            value: value.to_owned(),
            reason: reason.to_string(),
        })
    }

    /// The value of `name`, which must be given; [`check`](Self::check) knows what it is for.
    ///
    /// # Errors
    /// It is missing, or does not parse as `T`.
    pub fn require<T: OptionValue>(&self, name: &str) -> Result<T, OptionError> {
        let missing =
            || OptionError::Missing {
                name: name.to_owned(), value: "…".to_owned(), help: "it is required".to_owned()
            };
        self.get(name)?.ok_or_else(missing)
    }

    /// The value of `name`, if it was given; it must lie in `range`, and `help` describes a right value.
    ///
    /// # Errors
    /// The value does not parse as `T`, or lies outside.
    pub fn get_in<T>(&self, name: &str, range: impl RangeBounds<T>, help: &str) -> Result<Option<T>, OptionError>
    where
        T: OptionValue + PartialOrd,
    {
        match self.get(name)? {
            Some(value) if !range.contains(&value) => Err(OptionError::Value {
                name: name.to_owned(),
                value: self.endpoint.option(name).unwrap_or_default().to_owned(),
                reason: help.to_owned(),
            }),
            value => Ok(value),
        }
    }
}

/// A type that an option's value can have.
pub trait OptionValue: Sized {
    /// Parses the value.
    ///
    /// # Errors
    /// What would be right, for people.
    fn parse_option(value: &str) -> Result<Self, impl fmt::Display>;
}

impl OptionValue for bool {
    fn parse_option(value: &str) -> Result<Self, impl fmt::Display> {
        match value {
            "true" | "on" | "yes" | "1" => Ok(true),
            "false" | "off" | "no" | "0" => Ok(false),
            _ => Err("write true or false"),
        }
    }
}

impl OptionValue for u8 {
    fn parse_option(value: &str) -> Result<Self, impl fmt::Display> {
        value.parse().map_err(|_| "write a whole number from 0 to 255")
    }
}

impl OptionValue for u32 {
    fn parse_option(value: &str) -> Result<Self, impl fmt::Display> {
        value.parse().map_err(|_| "write a whole number from 0 to 4294967295")
    }
}

/// A number of bytes: `65536`, `64k`, `64KiB`, `1M`, `1MiB` (powers of 1024).
impl OptionValue for usize {
    fn parse_option(value: &str) -> Result<Self, impl fmt::Display> {
        const HELP: &str = "write a number of bytes, as 65536, 64k or 1MiB";
        let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
        let (number, unit) = value.split_at(digits);
        let shift = match unit.to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kb" | "kib" => 10,
            "m" | "mb" | "mib" => 20,
            "g" | "gb" | "gib" => 30,
            _ => return Err(HELP),
        };
        number.parse::<usize>().ok().and_then(|n| n.checked_mul(1 << shift)).ok_or(HELP)
    }
}

/// A time: `500ms`, `30s`, `5m`, `1h`; a bare number is seconds.
impl OptionValue for Duration {
    fn parse_option(value: &str) -> Result<Self, impl fmt::Display> {
        const HELP: &str = "write a time, as 500ms, 30s, 5m or 1h";
        let digits = value.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(value.len());
        let (number, unit) = value.split_at(digits);
        let number: f64 = number.parse().map_err(|_| HELP)?;
        let seconds = match unit {
            "us" | "µs" => number / 1e6,
            "ms" => number / 1e3,
            "" | "s" => number,
            "m" | "min" => number * 60.0,
            "h" => number * 3600.0,
            _ => return Err(HELP),
        };
        Duration::try_from_secs_f64(seconds).map_err(|_| HELP)
    }
}

/// An IP address: `127.0.0.2`, `::1`.
impl OptionValue for IpAddr {
    fn parse_option(value: &str) -> Result<Self, impl fmt::Display> {
        value.parse().map_err(|_| "write an IP address, as 127.0.0.2 or ::1")
    }
}

impl OptionValue for String {
    fn parse_option(value: &str) -> Result<Self, impl fmt::Display> {
        Ok::<_, &str>(value.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[OptionDoc] = &[
        OptionDoc::new("a", "bool", "", Side::Both),
        OptionDoc::new("b", "number", "", Side::Bind),
        OptionDoc::new("backlog", "number", "", Side::Bind),
    ];

    fn read(text: &str, side: Side) -> String {
        let endpoint: Endpoint = text.parse().unwrap();
        endpoint.read_options().check(KNOWN, side).map_or_else(|e| e.to_string(), |()| "ok".to_owned())
    }

    #[test]
    fn unknown_and_misplaced_options_are_named() {
        assert_eq!(read("x:y?a=1&b=2", Side::Bind), "ok");
        assert_eq!(read("x:y?b=2", Side::Connect), "option \"b\" is for binding only");
        assert_eq!(read("x:y?c=2", Side::Bind), "unknown option \"c\"; known: a, b, backlog");
        assert_eq!(read("x:y?c=2", Side::Connect), "unknown option \"c\"; known: a");
        assert_eq!(
            read("x:y?backlgo=2", Side::Bind),
            "unknown option \"backlgo\"; did you mean \"backlog\"? known: a, b, backlog"
        );
        assert_eq!(read("x:y?backlgo=2", Side::Connect), "unknown option \"backlgo\"; known: a");
    }

    #[test]
    fn a_query_and_a_path_are_told_from_options() {
        let known = [OptionDoc::new("path", "text, default /", "", Side::Both)];
        let check = |text: &str, known| {
            let endpoint: Endpoint = text.parse().unwrap();
            endpoint.read_options().check(known, Side::Connect).map_or_else(|e| e.to_string(), |()| "ok".to_owned())
        };
        assert_eq!(check("ws://h:1/run%3Fcase=1", &known), "ok");
        let query = check("ws://h:1/run?case=1", &known);
        assert!(
            query
                .ends_with("known: path; a query of the request is written as part of the path: ws://h:1/run%3Fcase=1")
        );
        assert!(check("ws:/x?case=1", &known).ends_with("ws:/x?path=/%3Fcase=1"));
        let path = check("tcp://h:1/x", &[]);
        assert_eq!(path, "unknown option \"path\"; known: none; there is no path behind the port here");
    }

    #[test]
    fn a_required_option_is_asked_for_on_its_side() {
        let known = [OptionDoc::new("key", "path", "the private key", Side::Bind).required()];
        let check = |text: &str, side| text.parse::<Endpoint>().unwrap().read_options().check(&known, side);
        assert_eq!(check("x:y", Side::Connect), Ok(()));
        assert_eq!(check("x:y?key=k", Side::Bind), Ok(()));
        let error = check("x:y", Side::Bind).unwrap_err();
        assert_eq!(error.to_string(), "option \"key\" is missing; write key=path: the private key");
    }

    #[test]
    fn values_are_typed() {
        let endpoint: Endpoint = "x:y?t=1.5s&s=64KiB&b=on&n=7&bad=maybe".parse().unwrap();
        let options = endpoint.read_options();
        assert_eq!(options.get("t"), Ok(Some(Duration::from_millis(1500))));
        assert_eq!(options.get("s"), Ok(Some(65536_usize)));
        assert_eq!(options.get("b"), Ok(Some(true)));
        assert_eq!(options.get("n"), Ok(Some(7_u32)));
        assert_eq!(options.get::<u32>("missing"), Ok(None));
        assert_eq!(options.get_in("n", 1..=7, ""), Ok(Some(7_u32)));
        let error = options.get_in("n", 8_u32.., "write 8 or more").unwrap_err();
        assert_eq!(error.to_string(), "option n=7: write 8 or more");
        assert_eq!(options.get::<bool>("bad").unwrap_err().to_string(), "option bad=maybe: write true or false");
        assert!(options.get::<usize>("bad").is_err() && options.get::<Duration>("bad").is_err());
    }
}
