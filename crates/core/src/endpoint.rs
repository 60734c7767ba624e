//! Endpoints: addresses as operators write them.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::options::OptionReader;

/// An address as an operator writes it: a scheme, a place, and options.
///
/// ```text
/// tcp://127.0.0.1:8888?backlog=3      host and port
/// udp://[::1]:53                      IPv6 in brackets
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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    scheme: String,
    place: Place,
    options: Vec<(String, String)>,
}

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

/// Why a text is not an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
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
}

/// No endpoint may be longer than this, in bytes.
const MAX_LEN: usize = 4096;

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

    /// The options in the order they were written; names are unique.
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
        self
    }

    /// The same endpoint without options.
    #[must_use]
    pub fn without_options(mut self) -> Self {
        self.options.clear();
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
        parse(text).map_err(|reason| {
            let mut shown: String = text.chars().take(200).collect();
            if shown.len() < text.len() {
                shown.push('…');
            }
            EndpointError { text: shown, reason }
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

fn parse(text: &str) -> Result<Endpoint, String> {
    if text.len() > MAX_LEN {
        return Err(format!("{} bytes long; the limit is {MAX_LEN}", text.len()));
    }
    let Some((scheme, rest)) = text.split_once(':') else {
        return Err("no scheme; write for example tcp://127.0.0.1:8888, unix:/run/x.sock or mem:name".to_owned());
    };
    let scheme = scheme.to_ascii_lowercase();
    let good = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"+-.".contains(&c);
    if !scheme.as_bytes().first().is_some_and(u8::is_ascii_lowercase) || !scheme.bytes().all(good) {
        return Err(format!("{scheme:?} is not a scheme; write for example tcp://127.0.0.1:8888"));
    }
    let (place, query) = match rest.split_once('?') {
        Some((place, query)) => (place, Some(query)),
        None => (rest, None),
    };
    Ok(Endpoint { place: parse_place(&scheme, place)?, options: parse_options(query)?, scheme })
}

fn parse_place(scheme: &str, text: &str) -> Result<Place, String> {
    if text.contains('#') {
        return Err("\"#\" has no meaning in an endpoint; write %23 for the character itself".to_owned());
    }
    if let Some(authority) = text.strip_prefix("//") {
        if authority.starts_with('/') {
            return Ok(Place::Path(path_from_bytes(decode(authority)?)?));
        }
        return parse_host(scheme, authority.strip_suffix('/').unwrap_or(authority));
    }
    if text.starts_with('/') || text.starts_with("./") || text.starts_with("../") {
        return Ok(Place::Path(path_from_bytes(decode(text)?)?));
    }
    if let Some(name) = text.strip_prefix('@') {
        let name = decode(name)?;
        return if name.is_empty() {
            Err("the name after \"@\" is empty".to_owned())
        } else {
            Ok(Place::Abstract(name))
        };
    }
    if text.is_empty() {
        return Err(format!("nothing after {scheme:?}; write for example {scheme}:name or {scheme}://host:port"));
    }
    String::from_utf8(decode(text)?).map(Place::Name).map_err(|_| "the name is not UTF-8".to_owned())
}

fn parse_host(scheme: &str, authority: &str) -> Result<Place, String> {
    let no_port = |host: &str| format!("no port; write {scheme}://{host}:PORT");
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or("\"[\" without \"]\"")?;
        if !host.contains(':') {
            return Err("brackets are for IPv6 addresses, as in [::1]".to_owned());
        }
        (host, rest.strip_prefix(':').ok_or_else(|| no_port(&format!("[{host}]")))?)
    } else {
        let (host, port) = authority.rsplit_once(':').ok_or_else(|| no_port(authority))?;
        if host.contains(':') {
            return Err("an IPv6 address needs brackets, as in [::1]:8888".to_owned());
        }
        (host, port)
    };
    if host.is_empty() {
        return Err("no host; write 127.0.0.1 for this machine alone, 0.0.0.0 or [::] for every address".to_owned());
    }
    if let Some(bad) = host.chars().find(|c| !(c.is_alphanumeric() || "-._:%".contains(*c))) {
        return Err(format!("{bad:?} cannot be in a host name"));
    }
    if port.is_empty() || !port.bytes().all(|c| c.is_ascii_digit()) {
        return Err(format!("{port:?} is not a port; write a number from 0 to 65535"));
    }
    let port = port.parse().map_err(|_| format!("port {port} is too large; the largest is 65535"))?;
    Ok(Place::Host { host: host.to_owned(), port })
}

fn parse_options(query: Option<&str>) -> Result<Vec<(String, String)>, String> {
    let mut options: Vec<(String, String)> = Vec::new();
    for pair in query.into_iter().flat_map(|query| query.split('&')) {
        let (key, value) =
            pair.split_once('=').ok_or_else(|| format!("option {pair:?} has no value; write key=value"))?;
        let text = |bytes| String::from_utf8(bytes).map_err(|_| "an option is not UTF-8".to_owned());
        let (key, value) = (text(decode(key)?)?, text(decode(value)?)?);
        if key.is_empty() {
            return Err("an option without a name".to_owned());
        }
        if options.iter().any(|(known, _)| *known == key) {
            return Err(format!("option {key:?} is given twice"));
        }
        options.push((key, value));
    }
    Ok(options)
}

fn decode(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let hex = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
        match rest {
            [high, low, tail @ ..] if hex(*high).is_some() && hex(*low).is_some() => {
                out.push(hex(*high).unwrap_or(0) << 4 | hex(*low).unwrap_or(0));
                rest = tail;
            }
            _ => return Err("\"%\" must be followed by two hexadecimal digits; write %25 for the character".to_owned()),
        }
    }
    Ok(out)
}

fn encode(bytes: &[u8], also: &str, out: &mut impl fmt::Write) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() || c.is_whitespace() || "%?#".contains(c) || also.contains(c) {
                let mut buf = [0; 4];
                for byte in c.encode_utf8(&mut buf).bytes() {
                    write!(out, "%{byte:02X}")?;
                }
            } else {
                out.write_char(c)?;
            }
        }
        for byte in chunk.invalid() {
            write!(out, "%{byte:02X}")?;
        }
    }
    Ok(())
}

