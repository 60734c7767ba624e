//! Bounds and deadlines.

use std::time::Duration;

use bytes::Bytes;

mod amplification;
mod connection_permits;
mod rate_limiter;
mod setters;
mod source_quota;

pub(crate) use amplification::{AmplificationBound, can_flood, earned};
pub(crate) use connection_permits::{ConnectionPermit, ConnectionPermits, Refusal};
pub(crate) use rate_limiter::RateLimiter;
pub(crate) use source_quota::{Source, SourcePermit, SourceQuota};

/// Every bound and deadline of a server. Deadlines are switched off by `None`.
///
/// Each field has a setter of its name, which chains:
///
/// ```
/// use std::time::Duration;
/// use swapwire_server::{Limits, Server};
///
/// let limits = Limits::default().max_message(64 << 10).idle_timeout(Duration::from_secs(60)).write_timeout(None);
/// assert_eq!((limits.max_message, limits.write_timeout), (65_536, None));
/// let builder = Server::builder().limits(limits);
/// ```
///
/// The memory that they allow is computed by [`session_memory`](Self::session_memory) and
/// [`socket_memory`](Self::socket_memory). With [workers](crate::ServerBuilder::workers), what is said of a socket is for
/// each member of its group.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Open connections over all listeners and all workers; `when_full` decides about more. Default: 0.8 × the soft
    /// limit on descriptors, at least 16.
    pub max_connections: usize,
    /// What becomes of connections for which there is no room. Default: they wait.
    pub when_full: WhenFull,
    /// Open connections of one source, over all listeners and all workers: an IPv4 address, or an IPv6 /64. More are
    /// refused. Wires without IP addresses have no sources. Default: none, as many may share an address.
    pub max_per_source: Option<usize>,
    /// Connections whose handshake is not done, over all listeners and all workers; `when_full` decides about more.
    /// Default: 2,048.
    pub max_handshakes: usize,
    /// The largest message, in bytes. Default: 1 MiB.
    pub max_message: usize,
    /// The most that one call of a message handler may reply, in bytes. Default: 1 MiB.
    pub max_reply: usize,
    /// Bytes queued for a peer before the sender waits. Default: 256 KiB.
    pub out_queue: usize,
    /// For a whole frame, from its first byte. Default: 30 s.
    pub frame_timeout: Option<Duration>,
    /// Without any progress in writing what is queued. Default: 30 s.
    pub write_timeout: Option<Duration>,
    /// Without a byte in either direction. A message handler's call that takes long is not idle; a session handler is, if
    /// neither it nor its peer sends anything. Default: 5 min.
    pub idle_timeout: Option<Duration>,
    /// For a handshake before a session. Default: 10 s.
    pub handshake_timeout: Option<Duration>,
    /// For a drain as a whole; what is not done then is cut. Default: 30 s.
    pub drain_timeout: Duration,
    /// For the first message of a connection that was still waiting when the drain began, and for the rest of a frame that
    /// had begun. Of message handlers: the session of a session handler learns of the drain some 50 ms after it begins (16
    /// ms later for every 1,024 open connections), and a frame that had begun has its own deadline. Default: 1 s.
    pub drain_grace: Duration,
    /// Sessions on one datagram socket, for session handlers. At most `max_per_source` are of one source. Default: 65,536.
    pub max_peers: usize,
    /// The sessions, among them, whose peer may be forged, because it has sent nothing since it was first answered and is
    /// not [trusted](swapwire_core::Session::trust_peer); when there are more, the oldest is ended. Wires whose senders
    /// cannot be forged have none. Default: 4,096.
    pub max_unvalidated_peers: usize,
    /// Messages waiting for one such session; more are dropped and counted. Default: 64.
    pub peer_queue: usize,
    /// Bytes waiting for all such sessions of one socket, of which one session has at most a sixteenth; each message counts
    /// 64 more. What is above is dropped and counted. Default: 64 MiB.
    pub peer_bytes: usize,
    /// Datagrams that each source may send in a second to one socket with an IP address; more are dropped and counted. A
    /// source is an IPv4 /24 or an IPv6 /64: forged senders are aimed at a network. Default: none.
    pub source_rate: Option<u32>,
    /// Bytes that all connections together, over all listeners and all workers, keep in their buffers while they wait: replies
    /// that peers have not taken, and messages that are not whole. What one keeps up to 8 KiB does not count, and
    /// above that everything does. Beyond the budget the largest end, by powers of two, and among equals those that have
    /// kept so much for longest, until the others are within it; what those keep until they are gone is at most an eighth
    /// more. At least 1 MiB. Datagram sockets have `peer_bytes`. Default: none.
    pub memory_budget: Option<usize>,
    /// Calls of a message handler that wait, on one datagram socket; when they are that many, receiving stops.
    /// Default: 1,024.
    pub max_waiting: usize,
}

