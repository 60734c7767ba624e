//! Addresses: from an endpoint, from the system, and to it.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use socket2::{SockAddr, Socket};
use swapwire_core::{Addr, Endpoint, InlineName, Place, UnixAddr};
use tokio::net::unix::SocketAddr;

use crate::failure::Failure;

/// The longest path in bytes: `sun_path` without its terminating NUL (`unix(7)`).
pub(crate) const MAX_PATH: usize = if HAS_ABSTRACT { 107 } else { 103 };

/// Whether the system has an abstract namespace.
const HAS_ABSTRACT: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// The address of an endpoint, its path absolute; the error says what would be right.
pub(crate) fn resolve(endpoint: &Endpoint) -> Result<UnixAddr, Failure> {
    resolve_place(endpoint).map_err(Failure::Invalid)
}

/// The endpoint of `scheme` that dials `addr`.
pub(crate) fn to_endpoint(addr: &UnixAddr, scheme: &str) -> Result<Endpoint, Failure> {
    Addr::Unix(*addr).to_endpoint(scheme).map_err(|e| Failure::Invalid(e.reason().to_owned()))
}

fn resolve_place(endpoint: &Endpoint) -> Result<UnixAddr, String> {
    let scheme = endpoint.scheme();
    match endpoint.place() {
        Place::Path(path) => resolve_path(path),
        Place::Abstract(_) if !HAS_ABSTRACT => {
            Err(format!("abstract names exist on Linux only; write {scheme}:/path or {scheme}:./path"))
        }
        Place::Abstract(name) => UnixAddr::from_abstract(name).ok_or_else(|| {
            format!("the abstract name is {} bytes long; the limit is {}", name.len(), InlineName::MAX - 1)
        }),
        _ => Err(format!("not the place of a Unix socket; write {scheme}:/path, {scheme}:./path or {scheme}:@name")),
    }
}

fn resolve_path(path: &Path) -> Result<UnixAddr, String> {
    let path = std::path::absolute(path).map_err(|e| format!("the current directory is unknown: {e}"))?;
    let bytes = path.as_os_str().as_bytes();
    if path.file_name().is_none() || bytes.ends_with(b"/") {
        return Err("the path names a directory; write the socket's own name after it".to_owned());
    }
    let too_long = || {
        let shown = path.display();
        format!("the path is {} bytes long; the limit is {MAX_PATH}: {shown}", bytes.len())
    };
    if bytes.len() > MAX_PATH {
        return Err(too_long());
    }
    UnixAddr::from_path(&path).ok_or_else(too_long)
}

/// Where a socket is bound that another program opened. A relative path is one of that program's directory, which is not known:
/// it is taken as one of this one's.
pub(crate) fn bound_to(socket: &Socket) -> Result<UnixAddr, Failure> {
    let bound = socket.local_addr()?;
    if let Some(path) = bound.as_pathname() {
        return resolve_path(path).map_err(Failure::Invalid);
    }
    let name = bound.as_abstract_namespace().and_then(UnixAddr::from_abstract);
    name.ok_or_else(|| Failure::Invalid("the socket has no address, so nobody can reach it".to_owned()))
}

/// What the system's calls take. Does not allocate.
pub(crate) fn to_system(addr: &UnixAddr) -> io::Result<SockAddr> {
    if let Some(path) = addr.as_path() {
        return SockAddr::unix(path);
    }
    let unnamed = || io::Error::new(io::ErrorKind::InvalidInput, "an unnamed socket has no address");
    let name = addr.as_abstract().ok_or_else(unnamed)?;
    let mut bytes = [0; InlineName::MAX];
    bytes[1..=name.len()].copy_from_slice(name);
    SockAddr::unix(OsStr::from_bytes(&bytes[..=name.len()]))
}

/// What the system's calls gave. Does not allocate.
pub(crate) fn from_system(addr: &SocketAddr) -> UnixAddr {
    let path = addr.as_pathname().and_then(UnixAddr::from_path);
    path.or_else(|| abstract_name(addr).and_then(UnixAddr::from_abstract)).unwrap_or(UnixAddr::UNNAMED)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn abstract_name(addr: &SocketAddr) -> Option<&[u8]> {
    addr.as_abstract_name()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn abstract_name(_: &SocketAddr) -> Option<&[u8]> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(text: &str) -> String {
        resolve_place(&text.parse().unwrap()).unwrap_err()
    }

    #[test]
    fn places_are_explained() {
        for text in ["unix:name", "unix://host:1"] {
            assert_eq!(reason(text), "not the place of a Unix socket; write unix:/path, unix:./path or unix:@name");
        }
        for text in ["unix:/", "unix:/tmp/", "unix:/tmp/.."] {
            assert!(reason(text).starts_with("the path names a directory"), "{text}");
        }
    }

    #[test]
    fn the_longest_path_has_one_byte_less_than_sun_path() {
        let path = |len: usize| format!("unix:/{}", "x".repeat(len - 1));
        assert!(resolve(&path(MAX_PATH).parse().unwrap()).is_ok());
        let reason = reason(&path(MAX_PATH + 1));
        let wanted = format!("the path is {} bytes long; the limit is {MAX_PATH}: /xxx", MAX_PATH + 1);
        assert!(reason.starts_with(&wanted), "{reason}");
    }

    #[test]
    fn relative_paths_become_absolute() {
        let addr = resolve(&"unix:./a.sock".parse().unwrap()).unwrap();
        assert_eq!(addr.as_path().unwrap(), std::env::current_dir().unwrap().join("a.sock"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn abstract_names_have_a_limit() {
        let name = |len: usize| format!("unix:@{}", "x".repeat(len)).parse().unwrap();
        let addr = resolve(&name(107)).unwrap();
        assert_eq!(to_system(&addr).unwrap().as_abstract_namespace(), Some([b'x'; 107].as_slice()));
        assert_eq!(resolve_place(&name(108)).unwrap_err(), "the abstract name is 108 bytes long; the limit is 107");
    }
}
