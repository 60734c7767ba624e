//! Numbers: what a server has done.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use swapwire_core::{Endpoint, Goodbye};

/// Why an endpoint is unhealthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unhealthy {
    /// Its listener has only failed for long.
    NotAccepting,
    /// Its place does not lead to it.
    Unreachable,
}

/// Defines the counters. Each has its help as doc comment, its unit, and its words in the report, for one and for several;
/// one that counts the ends of sessions has `=>` the variant of [`SessionEnd`] and its meaning. Everything that lists
/// counters comes from here. The recipe for another one is in `CONTRIBUTING.md`.
macro_rules! counters {
    ($($(#[doc = $help:literal])+ $name:ident: $unit:literal $(, $one:literal, $several:literal)?
        $(=> $End:ident: $why:literal)?;)*) => {
        /// The counters of one listener on one worker, on cache lines of their own, which no other worker writes.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub(crate) struct Stats {
            $(pub(crate) $name: AtomicU64,)*
            /// What does not serve newcomers at present, and why: at most two entries for each endpoint of the listener.
            unhealthy: Mutex<Vec<(Endpoint, Unhealthy)>>,
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
            pub(crate) fn snapshot(&self) -> Snapshot {
                Snapshot { $($name: self.$name.load(Relaxed),)* }
            }

            /// The sum of several.
            pub(crate) fn total<'a>(all: impl IntoIterator<Item = &'a Arc<Stats>>) -> Snapshot {
                let mut total = Snapshot::default();
                for one in all {
                    $(total.$name += one.$name.load(Relaxed);)*
                }
                total
            }

            pub(crate) fn ended(&self, end: SessionEnd) {
                Self::one(match end {
                    $($(SessionEnd::$End => &self.$name,)?)*
                });
            }
        }

        impl Snapshot {
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
                },)*].into_iter()
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
    sessions: "sessions", "session", "sessions";
    /// Messages received, on all wires.
    messages: "messages", "message", "messages";
    /// Sessions that ended as they should.
    done: "sessions" => Done: "The peer ended, or the handler closed: as it should be.";
    /// Sessions that ended because the server drained.
    drained: "sessions" => Drained: "The server drained and nothing was left to do.";
    /// Sessions ended by the idle deadline.
    idle_timeouts: "sessions", "session was idle for too long", "sessions were idle for too long"
        => IdleTimeout: "Neither side sent anything for too long.";
    /// Sessions ended by the frame deadline.
    frame_timeouts: "sessions", "frame took too long to arrive", "frames took too long to arrive"
        => FrameTimeout: "A frame took too long to arrive.";
    /// Sessions ended by the write deadline.
    write_timeouts: "sessions", "peer did not read", "peers did not read"
        => WriteTimeout: "The peer did not read for too long.";
    /// Sessions ended because all connections together kept more than the budget of memory, and these the most of it.
    over_budget: "sessions", "connection was closed for the memory budget", "connections were closed for the memory budget"
        => OverBudget: "It kept the most of what all connections together kept above the budget.";
    /// Handshakes that failed or took too long.
    handshakes_failed: "handshakes", "handshake failed", "handshakes failed"
        => Handshake: "The handshake failed or took too long.";
    /// Handshakes that were ended because others needed their room: among those that failed.
    handshakes_evicted: "handshakes", "handshake made room for another", "handshakes made room for others";
    /// Connections that broke.
    broken: "sessions", "connection broke", "connections broke" => Broken: "The connection broke.";
    /// Sessions ended because of bytes that are no frame.
    bad_frames: "sessions", "session had a bad frame", "sessions had bad frames"
        => BadFrame: "The peer sent what is no frame, or one that is too large.";
    /// Calls or sessions that a handler gave up.
    handler_errors: "errors", "handler error", "handler errors" => HandlerError: "The handler gave up.";
    /// Calls or sessions in which a handler panicked.
    panics: "panics", "handler panicked", "handlers panicked" => Panicked: "The handler panicked.";
    /// Sessions cut at the drain deadline.
    cut: "sessions" => Cut: "Cut at the drain deadline.";
    /// Failed accepts.
    accept_errors: "errors", "accept failed", "accepts failed";
    /// Connections refused: the server was full, or their source had its share.
    refused: "connections", "connection was refused", "connections were refused";
    /// Datagrams that were longer than their wire carries, or than the room for one, dropped; of a train each counts.
    truncated: "datagrams", "datagram was truncated", "datagrams were truncated";
    /// Datagrams that came with descriptors (`unix(7)`, `SCM_RIGHTS`), where the system reports it. The datagrams were
    /// handled; the descriptors were closed.
    with_descriptors: "datagrams", "datagram came with descriptors, which were closed",
        "datagrams came with descriptors, which were closed";
    /// Messages dropped: a session's queue or the table of sessions was full, the message was above the limit, it came
    /// from one of our own addresses, a group, or nobody, or the drain deadline came before its turn.
    dropped_requests: "messages", "message was dropped", "messages were dropped";
    /// Datagrams dropped because their source had asked enough for the time.
    throttled: "datagrams", "datagram was throttled", "datagrams were throttled";
    /// Datagrams that the system dropped before they were received, where it reports it: a socket's buffer was full. Looked
    /// up when much arrives, and at the end.
    overflows: "datagrams", "datagram was dropped by the system", "datagrams were dropped by the system";
    /// Sessions of peers that may be forged, ended to make room for others.
    evicted: "sessions", "session was ended to make room for another", "sessions were ended to make room for others";
    /// Replies dropped because the peer's queue stayed full.
    dropped_replies: "messages", "reply was dropped, as its peer did not take it",
        "replies were dropped, as their peers did not take them";
    /// Replies withheld because the peer may be forged and was not to be sent so much, whatever their handlers made of it.
    withheld_replies: "messages", "reply was withheld", "replies were withheld";
    /// Replies that could not be sent for another reason, the drain deadline among them, or had nowhere to go.
    failed_replies: "messages", "reply was not sent", "replies were not sent";
    /// Replies to text that were not UTF-8, and so left as binary messages.
    replies_not_text: "messages", "reply to text was not text, and left as a binary message",
        "replies to text were not text, and left as binary messages";
    /// Errors that peers provoked on a datagram socket.
    peer_errors: "errors", "network error came from peers", "network errors came from peers";
    /// How often the thread of a listener was late by 100 ms or more, while sessions were active: a call did
    /// not let others run, or the machine was too busy.
    worker_late: "times", "time a thread was blocked", "times a thread was blocked";
    /// How often receiving stopped because too many calls were waiting.
    receive_stalls: "times", "stall of receiving", "stalls of receiving";
}

