//! Against a real broker of NATS. `scripts/nats` runs them for longer.

#[path = "../../../../../tests/common/broker/mod.rs"]
pub(super) mod real;

mod clients;
mod harness;
mod members;
mod monitor;
mod reconnects;
mod refusals;
mod slow;
mod unfenced;

use std::time::Duration;

use self::real::Broker;
use self::real::asker::{Asker, Load};
use crate::common::{PATIENCE, Serving};

/// A number from the environment, for longer runs, or the one of a short run.
fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}: it is no number")))
}

/// How often something is done to a server that is asked meanwhile.
fn times() -> u64 {
    setting("SWAPWIRE_TIMES", 5)
}

/// The endpoint of a member of the queue group `g` of the subject `upper`.
fn group(broker: &Broker) -> String {
    broker.endpoint("upper") + "?queue=g"
}

/// A process that answers, whose subscription the broker has.
fn member(endpoint: &str) -> Serving {
    Serving::start(1, &["--workers", "1", "--handler", "uppercase-echo", endpoint])
}

/// Asks `upper` whatever becomes of the requests: 2,000 a second in a short run.
fn asking(broker: &Broker, patience: Duration) -> Asker {
    let load = Load::Open { rate: setting("SWAPWIRE_RATE", 2000) };
    Asker::start(&broker.address(), "upper", 64, load, patience).unwrap()
}

/// The same, where every request is answered in the end.
fn asking_for_all(broker: &Broker) -> Asker {
    asking(broker, PATIENCE)
}
