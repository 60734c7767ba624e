//! The options.

use std::fmt;
use std::net::SocketAddr;

use ipnet::IpNet;
use swapwire_core::{Addr, Endpoint, OptionDoc, OptionValue, Side, UpgradeError};

use crate::client::Client;
use crate::header::Version;
use crate::server::Server;
use crate::tlvs::MOST_TLVS;

pub(crate) const OPTIONS: &[OptionDoc] = &[
    OptionDoc::new(
        "trust",
        "10.0.0.0/8,::1,unix",
        "the proxies that are believed: networks, and wires without IP addresses by their name",
        Side::Bind,
    )
    .required(),
    OptionDoc::new(
        "untrusted",
        "refuse or plain, default refuse",
        "whether others are refused, or served as they are",
        Side::Bind,
    ),
    OptionDoc::new(
        "version",
        "1, 2 or any, default any for binding, 2 for connecting",
        "the version of the header",
        Side::Both,
    ),
    OptionDoc::new(
        "max_tlvs",
        "size, default 4KiB",
        "what a header of version 2 may have behind its addresses",
        Side::Bind,
    ),
    OptionDoc::new(
        "client",
        "HOST:PORT, default none",
        "for whom the connection is; else for the proxy itself",
        Side::Connect,
    ),
    OptionDoc::new("destination", "HOST:PORT, default the server", "where that one connected to", Side::Connect),
    OptionDoc::new("checksum", "bool, default false", "whether a header of version 2 has a checksum", Side::Connect),
];

/// Without the option.
const DEFAULT_TLVS: usize = 4 << 10;

/// Who is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trust {
    networks: Vec<IpNet>,
    /// Wires without IP addresses, by their name: `unix`, `mem`.
    wires: Vec<String>,
}

const TRUST_HELP: &str = "write networks, addresses or names of wires without them, as in 10.0.0.0/8,::1,unix";

impl Trust {
    pub(crate) fn has(&self, addr: &Addr) -> bool {
        match addr {
            Addr::Inet(addr) => {
                let ip = addr.ip().to_canonical();
                self.networks.iter().any(|network| network.contains(&ip))
            }
            Addr::Unix(_) => self.wires.iter().any(|wire| wire == "unix"),
            named => {
                let text = named.to_string();
                self.wires.iter().any(|wire| text.strip_prefix(&**wire).is_some_and(|rest| rest.starts_with(':')))
            }
        }
    }
}

impl OptionValue for Trust {
    fn parse_option(value: &str) -> Result<Self, impl fmt::Display> {
        let mut trust = Self { networks: Vec::new(), wires: Vec::new() };
        for word in value.split(',') {
            if let Ok(network) = word.parse() {
                trust.networks.push(network);
            } else if let Ok(ip) = word.parse::<std::net::IpAddr>() {
                trust.networks.push(ip.to_canonical().into());
            } else if word.starts_with(|first: char| first.is_ascii_lowercase()) && !word.contains(['.', ':', '/']) {
                trust.wires.push(word.to_owned());
            } else {
                return Err(TRUST_HELP);
            }
        }
        Ok(trust)
    }
}

struct VersionOption(Option<Version>);

impl OptionValue for VersionOption {
    fn parse_option(value: &str) -> Result<Self, impl fmt::Display> {
        match value {
            "any" => Ok(Self(None)),
            "1" => Ok(Self(Some(Version::V1))),
            "2" => Ok(Self(Some(Version::V2))),
            _ => Err("write 1, 2 or any"),
        }
    }
}

/// Whether those who are not trusted are served.
struct Untrusted(bool);

impl OptionValue for Untrusted {
    fn parse_option(value: &str) -> Result<Self, impl fmt::Display> {
        match value {
            "refuse" => Ok(Self(false)),
            "plain" => Ok(Self(true)),
            _ => Err("write refuse or plain"),
        }
    }
}

struct End(SocketAddr);

impl OptionValue for End {
    fn parse_option(value: &str) -> Result<Self, impl fmt::Display> {
        value.parse().map(Self).map_err(|_| "write an IP address and a port, as 192.0.2.1:1234 or [2001:db8::1]:1234")
    }
}

pub(crate) fn server(endpoint: &Endpoint) -> Result<Server, UpgradeError> {
    let options = endpoint.read_options();
    let most_tlvs = options.get_in("max_tlvs", 0..=MOST_TLVS, "write a size of at most 65312 bytes")?;
    let trust: Trust = options.require("trust")?;
    // A word that names no wire, as a host name, would trust nobody.
    let is_wire = |name: &str| matches!(name, "mem" | "unix") || endpoint.scheme().split('+').any(|part| part == name);
    if let Some(name) = trust.wires.iter().find(|name| !is_wire(name)) {
        return Err(UpgradeError::Invalid(format!("trust={name} is no network, address or wire: {TRUST_HELP}")));
    }
    Ok(Server {
        trust,
        serves_others: options.get::<Untrusted>("untrusted")?.is_some_and(|untrusted| untrusted.0),
        version: options.get::<VersionOption>("version")?.and_then(|version| version.0),
        most_tlvs: most_tlvs.unwrap_or(DEFAULT_TLVS),
    })
}

pub(crate) fn client(endpoint: &Endpoint) -> Result<Client, UpgradeError> {
    let options = endpoint.read_options();
    let version = options.get::<VersionOption>("version")?.and_then(|version| version.0).unwrap_or(Version::V2);
    let client = options.get::<End>("client")?.map(|end| end.0);
    let destination = options.get::<End>("destination")?.map(|end| end.0);
    let checksum = options.get("checksum")?.unwrap_or(false);
    let invalid = |text: &str| Err(UpgradeError::Invalid(text.to_owned()));
    match (client, destination) {
        (None, Some(_)) => invalid("destination= is for whom client= names: add that, or leave it out"),
        (Some(client), Some(to)) if client.is_ipv4() != to.is_ipv4() => {
            invalid("client= and destination= are not both IPv4 or both IPv6")
        }
        _ if checksum && version == Version::V1 => invalid("checksum=true is for version=2"),
        (client, destination) => Ok(Client { version, ends: client.map(|client| (client, destination)), checksum }),
    }
}
