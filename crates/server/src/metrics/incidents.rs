//! Faults of peers in the log: for each endpoint at most one line of each kind a second.

use std::fmt::Display;
use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use swapwire_core::{Addr, Endpoint, Printable};

use super::log_limiter::LogLimiter;
use super::numbers::{SessionEnd, Stats};

/// An error of a handler or a transport may repeat what a peer said: so much of it is shown, in bytes.
const LONGEST: usize = 256;

macro_rules! incidents {
    ($($(#[$doc:meta])* $name:ident: $what:literal, $cure:literal;)*) => {
        /// A kind of incident.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Incident {
            $($(#[$doc])* $name,)*
        }

        impl Incident {
            const COUNT: usize = [$(Self::$name,)*].len();

            /// What happened, and what can be done about it.
            const fn words(self) -> (&'static str, &'static str) {
                match self {
                    $(Self::$name => ($what, $cure),)*
                }
            }
        }
    };
}

incidents! {
    /// A reply above the bound of peers that may be forged.
    Withheld: "reply withheld", "a peer whose address may be forged is sent at most 3 times what it sent, or 64 bytes for each \
        message: reply less, listen on a loopback address, trust the peer (Session::trust_peer), or declare that the handler \
        amplifies";
    TooLong: "message dropped", "max_message is the limit";
    Truncated: "datagram dropped: it is longer than the wire carries", "send less at once";
    Descriptors: "descriptors closed that came with a datagram", "the server never asks for any; the bytes are received";
    Unanswerable: "datagram dropped: its source is a socket of this server, a group, or port 0",
        "its sender is forged or misconfigured";
    Nameless: "datagram dropped: its sender has no address, which a session needs", "the client has to bind its socket";
    QueueFull: "datagram dropped: its session has not taken the ones before", "peer_queue and peer_bytes are the limits";
    TableFull: "datagram dropped: there is no room for its session", "max_peers and max_per_source are the limits";
    Draining: "datagram dropped: the server drains", "ask another server";
    Throttled: "datagrams dropped: their source exceeds its rate", "source_rate is the limit";
    Overflow: "datagrams dropped by the system: the receive buffer was full",
        "recv_buffer is its size; at a wildcard address, broadcasts that another worker takes count too";
    Evicted: "session ended to make room for another", "max_unvalidated_peers is the limit";
    PeerFull: "reply dropped: its peer does not take replies", "the peer has to read faster";
    NotSent: "reply not sent", "the peer has closed, or the network refuses";
    NoAddress: "reply dropped: the sender has no address to answer to", "the client has to bind its socket";
    Noise: "receive", "a peer or the network caused it; the socket continues";
    /// In a drain, of a socket that was to tell.
    Unknown: "drained without word of what was under way", "requests or replies of the last moment may be lost";
    Stalled: "receiving stops: too many calls wait", "max_waiting is the limit";
    Lost: "replies lost", "the connection broke that they were sent on";
    BadFrame: "session ended: bad frame", "the peer uses another framing, or max_message is too small";
    HandlerError: "handler error", "nothing of this call is sent";
    Panic: "handler panicked", "nothing of this call is sent";
    Handshake: "handshake failed", "the connection is closed";
    /// Of a peer that never began, as one that only looks whether the port is open.
    Silent: "handshake failed", "the connection is closed";
    /// Behind a handshake, which told the source.
    Refused: "connection refused: its source has as many connections as it may", "max_per_source is the limit";
    HandshakeEvicted: "handshake ended to make room for another", "max_handshakes is the limit, and half of max_connections";
    FrameTimeout: "session ended: a frame took too long to arrive", "frame_timeout is the limit";
    WriteTimeout: "session ended: its peer did not read", "write_timeout is the limit";
}

/// When each kind was last logged for one endpoint, by whichever of its workers.
#[derive(Debug, Default)]
pub(crate) struct Logged {
    kinds: [LogLimiter; Incident::COUNT],
    /// The peer of the session that panicked last, until that is logged.
    panicked: Mutex<Option<Addr>>,
}

/// Counts and logs what goes wrong at one endpoint of one worker.
#[derive(Clone, Debug)]
pub(crate) struct IncidentLog {
    pub(crate) endpoint: Endpoint,
    pub(crate) stats: Arc<Stats>,
    logged: Arc<Logged>,
}

impl Incident {
    /// A handshake that failed so.
    pub(crate) fn of_handshake(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::ConnectionAborted { Self::Silent } else { Self::Handshake }
    }

    /// What counts it, beside the sum of its kind; `None` for what is counted when a session ends.
    fn counter(self, stats: &Stats) -> Option<&AtomicU64> {
        Some(match self {
            Self::Withheld => &stats.withheld_replies,
            Self::TooLong => &stats.dropped_too_large,
            Self::Unanswerable => &stats.dropped_unanswerable,
            Self::Nameless => &stats.dropped_nameless,
            Self::QueueFull => &stats.dropped_queue,
            Self::TableFull => &stats.dropped_table,
            Self::Draining => &stats.dropped_drain,
            Self::Truncated => &stats.truncated,
            Self::Descriptors => &stats.with_descriptors,
            Self::Throttled => &stats.throttled,
            Self::Overflow => &stats.overflows,
            Self::Evicted => &stats.evicted,
            Self::Refused => &stats.refused_source,
            Self::HandshakeEvicted => &stats.handshakes_evicted,
            Self::PeerFull => &stats.dropped_replies,
            Self::Lost => &stats.lost_replies,
            Self::NotSent | Self::NoAddress => &stats.failed_replies,
            Self::Noise | Self::Unknown => &stats.peer_errors,
            Self::Stalled => &stats.receive_stalls,
            Self::BadFrame
            | Self::HandlerError
            | Self::Panic
            | Self::Handshake
            | Self::Silent
            | Self::FrameTimeout
            | Self::WriteTimeout => return None,
        })
    }

    /// The sum that it is a part of, if there is one.
    fn sum(self, stats: &Stats) -> Option<&AtomicU64> {
        match self {
            Self::TooLong
            | Self::Unanswerable
            | Self::Nameless
            | Self::QueueFull
            | Self::TableFull
            | Self::Draining => Some(&stats.dropped_requests),
            Self::Refused => Some(&stats.refused),
            _ => None,
        }
    }
}

impl IncidentLog {
    pub(crate) fn new(endpoint: Endpoint, stats: Arc<Stats>, logged: Arc<Logged>) -> Self {
        Self { endpoint, stats, logged }
    }

    /// Counts `count` of a kind and tells of them, unless there are none.
    #[cold]
    pub(crate) fn note(&self, incident: Incident, count: u64, peer: Option<&Addr>, detail: impl Display) {
        if count == 0 {
            return;
        }
        for counter in incident.counter(&self.stats).into_iter().chain(incident.sum(&self.stats)) {
            Stats::add(counter, count);
        }
        self.tell(incident, peer, detail);
    }

    /// Tells of one that was counted, or will be.
    #[cold]
    pub(crate) fn tell(&self, incident: Incident, peer: Option<&Addr>, detail: impl Display) {
        let Some(suppressed) = self.logged.kinds[incident as usize].due() else { return };
        let (what, cure) = incident.words();
        // Written here, as it may panic, which leaves half a line where a subscriber writes it.
        let detail = Printable::new(detail).at_most(LONGEST).to_string();
        let detail = if detail.is_empty() { detail } else { format!(": {detail}") };
        let (peer, suppressed) = (peer.map(tracing::field::display), (suppressed > 0).then_some(suppressed));
        match incident {
            Incident::Silent => tracing::debug!(endpoint = %self.endpoint, peer, suppressed, "{what}{detail}; {cure}"),
            _ => tracing::warn!(endpoint = %self.endpoint, peer, suppressed, "{what}{detail}; {cure}"),
        }
    }

    /// Notes whose session panics, for the log line that follows.
    pub(crate) fn set_panicked(&self, peer: Addr) {
        *self.logged.panicked.lock().unwrap_or_else(PoisonError::into_inner) = Some(peer);
    }

    /// Tells of a panic that was caught around a session, which so ends.
    #[cold]
    pub(crate) fn panicked(&self) -> SessionEnd {
        let peer = self.logged.panicked.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.tell(Incident::Panic, peer.as_ref(), "");
        SessionEnd::Panicked
    }
}
