//! Endpoints: what parses has one form, which parses to the same; what does not says so in one line.

use std::fmt::Display;

use swapwire_core::{Addr, Endpoint, Place};

/// A text, and places that consist of it.
pub fn endpoint(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match text.parse::<Endpoint>() {
        Ok(endpoint) => check(&endpoint),
        Err(error) => is_one_line(&error),
    }
    for place in places(data, &text) {
        match Endpoint::new("any", place.clone()) {
            Ok(endpoint) => {
                assert_eq!(endpoint.place(), &place);
                survives(&endpoint);
            }
            Err(error) => is_one_line(&error),
        }
    }
}

fn check(endpoint: &Endpoint) {
    survives(endpoint);
    let plain = endpoint.clone().without_options();
    assert_eq!(Endpoint::new(endpoint.scheme(), endpoint.place().clone()), Ok(plain.clone()));
    let again = |plain: Endpoint, (key, value): &(String, String)| plain.with_option(key, value);
    assert_eq!(&endpoint.options().iter().fold(plain.clone(), again), endpoint);
    for (key, value) in endpoint.options() {
        assert_eq!(endpoint.option(key), Some(value.as_str()));
    }
    if let Some(addr) = Addr::of_endpoint(endpoint) {
        let dialled = addr.to_endpoint(endpoint.scheme()).unwrap_or_else(|error| panic!("{addr}: {error}"));
        assert_eq!(Addr::of_endpoint(&dialled), Some(addr), "{dialled}");
        survives(&dialled);
    }
}

/// Written down and read again, it is the same.
fn survives(endpoint: &Endpoint) {
    let form = endpoint.to_string();
    is_one_line(&form);
    assert_eq!(form.parse().as_ref(), Ok(endpoint), "{form}");
    #[cfg(feature = "serde")]
    {
        let json = serde_json::to_string(endpoint).expect("a text");
        assert_eq!(serde_json::from_str::<Endpoint>(&json).ok().as_ref(), Some(endpoint), "{json}");
    }
}

fn places(data: &[u8], text: &str) -> Vec<Place> {
    let host = |port| Place::Host { host: text.to_owned(), port };
    let mut places = vec![Place::Name(text.to_owned()), Place::Abstract(data.to_vec()), host(0), host(65_535)];
    #[cfg(unix)]
    places.push(Place::Path(std::path::PathBuf::from(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(
        data,
    ))));
    places
}

pub(crate) fn is_one_line(text: &impl Display) {
    let text = text.to_string();
    assert!(!text.contains(char::is_control), "{text:?}");
}
