//! Numbers: what a server has done.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use swapwire_core::{Endpoint, Goodbye};

/// Why an endpoint is unhealthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unhealthy {
    /// Its listener has only failed for long.
    NotAccepting,
    /// Its place does not lead to it.
    Unreachable,
}

/// Defines the counters. Each has its help as doc comment, its unit, its words in the report, for one and for several, and
/// `in` which [families](super::families::FAMILIES) of metrics it is, with which label; one that counts the ends of sessions
/// has `=>` the variant of [`SessionEnd`], its label, and its meaning. Everything that lists counters comes from here. The
/// recipe for another one is in `CONTRIBUTING.md`.
macro_rules! counters {
    ($($(#[doc = $help:literal])+ $name:ident: $unit:literal $(, $one:literal, $several:literal)?
        $(in $family:ident $($label:ident)?)* $(=> $End:ident $label_of_end:literal: $why:literal)?;)*) => {
        /// The counters of one listener on one worker, on cache lines of their own, which no other worker writes.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub(crate) struct Stats {
            $(pub(crate) $name: AtomicU64,)*
            /// Whether all that counts runs on one thread.
            pub(super) has_one_writer: AtomicBool,
            /// Loops that serve.
            pub(super) serving: AtomicUsize,
            /// What does not serve newcomers at present, and why: at most two entries for each endpoint of the listener.
            pub(super) unhealthy: Mutex<Vec<(Endpoint, Unhealthy)>>,
        }

        /// What a server has done so far. Counters only rise.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Snapshot {
            $($(#[doc = $help])+ pub $name: u64,)*
        }

        /// Why a session ended.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum SessionEnd {
            $($(#[doc = $why] $End,)?)*
        }

        impl Stats {
            fn add_to(&self, total: &mut Snapshot) {
                let sessions = total.sessions;
                $(total.$name += self.$name.load(Relaxed);)*
                // Behind the ends: of those that end meanwhile the beginning is counted too.
                total.sessions = sessions + self.sessions.load(Relaxed);
            }

            pub(super) fn of(&self, end: SessionEnd) -> &AtomicU64 {
                match end {
                    $($(SessionEnd::$End => &self.$name,)?)*
                }
            }
        }

        impl Snapshot {
            /// Adds what others counted.
            pub(crate) fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }

            /// All counters with their names, units and helps, in the order of the fields: for whatever exports them.
            ///
            /// ```
            /// use swapwire_server::Snapshot;
            ///
            /// for counter in Snapshot::default().iter() {
            ///     println!("{} = {} {}: {}", counter.name, counter.value, counter.unit, counter.help);
            /// }
            /// ```
            pub fn iter(&self) -> impl ExactSizeIterator<Item = Counter> + use<> {
                [$(Counter {
                    name: stringify!($name),
                    unit: $unit,
                    help: const { concat!($($help),+).trim_ascii_start() },
                    value: self.$name,
                    words: [$(($one, $several))?].first().copied(),
                    families: &[
                        $(("sessions_ended_total", $label_of_end),)?
                        $((stringify!($family), concat!($(stringify!($label))?)),)*
                    ],
                },)*].into_iter()
            }

            /// The sum of this one and `other`.
            pub(crate) fn and(&self, other: &Self) -> Self {
                Self { $($name: self.$name + other.$name,)* }
            }

            /// How many sessions ended for this reason.
            pub fn ended(&self, end: SessionEnd) -> u64 {
                match end {
                    $($(SessionEnd::$End => self.$name,)?)*
                }
            }
        }

        impl SessionEnd {
            /// Every reason.
            pub const ALL: &[Self] = &[$($(Self::$End,)?)*];

            /// The variant in snake case: `idle_timeout`.
            pub const fn name(self) -> &'static str {
                match self {
                    $($(Self::$End => $label_of_end,)?)*
                }
            }

            /// Whether what the server accepted was answered as far as the handler wanted, so that a wire with a good-bye says it
            /// ([`Capabilities::says_goodbye`](swapwire_core::Capabilities::says_goodbye)).
            pub(crate) const fn is_orderly(self) -> bool {
                matches!(
                    self,
                    Self::Done | Self::Drained | Self::IdleTimeout | Self::FrameTimeout | Self::BadFrame
                )
            }

            /// What a good-bye in frames says.
            pub(crate) const fn goodbye(self) -> Goodbye<'static> {
                match self {
                    Self::Done => Goodbye::Done,
                    Self::Drained | Self::IdleTimeout => Goodbye::GoingAway,
                    _ => Goodbye::Failed,
                }
            }
        }
    };
}

/// One counter of a [`Snapshot`].
///
/// Its text is what the report of a drain says: the value with its noun, as `3 connections broke`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counter {
    /// The field of [`Snapshot`].
    pub name: &'static str,
    /// What is counted, as a plural: `sessions`.
    pub unit: &'static str,
    /// What the number means: the docs of the field, on one line.
    pub help: &'static str,
    /// The number.
    pub value: u64,
    /// In the report of a drain, for one and for several; none, if the report does not list it.
    words: Option<(&'static str, &'static str)>,
    /// The families of metrics that it is in, each with its label there, which is empty where it is alone.
    pub(super) families: &'static [(&'static str, &'static str)],
}

