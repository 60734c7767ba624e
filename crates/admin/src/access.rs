//! Who may ask.

use std::net::IpAddr;

use swapwire_core::{Addr, Endpoint, Peer, Place, Printable};

use crate::answer::Answer;
use crate::request::Asked;

/// How much of a request's text is shown, in bytes.
const SHOWN: usize = 100;
const HTTP: u16 = 80;
const HTTPS: u16 = 443;

/// From where it is reached, the nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    /// A Unix socket, or this process's memory: who may is decided there.
    Own,
    /// This host's loopback addresses: all programs of this host, and what browsers on it open.
    Loopback,
    /// Other hosts.
    Network,
}

impl Reach {
    /// From where `local`, which was made of `asked`, is reached; `None` for a name that is not looked up yet.
    ///
    /// # Errors
    /// It would be reached by more than it should.
    pub(crate) fn checked(asked: &Endpoint, local: &Endpoint, expose: bool) -> Result<Option<Self>, &'static str> {
        match local.place() {
            Place::Host { host, .. } => match host.split('%').next().unwrap_or_default().parse::<IpAddr>() {
                Ok(ip) if ip.to_canonical().is_loopback() => Ok(Some(Self::Loopback)),
                Ok(_) if expose => Ok(Some(Self::Network)),
                Ok(_) => Err(
                    "other hosts can reach this address; write a Unix socket or a loopback address, or expose = true to \
                              let them read",
                ),
                Err(_) => Ok(None),
            },
            Place::Abstract(_) if ["allow_uid", "allow_gid"].iter().all(|name| asked.option(name).is_none()) => Err(
                "an abstract name has no mode, and every user of this host can connect; add allow_uid=self, or write a path",
            ),
            _ => Ok(Some(Self::Own)),
        }
    }

    /// Of a connection: a proxy in front may tell of a client that is farther away than its listener.
    pub(crate) fn with(self, peer: &Peer) -> Self {
        match peer.addr() {
            Addr::Inet(addr) if addr.ip().to_canonical().is_loopback() => self.max(Self::Loopback),
            Addr::Inet(_) => Self::Network,
            _ => self,
        }
    }
}

/// Whether these may be names of a host.
pub(crate) fn check_names(hosts: &[String]) -> Result<(), String> {
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
    };
    match hosts.iter().find(|name| !is_name(name)) {
        Some(wrong) => {
            Err(format!("hosts has {wrong:?}, which is no name of a host; write names without a port: metrics.example"))
        }
        None => Ok(()),
    }
}

/// The rules for all requests.
#[derive(Debug)]
pub(crate) struct Access {
    pub(crate) hosts: Vec<String>,
    pub(crate) expose: bool,
}

impl Access {
    /// Refuses what a page of another origin, or a name that was made to lead here, may have asked.
    pub(crate) fn check(&self, asked: &Asked, reach: Reach) -> Result<(), Answer> {
        if reach == Reach::Network && !self.expose {
            return Err(Answer::forbidden(
                "a proxy sent this for a client of another host; expose = true lets those read",
            ));
        }
        let host = asked.host.as_deref();
        if let Some(host) = host {
            let shown = Printable::new(host).at_most(SHOWN);
            let (name, _) = split(host).ok_or_else(|| Answer::bad(&format!("Host {shown} is no host")))?;
            if !self.knows(name) {
                return Err(Answer::forbidden(&format!(
                    "Host {shown} is no IP address, not localhost, and not listed in hosts"
                )));
            }
        }
        match &asked.origin {
            Some(origin) if !is_own(origin, host.unwrap_or_default()) => Err(Answer::forbidden(&format!(
                "pages of {} may ask nothing here",
                Printable::new(origin.as_str()).at_most(SHOWN)
            ))),
            _ => Ok(()),
        }
    }

    /// Whether it may change something.
    pub(crate) fn check_reload(asked: &Asked, reach: Reach) -> Result<(), Answer> {
        match reach {
            Reach::Own => Ok(()),
            Reach::Loopback if asked.purpose.as_deref() == Some("reload") => Ok(()),
            Reach::Loopback => Err(Answer::forbidden("on TCP a reload has the header X-Swapwire: reload")),
            Reach::Network => Err(Answer::method("GET", "on an exposed address there is no reload; use SIGHUP")),
        }
    }

    fn knows(&self, name: &str) -> bool {
        let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        address.parse::<IpAddr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || self.hosts.iter().any(|known| known.eq_ignore_ascii_case(name))
    }
}

/// Whether a page of `origin` was loaded from `host`, which is known: a browser writes both (RFC 6454, 6.2).
fn is_own(origin: &str, host: &str) -> bool {
    let (place, default) = match origin.split_once("://") {
        Some(("http", place)) => (place, HTTP),
        Some(("https", place)) => (place, HTTPS),
        _ => return false,
    };
    match (split(place), split(host)) {
        (Some((name, port)), Some((asked, asked_port))) => {
            name.eq_ignore_ascii_case(asked) && port.unwrap_or(default) == asked_port.unwrap_or(default)
        }
        _ => false,
    }
}

/// A host, an IPv6 address in its brackets, and a port if there is one.
fn split(place: &str) -> Option<(&str, Option<u16>)> {
    let end = place.rfind(']').map_or(0, |at| at + 1);
    let (name, port) = match place[end..].find(':') {
        Some(at) => (&place[..end + at], Some(place[end + at + 1..].parse().ok()?)),
        None => (place, None),
    };
    (!name.is_empty()).then_some((name, port))
}