#[cfg(unix)]
fn path_from_bytes(bytes: Vec<u8>) -> Result<PathBuf, String> {
    use std::os::unix::ffi::OsStringExt as _;
    if bytes.contains(&0) {
        return Err("a path cannot contain a NUL byte".to_owned());
    }
    Ok(PathBuf::from(std::ffi::OsString::from_vec(bytes)))
}

#[cfg(not(unix))]
fn path_from_bytes(bytes: Vec<u8>) -> Result<PathBuf, String> {
    String::from_utf8(bytes).map(PathBuf::from).map_err(|_| "the path is not UTF-8".to_owned())
}

fn path_bytes(path: &Path) -> std::borrow::Cow<'_, [u8]> {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt as _;
        path.as_os_str().as_bytes().into()
    }
    #[cfg(not(unix))]
    path.to_string_lossy().into_owned().into_bytes().into()
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host { host, port } if host.contains(':') => write!(f, "//[{host}]:{port}"),
            Self::Host { host, port } => write!(f, "//{host}:{port}"),
            Self::Path(path) => {
                let bytes = path_bytes(path);
                // "//x" would read as a host.
                let slashes = bytes.iter().take_while(|byte| **byte == b'/').count();
                if slashes > 1 {
                    f.write_str("//")?;
                }
                encode(&bytes, "", f)
            }
            Self::Abstract(name) => {
                f.write_char('@')?;
                encode(name, "", f)
            }
            Self::Name(name) => {
                // A first character that would be read as another kind of place is escaped.
                let first = if name.starts_with(['/', '@']) || name.starts_with("./") || name.starts_with("../") {
                    1
                } else {
                    0
                };
                for byte in &name.as_bytes()[..first] {
                    write!(f, "%{byte:02X}")?;
                }
                encode(&name.as_bytes()[first..], "", f)
            }
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.scheme, self.place)?;
        for (i, (key, value)) in self.options.iter().enumerate() {
            f.write_char(if i == 0 { '?' } else { '&' })?;
            encode(key.as_bytes(), "&=", f)?;
            f.write_char('=')?;
            encode(value.as_bytes(), "&", f)?;
        }
        Ok(())
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