impl Stats {
    pub(crate) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Relaxed);
    }

    pub(crate) fn one(counter: &AtomicU64) {
        Self::add(counter, 1);
    }

    /// Says of one endpoint whether it is unhealthy for this reason.
    pub(crate) fn set_unhealthy(&self, endpoint: &Endpoint, kind: Unhealthy, is: bool) {
        let mut all = self.unhealthy.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(other, why)| (other, *why) != (endpoint, kind));
        if is {
            all.push((endpoint.clone(), kind));
        }
    }

    /// The endpoints that are unhealthy, each once.
    pub(crate) fn unhealthy<'a>(all: impl IntoIterator<Item = &'a Arc<Self>>) -> Vec<Endpoint> {
        let mut found = Vec::new();
        for one in all {
            for (endpoint, _) in one.unhealthy.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                if !found.contains(endpoint) {
                    found.push(endpoint.clone());
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_listed_with_its_value() {
        let stats = Stats::default();
        Stats::add(&stats.broken, 2);
        Stats::one(&stats.receive_stalls);
        let snapshot = stats.snapshot();
        let listed: Vec<_> = snapshot.iter().map(|counter| format!("{}: {}", counter.name, counter.value)).collect();
        let fields = format!("{snapshot:?}");
        assert_eq!(fields, format!("Snapshot {{ {} }}", listed.join(", ")));
        for counter in snapshot.iter() {
            let line = !counter.help.is_empty() && !counter.help.contains('\n') && counter.help.trim() == counter.help;
            assert!(line && counter.help.ends_with('.') && counter.unit.ends_with('s'), "{counter:?}");
        }
    }

    #[test]
    fn every_end_is_counted_by_a_counter_of_its_own() {
        let stats = Stats::default();
        for (count, end) in (1..).zip(SessionEnd::ALL) {
            stats.ended(*end);
            let snapshot = stats.snapshot();
            assert_eq!(snapshot.ended(*end), 1, "{end:?}");
            assert_eq!(snapshot.iter().map(|counter| counter.value).sum::<u64>(), count);
        }
        assert_eq!(SessionEnd::ALL.len(), 12);
    }

    #[test]
    fn a_counter_has_a_text() {
        let stats = Stats::default();
        Stats::one(&stats.broken);
        let text = |name: &str| stats.snapshot().iter().find(|counter| counter.name == name).unwrap().to_string();
        assert_eq!(
            (text("broken"), text("refused")),
            ("1 connection broke".into(), "0 connections were refused".into())
        );
        assert_eq!(text("done"), "sessions done: 0");
    }
}
