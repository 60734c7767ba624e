//! The options.

use std::fmt;
use std::net::IpAddr;

use swapwire_core::{Bytes, Endpoint, Framing, OptionDoc, OptionValue, Place, Side, UpgradeError};

use crate::codec::{MessageKind, WsFrames};
use crate::handshake::{Client, LONGEST_HEAD, Policy, Server, is_token};
use crate::origin::{Origins, is_origin};
use crate::target;

pub(crate) const OPTIONS: &[OptionDoc] = &[
    OptionDoc::new(
        "path",
        "path, default /; for binding also *, which takes any",
        "the path of the request; for connecting with its query behind a `?`, which is written %3F",
        Side::Both,
    ),
    OptionDoc::new(
        "origin",
        "for binding https://a.example and more with commas, null, or * for all but null; default none",
        "the pages that may connect beside those of the same host; for connecting, what to say as one's own",
        Side::Both,
    ),
    OptionDoc::new(
        "host",
        "name; for binding several with commas, default none; for connecting default the place",
        "for binding, names of this host, whose pages may connect; for connecting, what to say as the server's",
        Side::Both,
    ),
    OptionDoc::new(
        "protocol",
        "names with commas, default none",
        "subprotocols to agree on, the preferred one first",
        Side::Both,
    ),
    OptionDoc::new(
        "type",
        "auto, text or binary, default auto",
        "what kind of message is sent; auto is that of the last one received, text before the first",
        Side::Both,
    ),
    OptionDoc::new(
        "headers",
        "cookie,user-agent; default none",
        "headers of the request that handlers see",
        Side::Bind,
    ),
];

/// A list with commas.
struct List(Vec<String>);

impl OptionValue for List {
    fn parse_option(value: &str) -> Result<Self, impl fmt::Display> {
        let words: Vec<_> = value.split(',').map(|word| word.trim().to_owned()).collect();
        if words.iter().any(String::is_empty) { Err("write names with commas between them") } else { Ok(Self(words)) }
    }
}

impl OptionValue for MessageKind {
    fn parse_option(value: &str) -> Result<Self, impl fmt::Display> {
        match value {
            "auto" => Ok(Self::Auto),
            "text" => Ok(Self::Text),
            "binary" => Ok(Self::Binary),
            _ => Err("write auto, text or binary"),
        }
    }
}

/// The words of an option's list, each of which must be such that `is_right`.
fn list(
    endpoint: &Endpoint,
    name: &str,
    is_right: impl Fn(&str) -> bool,
    help: &str,
) -> Result<Vec<String>, UpgradeError> {
    let words = endpoint.read_options().get::<List>(name)?.map_or(Vec::new(), |list| list.0);
    match words.iter().find(|word| !is_right(word)) {
        Some(wrong) => Err(invalid(format!("option {name}={wrong}: {help}"))),
        None => Ok(words),
    }
}

fn protocols(endpoint: &Endpoint) -> Result<Vec<String>, UpgradeError> {
    list(endpoint, "protocol", is_token, "write names of subprotocols, of letters, digits and -._")
}

pub(crate) fn server(endpoint: &Endpoint, page: Option<Bytes>) -> Result<Server, UpgradeError> {
    let options = endpoint.read_options();
    let path = match options.get::<String>("path")?.as_deref() {
        Some("*") => None,
        Some(path) if path.contains('?') => {
            return Err(invalid(format!("option path={path}: a server has no query, and takes a request with any")));
        }
        path => Some(checked_path(path)?),
    };
    let help = "write origins as browsers do, https://a.example or http://a.example:8080, null, or * for all but null";
    let (any, listed) = list(endpoint, "origin", |word| word == "*" || is_origin(word), help)?
        .into_iter()
        .partition::<Vec<_>, _>(|word| word == "*");
    let hosts = list(endpoint, "host", is_name, "write names without ports, as chat.example")?;
    let headers = list(endpoint, "headers", is_token, "write names of headers, as cookie,user-agent")?;
    let encrypted = endpoint.scheme().split('+').any(|part| part == "tls");
    let origins = Origins { listed, any: !any.is_empty(), hosts, encrypted };
    let kind = options.get::<MessageKind>("type")?.unwrap_or_default();
    Ok(Server {
        policy: Policy { path, origins, protocols: protocols(endpoint)?, headers },
        framing: Framing::frames(WsFrames::server(kind)),
        page,
    })
}

pub(crate) fn client(endpoint: &Endpoint, headers: &[(String, String)]) -> Result<Client, UpgradeError> {
    let options = endpoint.read_options();
    let target = target::encode(&checked_path(options.get::<String>("path")?.as_deref())?);
    let origin: Option<String> = options.get("origin")?;
    if let Some(origin) = origin.as_deref().filter(|origin| !is_origin(origin)) {
        return Err(invalid(format!(
            "option origin={origin}: write an origin as browsers do, https://a.example, or null"
        )));
    }
    let host = match options.get::<String>("host")? {
        Some(host) if host.bytes().all(|byte| byte.is_ascii_graphic() && !b"/?#@".contains(&byte)) => host,
        Some(host) => return Err(invalid(format!("option host={host}: write a name, and a port if there is one"))),
        None => host(endpoint),
    };
    let protocols = protocols(endpoint)?;
    let mut request = format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    );
    if let Some(origin) = &origin {
        request.extend(["Origin: ", origin, "\r\n"]);
    }
    if !protocols.is_empty() {
        request.extend(["Sec-WebSocket-Protocol: ", &protocols.join(", "), "\r\n"]);
    }
    for (name, value) in headers {
        request.extend([name, ": ", value, "\r\n"]);
    }
    // The key takes 47 bytes, and the empty line 2.
    let len = request.len() + 49;
    if len > LONGEST_HEAD {
        return Err(invalid(format!("the request has {len} bytes, and a server takes {LONGEST_HEAD} at most")));
    }
    let kind = options.get::<MessageKind>("type")?.unwrap_or_default();
    Ok(Client { request, target, origin, protocols, framing: Framing::frames(WsFrames::client(kind)) })
}

fn checked_path(path: Option<&str>) -> Result<String, UpgradeError> {
    match path.unwrap_or("/") {
        path if path.starts_with('/') => Ok(path.to_owned()),
        path => Err(invalid(format!("option path={path}: write a path that begins with /"))),
    }
}

fn is_name(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

/// What the place is called where HTTP has a host. The port is left out where it is the scheme's own, as browsers do.
fn host(endpoint: &Endpoint) -> String {
    let Place::Host { host, port } = endpoint.place() else { return "localhost".to_owned() };
    let is_encrypted = endpoint.scheme().split('+').any(|part| part == "tls");
    let is_v6 = matches!(host.parse(), Ok(IpAddr::V6(_)));
    let host = if is_v6 { format!("[{host}]") } else { host.clone() };
    if *port == if is_encrypted { 443 } else { 80 } { host } else { format!("{host}:{port}") }
}

fn invalid(reason: String) -> UpgradeError {
    UpgradeError::Invalid(reason)
}
