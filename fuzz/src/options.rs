//! The options of every transport, without binding anything.

use std::fmt::Debug;
use std::time::Duration;

use swapwire_core::{Endpoint, OptionError, Side};

use super::endpoint::is_one_line;
use super::source::Source;

// As the transports have them; they read them while they bind.
#[path = "../../crates/tcp/src/options.rs"]
#[allow(dead_code, reason = "sockets are not opened here")]
mod tcp;
#[path = "../../crates/udp/src/options.rs"]
#[allow(dead_code, reason = "sockets are not opened here")]
mod udp;
#[path = "../../crates/unix/src/options.rs"]
#[cfg(unix)]
#[allow(dead_code, reason = "sockets are not opened here")]
mod unix;

/// An endpoint's query, for a transport and a side.
pub fn options(data: &[u8]) {
    let mut source = Source::new(data);
    let (which, side) = (source.below(5), if source.flag() { Side::Bind } else { Side::Connect });
    let place = ["tcp://127.0.0.1:1", "udp://127.0.0.1:1", "unix:/x", "unix:@x", "unix-dgram:/x"][which];
    let query = String::from_utf8_lossy(source.rest());
    let Ok(endpoint) = format!("{place}?{query}").parse::<Endpoint>() else { return };
    match which {
        0 => {
            if let Some(options) = read(tcp::Options::read(&endpoint, side)) {
                assert!(options.backlog.backlog() >= 1);
                assert!(options.connect_timeout >= Duration::from_millis(1));
                assert!(options.connect_timeout <= Duration::from_secs(24 * 60 * 60));
            }
        }
        1 => drop(read(udp::Options::read(&endpoint, side))),
        #[cfg(unix)]
        _ => {
            let known = if which == 4 { unix::DATAGRAM_OPTIONS } else { unix::OPTIONS };
            if let Some(options) = read(unix::Options::read(&endpoint, known, side)) {
                assert!(options.access.mode <= 0o777 && options.backlog.backlog() >= 0);
            }
        }
        #[cfg(not(unix))]
        _ => {}
    }
}

fn read<T: Debug>(options: Result<T, OptionError>) -> Option<T> {
    options.inspect_err(is_one_line).ok()
}
