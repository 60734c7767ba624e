//! What is attacked.

use std::ffi::OsStr;
use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use socket2::SockAddr;
use swapwire_core::{Endpoint, Place};

/// One of the four kinds of socket, and its address.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    endpoint: Endpoint,
    place: Where,
    datagrams: bool,
}

/// Its address.
#[derive(Clone, Debug)]
pub(crate) enum Where {
    /// Of `tcp` and `udp`.
    Ip(SocketAddr),
    /// Of `unix` and `unix-dgram`: a path, or a name that begins with a zero byte.
    Unix(SockAddr),
}

impl Target {
    /// Reads an endpoint, as a flag's value. A host name is looked up here, and its first address is taken.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        const HELP: &str = "write tcp://HOST:PORT, udp://HOST:PORT, unix:PATH, unix-dgram:PATH, or @NAME for PATH";
        let endpoint: Endpoint =
            text.parse().map_err(|error: swapwire_core::EndpointError| error.reason().to_owned())?;
        if let Some((name, _)) = endpoint.options().first() {
            return Err(format!("option {name}: write it without options"));
        }
        let datagrams = match endpoint.scheme() {
            "tcp" | "unix" => false,
            "udp" | "unix-dgram" => true,
            _ => return Err(HELP.to_owned()),
        };
        let unix = |path: PathBuf| SockAddr::unix(path).map_err(|error| error.to_string());
        let place = match (endpoint.scheme(), endpoint.place()) {
            ("tcp" | "udp", Place::Host { host, port }) => Where::Ip(look_up(host, *port)?),
            ("unix" | "unix-dgram", Place::Path(path)) => Where::Unix(unix(path.clone())?),
            ("unix" | "unix-dgram", Place::Abstract(name)) => {
                let name = [b"\0", name.as_slice()].concat();
                Where::Unix(unix(PathBuf::from(OsStr::from_bytes(&name)))?)
            }
            _ => return Err(HELP.to_owned()),
        };
        Ok(Self { endpoint, place, datagrams })
    }

    /// Whether messages have boundaries there.
    pub(crate) fn has_datagrams(&self) -> bool {
        self.datagrams
    }

    /// Whether messages may be lost on the way.
    pub(crate) fn is_lossy(&self) -> bool {
        self.datagrams && matches!(self.place, Where::Ip(_))
    }

    pub(crate) fn place(&self) -> &Where {
        &self.place
    }

    /// The path of a Unix socket, if it has one.
    pub(crate) fn path(&self) -> Option<&std::path::Path> {
        match self.endpoint.place() {
            Place::Path(path) => Some(path),
            _ => None,
        }
    }
}

fn look_up(host: &str, port: u16) -> Result<SocketAddr, String> {
    let mut addresses = (host, port).to_socket_addrs().map_err(|error| format!("look up {host}: {error}"))?;
    addresses.next().ok_or_else(|| format!("look up {host}: it has no address"))
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.endpoint.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_kinds_are_known_and_others_refused() {
        for (text, datagrams, lossy) in [
            ("tcp://127.0.0.1:80", false, false),
            ("udp://[::1]:53", true, true),
            ("unix:/run/a", false, false),
            ("unix:@a", false, false),
            ("unix-dgram:/run/a", true, false),
        ] {
            let target = Target::parse(text).unwrap();
            assert_eq!((target.has_datagrams(), target.is_lossy()), (datagrams, lossy), "{text}");
            assert_eq!(target.to_string(), text);
        }
        for (text, problem) in [
            ("mem:a", "write tcp://HOST:PORT"),
            ("tcp:a", ""),
            ("tcp://127.0.0.1:80?backlog=3", "without options"),
            ("nonsense", ""),
        ] {
            let error = Target::parse(text).unwrap_err();
            assert!(error.contains(problem), "{text}: {error}");
        }
    }
}
