//! Which brokers there are.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use swapwire_core::{Endpoint, OptionReader, Place, UpgradeError};

/// The most brokers that an endpoint names, and the most that brokers name beside them.
const MOST: usize = 64;

/// The brokers of one endpoint: those that it names, in that order, and behind them those that a broker named last.
#[derive(Debug)]
pub(crate) struct Servers {
    named: Vec<Place>,
    learnt: Option<Mutex<Vec<Place>>>,
    /// The name that the certificate of a learnt broker has, whose place is a mere address.
    host: Option<String>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) place: Place,
    /// Whose name its certificate has, if not that of its place.
    pub(crate) host: Option<String>,
}

impl Servers {
    /// Those of an endpoint and its options.
    ///
    /// # Errors
    /// One of them is no place, or there are too many.
    pub(crate) fn of(endpoint: &Endpoint, options: OptionReader<'_>) -> Result<Self, UpgradeError> {
        let mut named = vec![endpoint.place().clone()];
        for word in options.get::<String>("servers")?.iter().flat_map(|words| words.split(',')) {
            if word.contains('@') {
                let text =
                    "option servers: no user or password there, which logs would show; name a file: user_file=FILE";
                return Err(UpgradeError::Invalid(text.to_owned()));
            }
            let place = parse(word, endpoint.place()).map_err(|reason| {
                UpgradeError::Invalid(format!("option servers={word}: {reason}; write host:port, several with commas"))
            })?;
            if !named.contains(&place) {
                named.push(place);
            }
        }
        if named.len() > MOST {
            let text = format!("option servers: {} brokers; the limit is {MOST}", named.len());
            return Err(UpgradeError::Invalid(text));
        }
        let learns = options.get::<bool>("discover")?.unwrap_or(true);
        let host = match endpoint.place() {
            Place::Host { host, .. } if host.parse::<IpAddr>().is_err() => Some(host.clone()),
            _ => None,
        };
        Ok(Self { named, learnt: learns.then(Mutex::default), host })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.named.len() + self.learnt().len()
    }

    /// The one with that number; they wrap around.
    pub(crate) fn get(&self, number: usize) -> Server {
        let learnt = self.learnt();
        let at = number % (self.named.len() + learnt.len());
        match self.named.get(at) {
            Some(place) => Server { place: place.clone(), host: None },
            None => {
                let place = learnt[at - self.named.len()].clone();
                let is_address = matches!(&place, Place::Host { host, .. } if host.parse::<IpAddr>().is_ok());
                Server { place, host: self.host.clone().filter(|_| is_address) }
            }
        }
    }

    /// Takes what a broker says of its cluster in place of what one said before.
    pub(crate) fn learn(&self, urls: &[String]) {
        let Some(learnt) = self.learnt.as_ref().filter(|_| !urls.is_empty()) else { return };
        let mut places: Vec<Place> = Vec::new();
        for place in urls.iter().filter_map(|url| parse(url, &self.named[0]).ok()) {
            if places.len() < MOST && !self.named.contains(&place) && !places.contains(&place) {
                places.push(place);
            }
        }
        *learnt.lock().unwrap_or_else(PoisonError::into_inner) = places;
    }

    fn learnt(&self) -> Vec<Place> {
        self.learnt.as_ref().map_or(Vec::new(), |learnt| learnt.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// A place of the same kind as `like`.
fn parse(word: &str, like: &Place) -> Result<Place, String> {
    let word = word.trim();
    let slashes = if matches!(like, Place::Host { .. }) { "//" } else { "" };
    let word = word.strip_prefix("nats:").map_or(word, |rest| rest.trim_start_matches("//"));
    let endpoint: Endpoint = format!("nats:{slashes}{word}")
        .parse()
        .map_err(|error: swapwire_core::EndpointError| error.reason().to_owned())?;
    if !endpoint.options().is_empty() {
        return Err("options hold for all brokers, and the subject as well".to_owned());
    }
    Ok(endpoint.place().clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Servers, String> {
        let endpoint: Endpoint = text.parse().unwrap();
        Servers::of(&endpoint, endpoint.read_options()).map_err(|error| error.to_string())
    }

    fn shown(servers: &Servers) -> Vec<String> {
        let all = (0..servers.len()).map(|number| servers.get(number));
        all.map(|server| format!("{}{}", server.place, server.host.map_or(String::new(), |host| format!(" as {host}"))))
            .collect()
    }

    fn learn(servers: &Servers, urls: &[&str]) -> Vec<String> {
        servers.learn(&urls.iter().map(|url| (*url).to_owned()).collect::<Vec<_>>());
        shown(servers)
    }

    #[test]
    fn further_brokers_stand_behind_the_first_and_wrap_around() {
        let servers = of("nats://a:1/x?servers=b:2,nats://c:3,[::1]:4,a:1").unwrap();
        assert_eq!(shown(&servers), ["//a:1", "//b:2", "//c:3", "//[::1]:4"]);
        assert_eq!(servers.get(5), servers.get(1));
        assert_eq!(shown(&of("nats:one?path=x&servers=two").unwrap()), ["one", "two"]);
    }

    #[test]
    fn what_a_broker_names_replaces_what_one_named_before() {
        let servers = of("nats://a:1/x").unwrap();
        assert_eq!(
            learn(&servers, &["10.0.0.1:2", "a:1", "b:3", "no place", "10.0.0.1:2"]),
            ["//a:1", "//10.0.0.1:2 as a", "//b:3"]
        );
        assert_eq!(learn(&servers, &["c:4"]), ["//a:1", "//c:4"]);
        assert_eq!(learn(&servers, &[]), ["//a:1", "//c:4"]);
        let many: Vec<_> = (1..200).map(|port| format!("d:{port}")).collect();
        servers.learn(&many);
        assert_eq!(servers.len(), 1 + MOST);
        assert_eq!(learn(&of("nats://a:1/x?discover=false").unwrap(), &["b:3"]), ["//a:1"]);
        assert_eq!(learn(&of("nats://10.0.0.9:1/x").unwrap(), &["10.0.0.1:2"]), ["//10.0.0.9:1", "//10.0.0.1:2"]);
    }

    #[test]
    fn what_is_no_broker_is_told_with_what_would_be_right() {
        for (text, part) in [
            ("nats://a:1/x?servers=", "write host:port"),
            ("nats://a:1/x?servers=b:2,,c:3", "write host:port"),
            ("nats://a:1/x?servers=b:2/y", "the subject as well"),
            ("nats://a:1/x?servers=b:70000", "too large"),
            ("nats://a:1/x?servers=u:SECRET@b:2", "user_file=FILE"),
            ("nats://a:1/x?discover=maybe", "true or false"),
        ] {
            let error = of(text).unwrap_err();
            assert!(error.contains(part) && !error.contains("SECRET"), "{text}: {error}");
        }
        let many: Vec<_> = (1..=MOST).map(|port| format!("b:{port}")).collect();
        assert!(of(&format!("nats://a:1/x?servers={}", many.join(","))).unwrap_err().contains("the limit is 64"));
    }
}
