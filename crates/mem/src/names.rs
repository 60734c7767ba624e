//! Names: what endpoints and addresses mean on a network.

use swapwire_core::{Addr, Endpoint, Place};

/// The byte stream.
pub(crate) const STREAM: &str = "mem";
/// The message stream.
pub(crate) const SEQ: &str = "mem-seq";
/// The datagrams.
pub(crate) const DATAGRAM: &str = "mem-dgram";

/// The longest name, in bytes.
const MAX_NAME: usize = 100;
/// What clients' names begin with, and no others.
const CLIENT: char = '#';

/// A name on one of the three namespaces of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Name(Addr);

impl Name {
    /// The name that `endpoint` asks for, or what is wrong with it and what would be right.
    pub(crate) fn of(endpoint: &Endpoint) -> Result<Self, String> {
        let scheme = scheme(endpoint.scheme()).ok_or_else(|| format!("write {STREAM}:name"))?;
        let Place::Name(name) = endpoint.place() else {
            return Err(format!("this place is not a name; write {scheme}:name"));
        };
        if name.starts_with(CLIENT) {
            return Err(format!("names that begin with {CLIENT} are reserved for clients; write {scheme}:name"));
        }
        if name.len() > MAX_NAME {
            let len = name.len();
            return Err(format!("a name of {len} bytes; write {scheme}:name with a name of at most {MAX_NAME} bytes"));
        }
        Addr::named(scheme, name).map(Self).ok_or_else(|| format!("write {scheme}:name"))
    }

    /// The name of client `number`.
    pub(crate) fn client(scheme: &'static str, number: u64) -> Self {
        // At most 21 bytes, so it always fits.
        let name = Addr::named(scheme, &format!("{CLIENT}{number}"));
        Self(name.expect("a number is shorter than any limit"))
    }

    /// The name that `addr` is, if it is one of ours.
    pub(crate) fn at(addr: &Addr) -> Self {
        Self(*addr)
    }

    pub(crate) const fn addr(&self) -> Addr {
        self.0
    }
}

/// `text`, if it is one of the schemes.
pub(crate) fn scheme(text: &str) -> Option<&'static str> {
    [STREAM, SEQ, DATAGRAM].into_iter().find(|scheme| *scheme == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_names_are_places() {
        let name = |text: &str| Name::of(&text.parse().unwrap()).map(|name| name.addr().to_string());
        assert_eq!(name("mem-seq:a b"), Ok("mem-seq:a b".to_owned()));
        assert_eq!(name("mem://h:1").unwrap_err(), "this place is not a name; write mem:name");
        assert_eq!(name("mem-dgram:/x").unwrap_err(), "this place is not a name; write mem-dgram:name");
        assert!(name("mem:%231").unwrap_err().contains("write mem:name"));
        assert!(name(&format!("mem:{}", "x".repeat(100))).is_ok());
        assert!(name(&format!("mem:{}", "x".repeat(101))).unwrap_err().contains("at most 100 bytes"));
    }
}
