//! The options.

use std::path::PathBuf;
use std::time::Duration;

use swapwire_core::{Endpoint, OptionDoc, OptionError, OptionReader, Place, Side, UpgradeError};

use crate::engine::{ClientAuth, KeyPin, Name};

pub(crate) const OPTIONS: &[OptionDoc] = &[
    OptionDoc::new(
        "cert",
        "path, for binding several with commas",
        "PEM files of certificates, each with those that lead from it; the name that a client asks for chooses, else the first",
        Side::Both,
    ),
    OptionDoc::new("key", "path, as many as cert", "PEM files of the private keys", Side::Both),
    OptionDoc::new(
        "key_mode",
        "strict or any, default strict",
        "whether a key file that every user can read is refused",
        Side::Both,
    ),
    OptionDoc::new(
        "self_signed",
        "bool, default false",
        "a certificate of its own making, for trying out; what is dialled has the pin of its key",
        Side::Bind,
    ),
    OptionDoc::new(
        "client_ca",
        "path, default none",
        "PEM file of those who sign the certificates of clients",
        Side::Bind,
    ),
    OptionDoc::new(
        "client_auth",
        "none, request or require; with client_ca the default is require",
        "whether clients show a certificate",
        Side::Bind,
    ),
    OptionDoc::new(
        "alpn",
        "names with commas, default none",
        "protocols to agree on, the preferred one first",
        Side::Both,
    ),
    OptionDoc::new("min_version", "1.2 or 1.3, default 1.2", "the oldest version of TLS that is spoken", Side::Bind),
    OptionDoc::new(
        "reload",
        "time or off, default 30s",
        "how often the files are looked at, and read again when they have changed",
        Side::Bind,
    ),
    OptionDoc::new(
        "tickets",
        "bool, default false",
        "whether sessions are resumed; then a client that only writes may be reset",
        Side::Both,
    ),
    OptionDoc::new(
        "eof",
        "strict or lax, default strict",
        "whether an end without a good-bye (close_notify) is an error or the end",
        Side::Both,
    ),
    OptionDoc::new(
        "ca",
        "path, default the system's",
        "PEM file of those who sign the certificates of servers",
        Side::Connect,
    ),
    OptionDoc::new(
        "pin",
        "sha256:HASH, several with commas; default none",
        "the server's public key by its hash, in place of the check of its certificate and its name",
        Side::Connect,
    ),
    OptionDoc::new(
        "server_name",
        "name, default the host, else localhost",
        "the name that is asked for and that the certificate must have",
        Side::Connect,
    ),
];

const RELOAD: Duration = Duration::from_secs(30);
/// The longest name of a protocol (RFC 7301, 3.1), in bytes.
const LONGEST_PROTOCOL: usize = 255;

/// Where the certificates of a server come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Pairs of a certificate and a key.
    Files(Vec<(PathBuf, PathBuf)>),
    SelfSigned,
    /// Given by code.
    Code,
}

#[derive(Clone, Debug)]
pub(crate) struct ServerOptions {
    pub(crate) source: Source,
    pub(crate) any_key_mode: bool,
    pub(crate) client_ca: Option<PathBuf>,
    pub(crate) client_auth: ClientAuth,
    pub(crate) alpn: Vec<String>,
    pub(crate) only_tls13: bool,
    pub(crate) reload: Option<Duration>,
    pub(crate) tickets: bool,
    pub(crate) lax: bool,
}

impl ServerOptions {
    /// `has_code` tells whether there are certificates that code gave.
    pub(crate) fn read(endpoint: &Endpoint, has_code: bool) -> Result<Self, UpgradeError> {
        let options = endpoint.read_options();
        let client_ca = options.get::<String>("client_ca")?.map(PathBuf::from);
        let auth = [("none", ClientAuth::None), ("request", ClientAuth::Request), ("require", ClientAuth::Require)];
        let client_auth = match (choice(options, "client_auth", &auth)?, &client_ca) {
            (None, None) => ClientAuth::None,
            (None, Some(_)) => ClientAuth::Require,
            (Some(ClientAuth::None), Some(_)) => {
                return Err(invalid("client_ca= has no meaning with client_auth=none"));
            }
            (Some(auth), None) if auth != ClientAuth::None => {
                return Err(invalid("client_auth= needs client_ca=, which signs the certificates of clients"));
            }
            (Some(auth), _) => auth,
        };
        Ok(Self {
            source: source(options, has_code)?,
            any_key_mode: any_key_mode(options)?,
            client_ca,
            client_auth,
            alpn: alpn(options)?,
            only_tls13: choice(options, "min_version", &[("1.2", false), ("1.3", true)])?.unwrap_or(false),
            reload: match endpoint.option("reload") {
                Some("off") => None,
                _ => Some(options.get("reload")?.unwrap_or(RELOAD)),
            },
            tickets: options.get("tickets")?.unwrap_or(false),
            lax: lax(options)?,
        })
    }

    /// The files that are read.
    pub(crate) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let pairs: &[_] = if let Source::Files(pairs) = &self.source { pairs } else { &[] };
        pairs.iter().flat_map(|(cert, key)| [cert, key]).chain(&self.client_ca)
    }
}

