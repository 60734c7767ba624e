//! Which pages may connect (RFC 6455, 10.2).

use std::net::IpAddr;

/// What a browser's page may be from.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    /// As browsers write them, `null` among them.
    pub(crate) listed: Vec<String>,
    /// All but `null`.
    pub(crate) any: bool,
    /// Names of this host, beside its addresses and `localhost`.
    pub(crate) hosts: Vec<String>,
    /// Browsers reach the server under TLS of its own.
    pub(crate) encrypted: bool,
}

const HTTP: u16 = 80;
const HTTPS: u16 = 443;

impl Origins {
    /// Whether a page of `origin` may connect to what it calls `host`.
    ///
    /// Those of the same host may: a page whose host and port are the server's. Both are what the browser makes of the page's
    /// address, and a name of an attacker's may lead to any server, so that the host has to be an address, `localhost`, or
    /// listed.
    pub(crate) fn allow(&self, origin: &str, host: &str) -> bool {
        if self.listed.iter().any(|listed| listed == origin) {
            return true;
        }
        if origin == "null" {
            return false;
        }
        self.any || self.is_same_host(origin, host)
    }

    fn is_same_host(&self, origin: &str, host: &str) -> bool {
        let (place, default) = match origin.split_once("://") {
            Some(("https", place)) => (place, HTTPS),
            // Under TLS, a page that came without may be anybody's.
            Some(("http", place)) if !self.encrypted => (place, HTTP),
            _ => return false,
        };
        let (Some((name, port)), Some((asked, asked_port))) = (split(place), split(host)) else { return false };
        // A browser leaves the port of its own scheme out, also where a proxy in front of the server has the TLS.
        name.eq_ignore_ascii_case(asked)
            && port.unwrap_or(default) == asked_port.unwrap_or(default)
            && self.is_known(name)
    }

    fn is_known(&self, name: &str) -> bool {
        let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        address.parse::<IpAddr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || self.hosts.iter().any(|known| known.eq_ignore_ascii_case(name))
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

/// Whether `text` is an origin as browsers write it (RFC 6454, 6.2): `null`, or a scheme, a host, and a port unless it is the
/// scheme's own.
pub(crate) fn is_origin(text: &str) -> bool {
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|first: char| first.is_ascii_lowercase())
            && scheme.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c))
    };
    let is_place =
        |place: &str| split(place).is_some() && place.chars().all(|c| c.is_ascii_graphic() && !"/?#@\\".contains(c));
    text == "null" || text.split_once("://").is_some_and(|(scheme, place)| is_scheme(scheme) && is_place(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(listed: &[&str], hosts: &[&str]) -> Origins {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        Origins { listed: owned(listed), hosts: owned(hosts), ..Origins::default() }
    }

    #[test]
    fn pages_of_the_same_host_may_if_it_is_no_strange_name() {
        let origins = origins(&[], &["chat.example"]);
        for (origin, host, may) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080", true),
            ("http://127.0.0.1:8080", "127.0.0.1:8081", false),
            ("http://127.0.0.1", "127.0.0.1", true),
            ("http://127.0.0.1", "127.0.0.1:80", true),
            ("https://127.0.0.1", "127.0.0.1:443", true),
            ("https://127.0.0.1", "127.0.0.1", true),
            ("https://127.0.0.1", "127.0.0.1:80", false),
            ("http://[::1]:1", "[::1]:1", true),
            ("http://[::1]", "[::1]", true),
            ("http://localhost:1", "localhost:1", true),
            ("http://LOCALHOST:1", "localhost:1", true),
            ("http://chat.example:1", "Chat.example:1", true),
            // Rebound: the name agrees with itself.
            ("http://evil.example:1", "evil.example:1", false),
            ("http://evil.example", "chat.example", false),
            ("http://notchat.example", "notchat.example", false),
            ("http://localhost.evil.example", "localhost.evil.example", false),
            ("file://", "127.0.0.1", false),
            ("ftp://127.0.0.1", "127.0.0.1", false),
            ("null", "null", false),
            ("", "", false),
            ("http://", "", false),
            ("http://127.0.0.1:x", "127.0.0.1:x", false),
        ] {
            assert_eq!(origins.allow(origin, host), may, "{origin} {host}");
        }
    }

    #[test]
    fn under_tls_only_pages_under_tls_may() {
        let origins = Origins { encrypted: true, ..Origins::default() };
        assert!(origins.allow("https://127.0.0.1", "127.0.0.1"));
        assert!(origins.allow("https://127.0.0.1:8443", "127.0.0.1:8443"));
        assert!(!origins.allow("http://127.0.0.1", "127.0.0.1"));
        assert!(!origins.allow("http://127.0.0.1:8443", "127.0.0.1:8443"));
    }

    #[test]
    fn listed_ones_may_and_exactly_those() {
        let origins = origins(&["https://a.example", "null"], &[]);
        assert!(origins.allow("https://a.example", "b.example"));
        assert!(origins.allow("null", "b.example"));
        for other in ["http://a.example", "https://a.example:1", "https://a.example.evil", "https://xa.example"] {
            assert!(!origins.allow(other, "b.example"), "{other}");
        }
        let any = Origins { any: true, ..Origins::default() };
        assert!(any.allow("https://whoever.example", "b.example") && !any.allow("null", "b.example"));
    }

    #[test]
    fn origins_are_known_by_their_form() {
        for (text, is) in [
            ("null", true),
            ("https://a.example", true),
            ("http://[::1]:8080", true),
            ("app+x://a", true),
            ("https://a.example/", false),
            ("a.example", false),
            ("HTTPS://a", false),
            ("https://", false),
            ("https://a b", false),
            ("https://u@a", false),
        ] {
            assert_eq!(is_origin(text), is, "{text}");
        }
    }
}
