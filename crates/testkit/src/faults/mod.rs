//! Any transport with faults that a seed decides.

mod event;
mod listener;
mod messages;
mod queue;
mod socket;
mod stream;
mod transport;
mod turn;
mod wire;

use std::ops::Range;
use std::time::Duration;

pub use event::{FaultEvent, FaultKind};
pub use transport::{FaultSwitch, Faulty};

/// What may go wrong on the wires of a [`Faulty`] transport, and how often. Chances are from 0 (never) to 1.
///
/// The default is nothing. A connected wire is delayed, stalled, cut and, if it has no boundaries, sliced; only datagrams
/// are lost, doubled or overtaken.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Faults {
    /// A read or write of a byte stream moves from 1 to so many bytes; 0 leaves it whole.
    pub slice: usize,
    /// The chance that a read, a write or a handshake is not ready at first.
    pub stall: f64,
    /// For how long it is not ready then.
    pub stall_for: Range<Duration>,
    /// How long what arrives is on its way. What is connected arrives in order all the same.
    pub latency: Range<Duration>,
    /// The chance, at each read or write of a connected wire and at each handshake, that the connection is reset.
    pub reset: f64,
    /// The chance, at each read of a connected wire, that its input ends before the peer has ended it.
    pub early_end: f64,
    /// The chance that a datagram is lost, each way.
    pub loss: f64,
    /// The chance that a datagram arrives twice, each way.
    pub duplication: f64,
    /// Whether a datagram with less latency overtakes those before it.
    pub reordering: bool,
    /// The chance that an accept fails, half of the time as if descriptors had run out. Whoever connects is not lost.
    pub accept_failure: f64,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            slice: 0,
            stall: 0.0,
            stall_for: Duration::ZERO..Duration::ZERO,
            latency: Duration::ZERO..Duration::ZERO,
            reset: 0.0,
            early_end: 0.0,
            loss: 0.0,
            duplication: 0.0,
            reordering: false,
            accept_failure: 0.0,
        }
    }
}

impl Faults {
    /// A wire on which all arrives, in as many and as late pieces as the rules allow: what a transport or a server must bear
    /// without anybody noticing.
    #[must_use]
    pub fn rough() -> Self {
        let stall_for = Duration::ZERO..Duration::from_millis(2);
        Self { slice: 7, stall: 0.1, latency: stall_for.clone(), stall_for, ..Self::default() }
    }
}