fn source(options: OptionReader<'_>, has_code: bool) -> Result<Source, UpgradeError> {
    let (certs, keys) = (list(options, "cert")?, list(options, "key")?);
    let self_signed = options.get("self_signed")?.unwrap_or(false);
    match (certs.len(), keys.len()) {
        (0, 0) if self_signed => Ok(Source::SelfSigned),
        (0, 0) if has_code => Ok(Source::Code),
        (0, 0) => Err(invalid("a server needs cert=FILE and key=FILE; to try it out, self_signed=true")),
        _ if self_signed => Err(invalid("self_signed=true makes a certificate of its own: leave out cert= and key=")),
        (certs, keys) if certs != keys => Err(invalid(format!(
            "cert= has {certs} files and key= has {keys}: each certificate needs its key, in the same order"
        ))),
        _ => Ok(Source::Files(certs.into_iter().map(PathBuf::from).zip(keys.into_iter().map(PathBuf::from)).collect())),
    }
}

#[derive(Clone, Debug)]
pub(crate) struct ClientOptions {
    pub(crate) ca: Option<PathBuf>,
    pub(crate) pins: Vec<KeyPin>,
    pub(crate) pair: Option<(PathBuf, PathBuf)>,
    pub(crate) any_key_mode: bool,
    pub(crate) alpn: Vec<String>,
    pub(crate) tickets: bool,
}

impl ClientOptions {
    pub(crate) fn read(endpoint: &Endpoint) -> Result<Self, UpgradeError> {
        let options = endpoint.read_options();
        let path = |name| options.get::<String>(name).map(|path| path.map(PathBuf::from));
        let pins = list(options, "pin")?;
        let pins = pins.iter().map(|pin| {
            KeyPin::parse(pin).ok_or_else(|| {
                wrong("pin", pin, "write sha256: and the hash of a public key, in Base64 or in hexadecimal digits")
            })
        });
        let (ca, pins) = (path("ca")?, pins.collect::<Result<Vec<_>, _>>()?);
        if ca.is_some() && !pins.is_empty() {
            return Err(invalid("pin= replaces ca=: leave out one of them"));
        }
        let pair = match (path("cert")?, path("key")?) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (Some(_), None) => return Err(invalid("cert= needs key=, the file of its private key")),
            (None, Some(_)) => return Err(invalid("key= needs cert=, the file of its certificate")),
        };
        Ok(Self {
            ca,
            pins,
            pair,
            any_key_mode: any_key_mode(options)?,
            alpn: alpn(options)?,
            tickets: options.get("tickets")?.unwrap_or(false),
        })
    }

    /// The files that are read.
    pub(crate) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.ca.iter().chain(self.pair.iter().flat_map(|(cert, key)| [cert, key]))
    }
}

/// Whom a client expects.
pub(crate) fn name(endpoint: &Endpoint) -> Result<Name, UpgradeError> {
    const HELP: &str = "write a DNS name or an IP address";
    if let Some(name) = endpoint.option("server_name") {
        return Name::parse(name).ok_or_else(|| wrong("server_name", name, HELP));
    }
    let host = if let Place::Host { host, .. } = endpoint.place() { host } else { "localhost" };
    Name::parse(host).ok_or_else(|| invalid(format!("{host} is no name that a certificate can have: add server_name=")))
}

pub(crate) fn lax(options: OptionReader<'_>) -> Result<bool, UpgradeError> {
    Ok(choice(options, "eof", &[("strict", false), ("lax", true)])?.unwrap_or(false))
}

fn any_key_mode(options: OptionReader<'_>) -> Result<bool, UpgradeError> {
    Ok(choice(options, "key_mode", &[("strict", false), ("any", true)])?.unwrap_or(false))
}

fn alpn(options: OptionReader<'_>) -> Result<Vec<String>, UpgradeError> {
    let names = list(options, "alpn")?;
    match names.iter().find(|name| name.len() > LONGEST_PROTOCOL) {
        Some(long) => Err(wrong("alpn", long, "the name of a protocol has at most 255 bytes")),
        None => Ok(names),
    }
}

fn list(options: OptionReader<'_>, name: &str) -> Result<Vec<String>, UpgradeError> {
    let Some(value) = options.get::<String>(name)? else { return Ok(Vec::new()) };
    let words: Vec<_> = value.split(',').map(str::to_owned).collect();
    match words.iter().any(String::is_empty) {
        true => Err(wrong(name, &value, "write one value, or several with commas")),
        false => Ok(words),
    }
}

fn choice<T: Copy>(options: OptionReader<'_>, name: &str, choices: &[(&str, T)]) -> Result<Option<T>, UpgradeError> {
    let Some(value) = options.get::<String>(name)? else { return Ok(None) };
    let chosen = choices.iter().find(|(word, _)| *word == value).map(|(_, choice)| Some(*choice));
    chosen.ok_or_else(|| {
        let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
        wrong(name, &value, &format!("write {}", words.join(" or ")))
    })
}

fn wrong(name: &str, value: &str, reason: &str) -> UpgradeError {
    OptionError::Value { name: name.to_owned(), value: value.to_owned(), reason: reason.to_owned() }.into()
}

fn invalid(text: impl Into<String>) -> UpgradeError {
    UpgradeError::Invalid(text.into())
}
