//! Source addresses without end.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use crate::tagged::mix;

/// A network, as `127.0.0.0/8` or `fd00::/64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Net {
    base: IpAddr,
    prefix: u32,
}

/// The lowest port that is used.
const LOWEST: u64 = 1024;

impl Net {
    /// The number of hosts, as far as it can be counted: without the first and the last of an IPv4 network.
    fn hosts(&self) -> u64 {
        let (bits, others) = if self.base.is_ipv4() { (32 - self.prefix, 2) } else { (128 - self.prefix, 0) };
        let all = 1_u64.checked_shl(bits).unwrap_or(u64::MAX);
        all.saturating_sub(others).max(1)
    }

    /// The source number `index`. All hosts are used with one port before the next: so they are distinct, and neighbours have
    /// distant addresses.
    pub(super) fn source(&self, index: u64, seed: u64) -> Option<SocketAddr> {
        let hosts = self.hosts();
        let port = u16::try_from(LOWEST + index / hosts).ok()?;
        // A step that has no factor in common with the number of hosts visits each of them once.
        let host = u128::from(index % hosts) * u128::from(step(hosts, seed)) % u128::from(hosts);
        let ip = match self.base {
            IpAddr::V4(base) => {
                let first = u128::from(self.hosts() > 1);
                Ipv4Addr::from((u128::from(u32::from(base)) + host + first) as u32).into()
            }
            IpAddr::V6(base) => Ipv6Addr::from(u128::from(base) + host).into(),
        };
        Some(SocketAddr::new(ip, port))
    }

    /// How many sources there are.
    pub(super) fn sources(&self) -> u64 {
        self.hosts().saturating_mul(u64::from(u16::MAX) + 1 - LOWEST)
    }
}

fn step(hosts: u64, seed: u64) -> u64 {
    let divisor = |mut one: u64, mut other: u64| {
        while other > 0 {
            (one, other) = (other, one % other);
        }
        one
    };
    let mut step = mix(seed, hosts) % hosts;
    while divisor(step, hosts) != 1 {
        step = (step + 1) % hosts.max(2);
    }
    step
}

impl FromStr for Net {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const HELP: &str = "write a network, as 127.0.0.0/8";
        let (base, prefix) = text.split_once('/').ok_or(HELP)?;
        let (base, prefix) = (base.parse::<IpAddr>().map_err(|_| HELP)?, prefix.parse::<u32>().map_err(|_| HELP)?);
        let bits = if base.is_ipv4() { 32 } else { 128 };
        if prefix > bits {
            Err(format!("write a prefix of at most {bits} bits"))
        } else {
            Ok(Self { base, prefix }.first())
        }
    }
}

impl Net {
    /// The same with a base that has zeros behind the prefix.
    fn first(self) -> Self {
        let base = match self.base {
            IpAddr::V4(base) => {
                let mask = u32::MAX.checked_shl(32 - self.prefix).unwrap_or(0);
                Ipv4Addr::from(u32::from(base) & mask).into()
            }
            IpAddr::V6(base) => {
                let mask = u128::MAX.checked_shl(128 - self.prefix).unwrap_or(0);
                Ipv6Addr::from(u128::from(base) & mask).into()
            }
        };
        Self { base, ..self }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn sources_are_distinct_and_lie_in_the_network() {
        for text in ["127.0.0.0/8", "127.3.4.5/24", "127.0.0.1/32", "::1/128", "fd00::/112", "fd00::/8"] {
            let net: Net = text.parse().unwrap();
            for seed in [0, 1, 99] {
                let sources: HashSet<_> = (0..10_000).filter_map(|index| net.source(index, seed)).collect();
                assert_eq!(sources.len(), 10_000, "{text}");
                let lies = |source: &SocketAddr| Net { base: source.ip(), prefix: net.prefix }.first() == net;
                assert!(sources.iter().all(lies), "{text}");
            }
        }
    }

    #[test]
    fn a_small_network_ends() {
        let net: Net = "127.0.0.1/32".parse().unwrap();
        assert_eq!(net.sources(), 64_512);
        assert!(net.source(64_511, 0).is_some() && net.source(64_512, 0).is_none());
        assert!("127.0.0.1".parse::<Net>().is_err() && "127.0.0.1/33".parse::<Net>().is_err());
    }
}