/// What becomes of a connection when the server is full.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// It waits in the system's queue until a connection closes; when the queue is full too, the system refuses
    /// connections.
    #[default]
    Wait,
    /// It is accepted and closed at once, after these bytes as one message, with the framing of the endpoint; none if they
    /// are empty. Where the framing is lines, a line end behind them is taken off first; what a framing cannot carry is an
    /// error when the server is bound. The message may be lost: the server waits at most 10 ms for it to be sent, and a
    /// peer that has already said something may find its connection reset.
    Refuse(Bytes),
}

impl WhenFull {
    /// Refuses with this message: [`WhenFull::Refuse`].
    pub fn refuse(message: impl Into<Bytes>) -> Self {
        Self::Refuse(message.into())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: (soft_descriptor_limit() / 5 * 4).max(16),
            when_full: WhenFull::Wait,
            max_per_source: None,
            max_handshakes: 2048,
            max_message: 1 << 20,
            max_reply: 1 << 20,
            out_queue: 256 << 10,
            frame_timeout: Some(Duration::from_secs(30)),
            write_timeout: Some(Duration::from_secs(30)),
            idle_timeout: Some(Duration::from_secs(300)),
            handshake_timeout: Some(Duration::from_secs(10)),
            drain_timeout: Duration::from_secs(30),
            drain_grace: Duration::from_secs(1),
            max_peers: 65_536,
            max_unvalidated_peers: 4096,
            peer_queue: 64,
            peer_bytes: 64 << 20,
            source_rate: None,
            memory_budget: None,
            max_waiting: 1024,
        }
    }
}

/// No buffer is larger.
const LARGEST: usize = (isize::MAX / 8) as usize;
/// The largest datagram, as it is counted, and no less than one.
const LEAST_PEER_BYTES: usize = 128 << 10;
const LEAST_BUDGET: usize = 1 << 20;
const LONGEST_GRACE: Duration = Duration::from_secs(24 * 60 * 60);

impl Limits {
    /// The limits that contradict themselves, each with what would be right; empty if none does.
    pub(crate) fn problems(&self) -> Vec<(&'static str, String)> {
        let zero = |name: &'static str, value: usize| (value == 0).then(|| (name, "must be at least 1".to_owned()));
        let instant = |name: &'static str, value: Option<Duration>| {
            (value == Some(Duration::ZERO)).then(|| (name, "must be longer than 0; none switches it off".to_owned()))
        };
        let permits = |name: &'static str, value: usize| {
            (value > tokio::sync::Semaphore::MAX_PERMITS).then(|| (name, "is too large".to_owned()))
        };
        let bytes = |name: &'static str, value: usize| {
            (value > LARGEST).then(|| (name, format!("must be at most {LARGEST} bytes")))
        };
        [
            zero("max_connections", self.max_connections),
            zero("max_per_source", self.max_per_source.unwrap_or(1)),
            zero("max_handshakes", self.max_handshakes),
            zero("max_message", self.max_message),
            zero("max_reply", self.max_reply),
            zero("out_queue", self.out_queue),
            zero("max_peers", self.max_peers),
            zero("max_unvalidated_peers", self.max_unvalidated_peers),
            zero("peer_queue", self.peer_queue),
            zero("source_rate", self.source_rate.map_or(1, |rate| rate as usize)),
            zero("max_waiting", self.max_waiting),
            instant("frame_timeout", self.frame_timeout),
            instant("write_timeout", self.write_timeout),
            instant("idle_timeout", self.idle_timeout),
            instant("handshake_timeout", self.handshake_timeout),
            permits("max_connections", self.max_connections),
            permits("max_handshakes", self.max_handshakes),
            permits("peer_queue", self.peer_queue),
            bytes("max_message", self.max_message),
            bytes("max_reply", self.max_reply),
            bytes("out_queue", self.out_queue),
            (self.peer_bytes < LEAST_PEER_BYTES).then(|| {
                ("peer_bytes", format!("must be at least {LEAST_PEER_BYTES}, or large datagrams find no room"))
            }),
            (self.memory_budget.is_some_and(|budget| budget < LEAST_BUDGET))
                .then(|| ("memory_budget", format!("must be at least {LEAST_BUDGET} bytes; none switches it off"))),
            (self.drain_grace > LONGEST_GRACE).then(|| ("drain_grace", format!("must be at most {LONGEST_GRACE:?}"))),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

#[cfg(unix)]
fn soft_descriptor_limit() -> usize {
    use nix::sys::resource::{Resource, getrlimit};
    getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| usize::try_from(soft).unwrap_or(1 << 20).min(1 << 20))
}

#[cfg(not(unix))]
fn soft_descriptor_limit() -> usize {
    8192
}