impl Counter {
    /// Whether the report of a drain lists it.
    pub(crate) fn is_reported(&self) -> bool {
        self.words.is_some()
    }
}

impl fmt::Display for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = match self.words {
            Some((one, _)) if self.value == 1 => one,
            Some((_, several)) => several,
            None => return write!(f, "{} {}: {}", self.unit, self.name, self.value),
        };
        write!(f, "{} {noun}", self.value)
    }
}

counters! {
    /// Sessions begun, on connections and on datagram sockets.
    sessions: "sessions", "session", "sessions" in sessions_total;
    /// Messages received, on all wires.
    messages: "messages", "message", "messages" in messages_received_total;
    /// Messages sent, on all wires: those that a wire with boundaries took, or that were queued for a byte stream.
    messages_sent: "messages" in messages_sent_total;
    /// Bytes received, on all wires: of byte streams with their framing, of others those of the messages.
    received_bytes: "bytes" in received_bytes_total;
    /// Bytes sent, on all wires: of byte streams with their framing, of others those of the messages.
    sent_bytes: "bytes" in sent_bytes_total;
    /// Sessions that ended as they should.
    done: "sessions" => Done "done": "The peer ended, or the handler closed: as it should be.";
    /// Sessions that ended because the server drained.
    drained: "sessions" => Drained "drained": "The server drained and nothing was left to do.";
    /// Sessions ended by the idle deadline.
    idle_timeouts: "sessions", "session was idle for too long", "sessions were idle for too long"
        => IdleTimeout "idle_timeout": "Neither side sent anything for too long.";
    /// Sessions ended by the frame deadline.
    frame_timeouts: "sessions", "frame took too long to arrive", "frames took too long to arrive"
        => FrameTimeout "frame_timeout": "A frame took too long to arrive.";
    /// Sessions ended by the write deadline.
    write_timeouts: "sessions", "peer did not read", "peers did not read"
        => WriteTimeout "write_timeout": "The peer did not read for too long.";
    /// Sessions ended because all connections together kept more than the budget of memory, and these the most of it.
    over_budget: "sessions", "connection was closed for the memory budget", "connections were closed for the memory budget"
        => OverBudget "over_budget": "It kept the most of what all connections together kept above the budget.";
    /// Connections whose handshake was done; of a wire without one, all.
    handshakes_done: "handshakes" in handshakes_total ok;
    /// Sessions that ended before they began: the handshake failed or took too long, or its end told a source that had its share.
    handshakes_failed: "handshakes", "handshake failed", "handshakes failed"
        => Handshake "handshake": "The handshake failed or took too long.";
    /// Handshakes that failed, or were ended because others needed their room: among those that failed.
    handshakes_broken: "handshakes" in handshakes_total failed;
    /// Handshakes that took too long: among those that failed.
    handshakes_timed_out: "handshakes" in handshakes_total timeout;
    /// Handshakes that were ended because others needed their room: among those that failed.
    handshakes_evicted: "handshakes", "handshake made room for another", "handshakes made room for others"
        in handshakes_evicted_total;
    /// Connections that broke.
    broken: "sessions", "connection broke", "connections broke" => Broken "broken": "The connection broke.";
    /// Sessions ended because of bytes that are no frame.
    bad_frames: "sessions", "session had a bad frame", "sessions had bad frames"
        => BadFrame "bad_frame": "The peer sent what is no frame, or one that is too large.";
    /// Sessions that a handler gave up: among the handler errors.
    sessions_given_up: "sessions" => HandlerError "handler_error": "The handler gave up.";
    /// Sessions in which a handler panicked: among the panics.
    sessions_panicked: "sessions" => Panicked "panicked": "The handler panicked.";
    /// Calls or sessions that a handler gave up.
    handler_errors: "errors", "handler error", "handler errors" in handler_errors_total;
    /// Calls or sessions in which a handler panicked.
    panics: "panics", "handler panicked", "handlers panicked" in handler_panics_total;
    /// Sessions cut at the drain deadline.
    cut: "sessions" => Cut "cut": "Cut at the drain deadline.";
    /// Failed accepts.
    accept_errors: "errors", "accept failed", "accepts failed" in accept_errors_total;
    /// Connections refused: the server was full, or their source had its share.
    refused: "connections", "connection was refused", "connections were refused";
    /// Connections refused as the server was full.
    refused_full: "connections" in connections_refused_total full;
    /// Connections refused as their source had its share.
    refused_source: "connections" in connections_refused_total source;
    /// Datagrams that were longer than their wire carries, or than the room for one, dropped; of a train each counts.
    truncated: "datagrams", "datagram was truncated", "datagrams were truncated" in datagrams_dropped_total truncated;
    /// Datagrams that came with descriptors (`unix(7)`, `SCM_RIGHTS`), where the system reports it. The datagrams were
    /// handled; the descriptors were closed.
    with_descriptors: "datagrams", "datagram came with descriptors, which were closed",
        "datagrams came with descriptors, which were closed" in datagrams_with_descriptors_total;
    /// Messages dropped: a session's queue or the table of sessions was full, the message was above the limit, it came
    /// from one of our own addresses, a group, or nobody, or the drain deadline came before its turn.
    dropped_requests: "messages", "message was dropped", "messages were dropped";
    /// Messages dropped as the queue of their session was full.
    dropped_queue: "messages" in requests_dropped_total queue in datagrams_dropped_total queue;
    /// Messages dropped as there was no room for their session.
    dropped_table: "messages" in requests_dropped_total table in datagrams_dropped_total table;
    /// Messages dropped as they were above the limit.
    dropped_too_large: "messages" in requests_dropped_total too_large in datagrams_dropped_total too_large;
    /// Messages dropped as they came from one of our own addresses, a group, or port 0.
    dropped_unanswerable: "messages" in requests_dropped_total unanswerable in datagrams_dropped_total unanswerable;
    /// Messages dropped as their sender has no address, which a session needs.
    dropped_nameless: "messages" in requests_dropped_total nameless in datagrams_dropped_total nameless;
    /// Messages dropped in the drain: they would have begun a session, or the deadline came before their turn.
    dropped_drain: "messages" in requests_dropped_total drain in datagrams_dropped_total drain;
    /// Datagrams dropped because their source had asked enough for the time.
    throttled: "datagrams", "datagram was throttled", "datagrams were throttled" in datagrams_dropped_total throttled;
    /// Datagrams that the system dropped before they were received, where it reports it: a socket's buffer was full. Looked
    /// up when much arrives, and at the end.
    overflows: "datagrams", "datagram was dropped by the system", "datagrams were dropped by the system"
        in datagrams_dropped_total overflow;
    /// Sessions of peers that may be forged, ended to make room for others.
    evicted: "sessions", "session was ended to make room for another", "sessions were ended to make room for others"
        in peers_evicted_total => Evicted "evicted": "Its peer may be forged, and another needed the room.";
    /// Replies dropped because the peer's queue stayed full.
    dropped_replies: "messages", "reply was dropped, as its peer did not take it",
        "replies were dropped, as their peers did not take them" in replies_dropped_total queue;
    /// Replies withheld because the peer may be forged and was not to be sent so much, whatever their handlers made of it.
    withheld_replies: "messages", "reply was withheld", "replies were withheld" in replies_dropped_total unproven;
    /// Replies that could not be sent for another reason, or had nowhere to go.
    failed_replies: "messages", "reply was not sent", "replies were not sent" in replies_dropped_total send;
    /// Replies that were not sent at the drain deadline.
    cut_replies: "messages", "reply was not sent at the deadline", "replies were not sent at the deadline"
        in replies_dropped_total drain;
    /// Replies that were sent on a connection that broke, and are known not to have arrived.
    lost_replies: "messages", "reply was lost with a connection that broke", "replies were lost with connections that broke"
        in replies_dropped_total reconnect;
    /// How often a listener on a connection of its own, as to a message broker, was connected anew.
    reconnects: "times", "reconnect", "reconnects" in reconnects_total;
    /// Replies to text that were not UTF-8, and so left as binary messages.
    replies_not_text: "messages", "reply to text was not text, and left as a binary message",
        "replies to text were not text, and left as binary messages" in replies_not_text_total;
    /// Errors that peers provoked on a datagram socket.
    peer_errors: "errors", "network error came from peers", "network errors came from peers" in peer_errors_total;
    /// How often the thread of a listener was late by 100 ms or more, while sessions were active: a call did
    /// not let others run, or the machine was too busy.
    worker_late: "times", "time a thread was blocked", "times a thread was blocked" in worker_late_total;
    /// How often receiving stopped because too many calls were waiting.
    receive_stalls: "times", "stall of receiving", "stalls of receiving" in receive_stalls_total;
}

impl Stats {
    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        self.add_to(&mut snapshot);
        snapshot
    }

    /// The sum of several.
    pub(crate) fn total<'a>(all: impl IntoIterator<Item = &'a Arc<Self>>) -> Snapshot {
        let mut total = Snapshot::default();
        all.into_iter().for_each(|one| one.add_to(&mut total));
        total
    }
}

impl Snapshot {
    /// Sessions that have begun and not ended: [`sessions`](Self::sessions) but for the [ended](Self::ended) ones.
    pub fn open(&self) -> u64 {
        let ended: u64 = SessionEnd::ALL.iter().map(|end| self.ended(*end)).sum();
        self.sessions.saturating_sub(ended)
    }
}

#[cfg(test)]
mod tests;
