//! Addresses as values: small, copied, never on the heap.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::path::Path;

use crate::{Endpoint, EndpointError, Place, Printable};

/// The address of one end of a wire.
///
/// An inline value of fixed size, so that a datagram's sender costs no allocation. Never a made-up IP address: a wire
/// without IP addresses has a variant of its own, and third-party transports use [`Addr::Named`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Addr {
    /// An IP address and port. IPv4-mapped IPv6 addresses are written as IPv4 (see [`Addr::inet`]).
    Inet(SocketAddr),
    /// A Unix socket address.
    Unix(UnixAddr),
    /// A name that means something to one transport, behind its scheme: `scheme:name` (see [`Addr::named`]).
    Named(InlineName),
}

/// Of what tells addresses apart, in as few pieces as it has: tables of peers hash one for each datagram.
impl Hash for Addr {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Inet(SocketAddr::V4(addr)) => {
                state.write_u64(u64::from(addr.ip().to_bits()) << 16 | u64::from(addr.port()));
            }
            Self::Inet(SocketAddr::V6(addr)) => {
                state.write_u128(addr.ip().to_bits());
                state.write_u64(u64::from(addr.scope_id()) << 16 | u64::from(addr.port()));
            }
            Self::Unix(addr) => addr.hash(state),
            Self::Named(name) => name.hash(state),
        }
    }
}

impl Addr {
    /// Becomes a copy of `other`: an IPv4 address that was one before, without the room for longer kinds.
    #[inline(always)]
    pub(crate) fn become_copy(&mut self, other: &Self) {
        match (self, other) {
            (Self::Inet(SocketAddr::V4(this)), Self::Inet(SocketAddr::V4(other))) => *this = *other,
            (this, other) => this.become_any(other),
        }
    }

    #[inline(never)]
    fn become_any(&mut self, other: &Self) {
        *self = *other;
    }

    /// As `==`, in place for two of IPv4.
    #[inline(always)]
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Inet(SocketAddr::V4(this)), Self::Inet(SocketAddr::V4(other))) => this == other,
            (this, other) => this.is_any(other),
        }
    }

    #[inline(never)]
    fn is_any(&self, other: &Self) -> bool {
        self == other
    }

    /// An IP address in its one normal form: an IPv4 address mapped into IPv6 (`::ffff:1.2.3.4`) becomes plain IPv4.
    pub fn inet(addr: SocketAddr) -> Self {
        Self::Inet(SocketAddr::new(addr.ip().to_canonical(), addr.port()).with_scope_of(addr))
    }

    /// A transport's own kind of address; `None` if `scheme:name` is longer than [`InlineName::MAX`] bytes.
    pub fn named(scheme: &str, name: &str) -> Option<Self> {
        InlineName::new(format!("{scheme}:{name}").as_bytes()).map(Self::Named)
    }

    /// The address that an endpoint contains, without a resolver; `None` for a host name.
    pub fn of_endpoint(endpoint: &Endpoint) -> Option<Self> {
        match endpoint.place() {
            Place::Host { host, port } => Some(Self::inet(SocketAddr::new(host.parse().ok()?, *port))),
            #[cfg(unix)]
            Place::Path(path) => UnixAddr::from_path(path).map(Self::Unix),
            Place::Abstract(name) => UnixAddr::from_abstract(name).map(Self::Unix),
            Place::Name(name) => Self::named(endpoint.scheme(), name),
            #[cfg(not(unix))]
            Place::Path(_) => None,
        }
    }

    /// The endpoint of `scheme` that dials this address.
    ///
    /// # Errors
    /// An unnamed Unix socket has no endpoint.
    pub fn to_endpoint(&self, scheme: &str) -> Result<Endpoint, EndpointError> {
        let place = match self {
            Self::Inet(addr) => {
                let host = match addr {
                    SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
                    _ => addr.ip().to_string(),
                };
                Place::Host { host, port: addr.port() }
            }
            Self::Unix(unix) => match unix.as_abstract() {
                Some(name) => Place::Abstract(name.to_vec()),
                None => Place::Path(unix.as_path().unwrap_or(Path::new("")).to_owned()),
            },
            Self::Named(name) => {
                let text = String::from_utf8_lossy(name.as_bytes());
                Place::Name(text.split_once(':').map_or(text.as_ref(), |(_, name)| name).to_owned())
            }
        };
        Endpoint::new(scheme, place)
    }
}

trait ScopeOf {
    fn with_scope_of(self, other: SocketAddr) -> SocketAddr;
}

impl ScopeOf for SocketAddr {
    fn with_scope_of(mut self, other: SocketAddr) -> SocketAddr {
        if let (Self::V6(this), Self::V6(other)) = (&mut self, other) {
            this.set_scope_id(other.scope_id());
        }
        self
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(addr) => addr.fmt(f),
            Self::Unix(addr) => addr.fmt(f),
            Self::Named(name) => name.fmt(f),
        }
    }
}

/// Up to 108 bytes, inline: the longest Unix socket address of Linux (`unix(7)`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct InlineName {
    len: u8,
    /// Zeros behind the name.
    bytes: [u8; Self::MAX],
}

impl Hash for InlineName {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.as_bytes());
        state.write_u8(self.len);
    }
}

impl InlineName {
    /// The longest name, in bytes.
    pub const MAX: usize = 108;

    /// Copies `bytes`; `None` if there are more than [`InlineName::MAX`].
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut name = Self { len: u8::try_from(bytes.len()).ok()?, bytes: [0; Self::MAX] };
        name.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(name)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Display for InlineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Printable::bytes(self.as_bytes()).fmt(f)
    }
}

impl fmt::Debug for InlineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// A Unix socket address: a path, a name in Linux's abstract namespace, or none at all (`unix(7)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UnixAddr(InlineName);

