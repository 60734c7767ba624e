//! Endpoints: addresses as operators write them.

mod display;
mod parse;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::options::{OptionDoc, OptionReader};
use crate::Printable;

/// An address as an operator writes it: a scheme, a place, and options.
///
/// ```text
/// tcp://127.0.0.1:8888?backlog=3      host and port
/// udp://[::1]:53                      IPv6 in brackets
/// ws://127.0.0.1:8080/chat            with a path, which is the option `path`
/// unix:/run/upper.sock?mode=660       a path; `unix:///run/upper.sock` is read too
/// unix:@upper                         a name in Linux's abstract namespace
/// mem:upper                           a plain name
/// ```
///
/// Parsing and printing are inverse: `Display` gives one normal form, and that form parses back to an equal value.
/// Bytes that would be misread (`%`, `?`, `#`, controls, spaces, bytes that are not UTF-8) are percent-encoded
/// (RFC 3986, section 2.1) in paths, names and options.
///
/// ```
/// use swapwire_core::Endpoint;
/// let endpoint: Endpoint = "UNIX:///run/upper.sock?mode=660".parse()?;
/// assert_eq!(endpoint.to_string(), "unix:/run/upper.sock?mode=660");
/// assert_eq!(endpoint.option("mode"), Some("660"));
/// # Ok::<(), swapwire_core::EndpointError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    scheme: String,
    place: Place,
    options: Vec<(String, String)>,
}

/// The option that may be written behind a host and port, as in a URL.
pub(super) const PATH: &str = "path";

/// Where an endpoint is, in the four ways that schemes use.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Place {
    /// `//host:port`. An IPv6 host is kept without its brackets.
    Host {
        /// A name or an IP address, never empty.
        host: String,
        /// The port; 0 asks the system for a free one when binding.
        port: u16,
    },
    /// `/absolute/path`, `./relative` or `../relative`.
    Path(PathBuf),
    /// `@name`: an abstract Unix socket (the name without `@`, arbitrary bytes).
    Abstract(Vec<u8>),
    /// `name`: whatever the scheme makes of it. Never empty.
    Name(String),
}

debug_as_text!(Endpoint, EndpointError);

/// Why a text is not an endpoint.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("endpoint {text:?}: {reason}")]
pub struct EndpointError {
    text: String,
    reason: String,
}

impl EndpointError {
    /// What is wrong and what would be right, without the text that was given.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The scheme of the text, if it begins with one.
    pub(crate) fn scheme(&self) -> Option<String> {
        parse::scheme(&self.text).ok().map(|(scheme, _)| scheme)
    }

    pub(crate) fn because(self, reason: String) -> Self {
        Self { reason, ..self }
    }
}

impl Endpoint {
    /// An endpoint of `scheme` at `place`, without options.
    ///
    /// # Errors
    /// As for parsing: a malformed scheme, an empty or over-long place, a relative path that does not start with a dot.
    pub fn new(scheme: &str, place: Place) -> Result<Self, EndpointError> {
        let endpoint = Self { scheme: scheme.to_owned(), place, options: Vec::new() };
        let text = endpoint.to_string();
        let parsed: Self = text.parse()?;
        if parsed == endpoint {
            Ok(endpoint)
        } else {
            Err(EndpointError { text, reason: "this place does not survive being written down".to_owned() })
        }
    }

    /// The scheme, in lower case.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// Where it is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The options in the order they were written, a path behind the port first; names are unique.
    pub fn options(&self) -> &[(String, String)] {
        &self.options
    }

    /// The value of one option.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The same endpoint with `name` set to `value`.
    #[must_use]
    pub fn with_option(mut self, name: &str, value: impl fmt::Display) -> Self {
        let value = value.to_string();
        match self.options.iter_mut().find(|(key, _)| key == name) {
            Some(slot) => slot.1 = value,
            None => self.options.push((name.to_owned(), value)),
        }
        // What is written first stands first.
        if self.path().is_some() {
            self.options.sort_by_key(|(name, _)| name != PATH);
        }
        self
    }

    /// The option `path`, where it is written behind the port.
    fn path(&self) -> Option<&str> {
        let path = self.option(PATH).filter(|path| path.len() > 1 && path.starts_with('/'));
        path.filter(|_| matches!(self.place, Place::Host { .. }))
    }

    /// The same endpoint without the option `name`.
    #[must_use]
    pub fn without_option(mut self, name: &str) -> Self {
        self.options.retain(|(key, _)| key != name);
        self
    }

    /// The same place and options under another scheme, which is not checked: it is one that a transport serves.
    #[must_use]
    pub fn with_scheme(self, scheme: impl Into<String>) -> Self {
        Self { scheme: scheme.into(), ..self }
    }

    /// The same endpoint with the options of `own` alone, and the one with all others.
    #[must_use]
    pub fn split_options(self, own: &[OptionDoc]) -> (Self, Self) {
        let is_own = |(name, _): &(String, String)| own.iter().any(|doc| doc.name == name);
        let (own, others) = self.options.iter().cloned().partition(is_own);
        (Self { options: own, ..self.clone() }, Self { options: others, ..self })
    }

    /// The same endpoint without options.
    #[must_use]
    pub fn without_options(mut self) -> Self {
        self.options.clear();
        self
    }

    /// The same endpoint without the options that are written behind the question mark: a path behind the port stays.
    #[must_use]
    pub fn without_query(mut self) -> Self {
        self.options.truncate(usize::from(self.path().is_some()));
        self
    }

    /// Reads the options typed; see [`OptionReader`].
    pub fn read_options(&self) -> OptionReader<'_> {
        OptionReader::new(self)
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse::endpoint(text).map_err(|reason| {
            let text = parse::without_password(text);
            let mut shown: String = text.chars().take(200).collect();
            if shown.len() < text.len() {
                shown.push('…');
            }
            EndpointError { text: shown, reason: Printable::new(&reason).to_string() }
        })
    }
}

impl TryFrom<&str> for Endpoint {
    type Error = EndpointError;

    fn try_from(text: &str) -> Result<Self, EndpointError> {
        text.parse()
    }
}

impl TryFrom<String> for Endpoint {
    type Error = EndpointError;

    fn try_from(text: String) -> Result<Self, EndpointError> {
        text.parse()
    }
}

impl TryFrom<&String> for Endpoint {
    type Error = EndpointError;

    fn try_from(text: &String) -> Result<Self, EndpointError> {
        text.parse()
    }
}

impl From<&Endpoint> for Endpoint {
    fn from(endpoint: &Endpoint) -> Self {
        endpoint.clone()
    }
}

impl From<std::convert::Infallible> for EndpointError {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Endpoint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Endpoint {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
