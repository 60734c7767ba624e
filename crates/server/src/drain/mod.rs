//! How a server stops.
//!
//! The phases, and the constants that bound each of them:
//!
//! 1. **Begin** ([`StopSignals`]): listeners refuse arrivals, idle sessions end.
//! 2. **Last arrivals**: what already waits in the system is still taken, until [`QUIET`] passes without any, at most
//!    [`MOST_LATE_ARRIVALS`] connections or [`MOST_LATE_BATCHES`] batches of datagrams. A datagram socket that [knows its last
//!    one](swapwire_core::Arrivals::Fenced) has neither the pause nor the bound: it is received from until then, or until phase 5.
//! 3. **Sessions are notified**, [`QUIET`] after the begin, so that they first receive what waited. A session that waits
//!    for its peer has the time that [`patience`] returns; one whose peer never pauses has
//!    [`Limits::drain_grace`](crate::Limits::drain_grace).
//! 4. **Closing**: a connection lingers for at most [`LINGER`], and [`LINGER_BYTES`] of input. A datagram socket is closed when its
//!    replies [have arrived](swapwire_core::DatagramSocket::poll_flush), as far as it knows.
//! 5. **Cut**, at [`Limits::drain_timeout`](crate::Limits::drain_timeout): sessions have [`CUT_TIME`] to be dropped, loops
//!    [`REPORT_TIME`] to say what was cut.
//!
//! A socket that passes to another loop (`ServerHandle::apply`) refuses no arrivals and is not flushed: it goes on there.

use std::time::Duration;

use crate::limits::Limits;
use crate::time::{Tick, TimerWheel};

mod busy_count;
mod group;
mod group_socket;
mod handover;
mod quiet;
mod signal;
mod socket_control;

#[cfg(all(test, swapwire_loom))]
pub(crate) use busy_count::BusyCount;
pub(crate) use group::Member;
pub(crate) use group_socket::GroupSocket;
pub use handover::Succession;
pub(crate) use handover::{Handed, HandedSocket, Handover, Successor};
pub(crate) use quiet::QuietPeriod;
pub(crate) use signal::{Drain, DrainWatch, StopSignals};
pub(crate) use socket_control::{SocketControl, SocketControlSlot};

/// How long a session that waits for its peer goes on in a drain, in ticks. A peer that was answered and is quiet for as long
/// as the check of a deadline takes has sent nothing more; one that has sent no message, or only a part, has the grace.
pub(crate) fn patience(answered: bool, wheel: &TimerWheel) -> Tick {
    if answered { 0 } else { wheel.grace }
}

/// How long to linger with a peer that was `quiet` for so long: one that has been quiet has its replies. A drain that is short
/// leaves less.
pub(crate) fn linger_time(drain: &Drain, limits: &Limits, quiet: Duration) -> Duration {
    let longest = if drain.has_begun() { LINGER.min(limits.drain_timeout / 2) } else { LINGER };
    longest.saturating_sub(quiet)
}

/// When a drain finds nothing to do, what the reactor has not yet reported may still be waiting in the system: it gets this
/// long to report it.
pub(crate) const QUIET: Duration = Duration::from_millis(10);
/// During a drain at most so many waiting connections are accepted from one listener.
pub(crate) const MOST_LATE_ARRIVALS: usize = 4096;
/// During a drain at most so many batches of datagrams are received from one socket.
pub(crate) const MOST_LATE_BATCHES: usize = 4096;
/// How long closing waits for the peer to end, at the most.
pub(crate) const LINGER: Duration = Duration::from_secs(2);
/// Input that is read and discarded while closing, at the most.
pub(crate) const LINGER_BYTES: usize = 1 << 20;
/// After the sessions were cut they have this long to be dropped.
pub(crate) const CUT_TIME: Duration = Duration::from_millis(100);
/// After the drain deadline the loops have this long to cut what is left and to report it.
pub(crate) const REPORT_TIME: Duration = Duration::from_millis(200);