impl UnixAddr {
    /// A socket that was never bound, as most clients are.
    pub const UNNAMED: Self = Self(InlineName { len: 0, bytes: [0; InlineName::MAX] });

    /// A path; `None` if it is empty, starts with NUL, or is longer than 108 bytes.
    #[cfg(unix)]
    pub fn from_path(path: &Path) -> Option<Self> {
        use std::os::unix::ffi::OsStrExt as _;
        let bytes = path.as_os_str().as_bytes();
        if bytes.first().is_none_or(|byte| *byte == 0) {
            return None;
        }
        InlineName::new(bytes).map(Self)
    }

    /// An abstract name, without its leading NUL; `None` if it is longer than 107 bytes.
    pub fn from_abstract(name: &[u8]) -> Option<Self> {
        let mut bytes = [0; InlineName::MAX];
        bytes.get_mut(1..=name.len())?.copy_from_slice(name);
        InlineName::new(&bytes[..=name.len()]).map(Self)
    }

    /// The path, if the address is one.
    #[cfg(unix)]
    pub fn as_path(&self) -> Option<&Path> {
        use std::os::unix::ffi::OsStrExt as _;
        let bytes = self.0.as_bytes();
        bytes.first().filter(|byte| **byte != 0).map(|_| Path::new(std::ffi::OsStr::from_bytes(bytes)))
    }

    /// The path, if the address is one.
    #[cfg(not(unix))]
    pub fn as_path(&self) -> Option<&Path> {
        None
    }

    /// The abstract name without its leading NUL, if the address is one.
    pub fn as_abstract(&self) -> Option<&[u8]> {
        self.0.as_bytes().strip_prefix(&[0])
    }

    /// Whether the socket has no address, and so cannot be answered by a datagram.
    pub fn is_unnamed(&self) -> bool {
        self.0.as_bytes().is_empty()
    }
}

impl fmt::Display for UnixAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_abstract() {
            Some(name) => {
                f.write_str("@")?;
                InlineName::new(name).unwrap_or(Self::UNNAMED.0).fmt(f)
            }
            None if self.is_unnamed() => f.write_str("unnamed"),
            None => self.0.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher as _, RandomState};

    use super::*;

    #[test]
    fn addresses_show_what_they_are() {
        let mapped: SocketAddr = "[::ffff:127.0.0.1]:7".parse().unwrap();
        assert_eq!(Addr::inet(mapped).to_string(), "127.0.0.1:7");
        assert_eq!(Addr::Unix(UnixAddr::UNNAMED).to_string(), "unnamed");
        assert_eq!(Addr::Unix(UnixAddr::from_abstract(b"x\x1b").unwrap()).to_string(), "@x\\x1b");
        assert_eq!(Addr::named("mem", "chat").unwrap().to_string(), "mem:chat");
        assert!(UnixAddr::from_abstract(&[b'x'; 108]).is_none());
        assert!(InlineName::new(&[b'x'; 109]).is_none());
    }

    #[test]
    fn what_is_equal_is_hashed_alike_and_others_are_not() {
        let hasher = RandomState::new();
        let texts = ["127.0.0.1:7", "127.0.0.1:8", "127.0.0.2:7", "[::1]:7", "[::1]:8", "[::2]:7", "[fe80::1%1]:7"];
        let inet = texts.map(|text| Addr::inet(text.parse().unwrap()));
        let named = ["", "a", "ab", "a\0", "b"].map(|name| Addr::named("mem", name).unwrap());
        let unix = [&b""[..], b"a", b"a\0"].map(|name| Addr::Unix(UnixAddr::from_abstract(name).unwrap()));
        let all: Vec<_> = inet.into_iter().chain(named).chain(unix).collect();
        for (i, one) in all.iter().enumerate() {
            for (j, other) in all.iter().enumerate() {
                assert_eq!(hasher.hash_one(one) == hasher.hash_one(other), i == j, "{one} {other}");
            }
        }
        let mapped = Addr::inet("[::ffff:127.0.0.1]:7".parse().unwrap());
        assert_eq!(hasher.hash_one(mapped), hasher.hash_one(inet[0]));
    }

    #[test]
    fn no_byte_of_a_name_controls_anything() {
        let bidi = "\u{202a}\u{202e}\u{2066}\u{2069}\u{200e}\u{200f}\u{61c}\u{85}\u{9b}".as_bytes().to_vec();
        let all: Vec<u8> = (0..=255).collect();
        for bytes in all.chunks(100).chain([&bidi[..]]) {
            let name = InlineName::new(bytes).unwrap();
            let abstract_name = Addr::Unix(UnixAddr::from_abstract(bytes).unwrap());
            for shown in
                [name.to_string(), format!("{name:?}"), abstract_name.to_string(), format!("{abstract_name:?}")]
            {
                assert!(shown.chars().all(|c| c.is_ascii_graphic() || c == ' '), "{shown:?}");
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn addresses_become_endpoints() {
        let path = UnixAddr::from_path(Path::new("/run/x y")).unwrap();
        assert_eq!(Addr::Unix(path).to_endpoint("unix").unwrap().to_string(), "unix:/run/x%20y");
        assert!(Addr::Unix(UnixAddr::UNNAMED).to_endpoint("unix").is_err());
        let v6 = Addr::inet("[::1]:9".parse().unwrap());
        assert_eq!(v6.to_endpoint("udp").unwrap().to_string(), "udp://[::1]:9");
        for text in ["udp://[::1]:9", "unix:/run/x%20y", "unix:@a", "mem:chat"] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!(Addr::of_endpoint(&endpoint).unwrap().to_endpoint(endpoint.scheme()).unwrap(), endpoint);
        }
    }
}
