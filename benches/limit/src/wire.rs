//! Where to connect or listen.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use swapwire_core::{Endpoint, Place};

/// A kind of socket, or of connection, and its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wire {
    /// `tcp://IP:PORT`
    Tcp(SocketAddr),
    /// `udp://IP:PORT`
    Udp(SocketAddr),
    /// `unix:/path`: streams
    Unix(PathBuf),
    /// `unix-dgram:/path`
    UnixDgram(PathBuf),
    /// `unix-seq:/path`: connected, with messages
    UnixSeq(PathBuf),
    /// `ws://IP:PORT`: WebSocket over TCP
    Ws(SocketAddr),
}

impl TryFrom<&Endpoint> for Wire {
    type Error = anyhow::Error;

    /// # Errors
    /// Another scheme; a host name; an abstract socket; options.
    fn try_from(endpoint: &Endpoint) -> anyhow::Result<Self> {
        if let Some((name, _)) = endpoint.options().first() {
            bail!("endpoint {endpoint}: option {name}: write it without options");
        }
        let address = |host: &str, port| {
            let ip: IpAddr = host.parse().with_context(|| format!("endpoint {endpoint}: write an IP address"))?;
            anyhow::Ok(SocketAddr::new(ip, port))
        };
        Ok(match (endpoint.scheme(), endpoint.place()) {
            ("tcp", Place::Host { host, port }) => Self::Tcp(address(host, *port)?),
            ("udp", Place::Host { host, port }) => Self::Udp(address(host, *port)?),
            ("unix", Place::Path(path)) => Self::Unix(path.clone()),
            ("unix-dgram", Place::Path(path)) => Self::UnixDgram(path.clone()),
            ("unix-seq", Place::Path(path)) => Self::UnixSeq(path.clone()),
            ("ws", Place::Host { host, port }) => Self::Ws(address(host, *port)?),
            _ => bail!("endpoint {endpoint}: write tcp, udp or ws ://IP:PORT, or unix, unix-dgram or unix-seq :/path"),
        })
    }
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(at) => write!(f, "tcp://{at}"),
            Self::Udp(at) => write!(f, "udp://{at}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::UnixDgram(path) => write!(f, "unix-dgram:{}", path.display()),
            Self::UnixSeq(path) => write!(f, "unix-seq:{}", path.display()),
            Self::Ws(at) => write!(f, "ws://{at}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_wires_are_known_and_others_refused() {
        let read = |text: &str| Wire::try_from(&text.parse::<Endpoint>().unwrap()).map_err(|error| error.to_string());
        assert_eq!(read("tcp://127.0.0.1:80"), Ok(Wire::Tcp(([127, 0, 0, 1], 80).into())));
        assert_eq!(read("udp://[::1]:53"), Ok(Wire::Udp("[::1]:53".parse().unwrap())));
        assert_eq!(read("unix:/run/a"), Ok(Wire::Unix("/run/a".into())));
        assert_eq!(read("unix-dgram:/run/a"), Ok(Wire::UnixDgram("/run/a".into())));
        assert_eq!(read("unix-seq:/run/a"), Ok(Wire::UnixSeq("/run/a".into())));
        assert_eq!(read("ws://127.0.0.1:80"), Ok(Wire::Ws(([127, 0, 0, 1], 80).into())));
        for (text, problem) in [
            ("tcp://localhost:80", "write an IP address"),
            ("unix:@a", "write tcp, udp or ws"),
            ("mem:a", "write tcp, udp or ws"),
            ("tcp://127.0.0.1:80?backlog=3", "without options"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(problem), "{error}");
        }
    }
}
