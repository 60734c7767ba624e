//! From text to endpoint.

use std::borrow::Cow;
use std::path::PathBuf;

use super::{Endpoint, PATH, Place};

/// No endpoint may be longer than this, in bytes.
const MAX_LEN: usize = 4096;

/// The schemes that may be written without a port (RFC 6455, section 3; registered for NATS by its brokers).
const DEFAULT_PORTS: &[(&str, &str)] = &[("nats", "4222"), ("ws", "80"), ("wss", "443")];

const EXAMPLES: &str = "tcp://127.0.0.1:8888, unix:/run/x.sock or mem:name";

pub(super) fn endpoint(text: &str) -> Result<Endpoint, String> {
    if text.len() > MAX_LEN {
        return Err(format!("{} bytes long; the limit is {MAX_LEN}", text.len()));
    }
    let (scheme, rest) = scheme(text)?;
    let (place, query) = match rest.split_once('?') {
        Some((place, query)) => (place, Some(query)),
        None => (rest, None),
    };
    let (place, path) = parse_place(&scheme, place)?;
    let mut endpoint = Endpoint { place, options: Vec::new(), scheme };
    for (name, value) in path.map(|path| (PATH.to_owned(), path)).into_iter().chain(parse_options(query)?) {
        if endpoint.option(&name).is_some() {
            return Err(format!("option {name:?} is given twice"));
        }
        endpoint = endpoint.with_option(&name, value);
    }
    // The normal form escapes more, and must be read again.
    match endpoint.to_string().len() {
        ..=MAX_LEN => Ok(endpoint),
        len => Err(format!("{len} bytes long with its bytes escaped; the limit is {MAX_LEN}")),
    }
}

/// The text of an endpoint, for an error, without a user and a password before its host.
pub(super) fn without_password(text: &str) -> Cow<'_, str> {
    let hidden = || {
        let (scheme, rest) = text.split_once("//")?;
        let authority = rest.split(['/', '?']).next()?;
        Some(format!("{scheme}//…{}", &rest[authority.rfind('@')?..]))
    };
    hidden().map_or(Cow::Borrowed(text), Cow::Owned)
}

/// The scheme, in lower case, and what follows it.
pub(super) fn scheme(text: &str) -> Result<(String, &str), String> {
    let Some((scheme, rest)) = text.split_once(':') else {
        return Err(match text.starts_with(['/', '.']) {
            true => format!("no scheme; for a Unix socket write unix:{text}"),
            false => format!("no scheme; write for example {EXAMPLES}"),
        });
    };
    let scheme = scheme.to_ascii_lowercase();
    let good = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"+-.".contains(&c);
    if !scheme.as_bytes().first().is_some_and(u8::is_ascii_lowercase) || !scheme.bytes().all(good) {
        return Err(format!("{scheme:?} is not a scheme; write for example tcp://127.0.0.1:8888"));
    }
    Ok((scheme, rest))
}

/// The place, and the path behind a host and port.
fn parse_place(scheme: &str, text: &str) -> Result<(Place, Option<String>), String> {
    let Some(authority) = text.strip_prefix("//").filter(|authority| !authority.starts_with('/')) else {
        return Ok((parse_local(scheme, text)?, None));
    };
    no_fragment(text)?;
    let (authority, path) = authority.split_once('/').unwrap_or((authority, ""));
    let path = String::from_utf8(decode(path)?).map_err(|_| "the path is not UTF-8".to_owned())?;
    Ok((parse_host(scheme, authority)?, (!path.is_empty()).then(|| format!("/{path}"))))
}

fn no_fragment(text: &str) -> Result<(), String> {
    if text.contains('#') {
        return Err("\"#\" has no meaning in an endpoint; write %23 for the character itself".to_owned());
    }
    Ok(())
}

fn parse_local(scheme: &str, text: &str) -> Result<Place, String> {
    no_fragment(text)?;
    let text = text.strip_prefix("//").unwrap_or(text);
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
        return Err(format!(
            "nothing after {scheme:?}; write a host and port, a path or a name there, as in {EXAMPLES}"
        ));
    }
    String::from_utf8(decode(text)?).map(Place::Name).map_err(|_| "the name is not UTF-8".to_owned())
}

fn parse_host(scheme: &str, authority: &str) -> Result<Place, String> {
    if authority.contains('@') {
        return Err(
            "an endpoint has no user and no password, as logs and lists of processes show it; leave out what stands \
                    before \"@\", and name a file where the transport has an option for it, as user_file=FILE of nats"
                .to_owned(),
        );
    }
    let no_port = |host: &str| format!("no port; write {scheme}://{host}:PORT");
    let default = DEFAULT_PORTS.iter().find(|(name, _)| *name == scheme).map(|(_, port)| *port);
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or("\"[\" without \"]\"")?;
        if !host.contains(':') {
            return Err("brackets are for IPv6 addresses, as in [::1]".to_owned());
        }
        let port = if rest.is_empty() { default } else { rest.strip_prefix(':') };
        (host, port.ok_or_else(|| no_port(&format!("[{host}]")))?)
    } else {
        let with_default = || Some((authority, default?));
        let (host, port) = authority.rsplit_once(':').or_else(with_default).ok_or_else(|| no_port(authority))?;
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
