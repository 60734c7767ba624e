//! Numbers: what a server has done.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use swapwire_core::Endpoint;

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SessionEnd {
    /// The peer ended, or the handler closed: as it should be.
    Done,
    /// The server drained and nothing was left to do.
    Drained,
    /// Nothing was said for too long.
    IdleTimeout,
    /// A frame took too long to arrive.
    FrameTimeout,
    /// The peer did not read for too long.
    WriteTimeout,
    /// It kept the most of what all connections together kept above the budget.
    OverBudget,
    /// The handshake failed or took too long.
    Handshake,
    /// The connection broke.
    Broken,
    /// The peer sent what is no frame, or one that is too large.
    BadFrame,
    /// The handler gave up.
    HandlerError,
    /// The handler panicked.
    Panicked,
    /// Cut at the drain deadline.
    Cut,
}

/// Why an endpoint is unhealthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unhealthy {
    /// Its listener has only failed for long.
    NotAccepting,
    /// Its place does not lead to it.
    Unreachable,
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The counters of one worker, on cache lines of their own, which no other worker writes.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub(crate) struct Stats {
            $(pub(crate) $name: AtomicU64,)*
            /// Connections that are served.
            open: AtomicUsize,
            /// Loops that have not received all that waits in their socket.
            behind: AtomicUsize,
            /// What does not serve newcomers at present, and why: at most two entries for each listener.
            unhealthy: Mutex<Vec<(Endpoint, Unhealthy)>>,
        }

        /// What a server has done so far. Counters only rise.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Snapshot {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Stats {
            pub(crate) fn snapshot(&self) -> Snapshot {
                Snapshot { $($name: self.$name.load(Relaxed),)* }
            }

            /// The sum of all workers'.
            pub(crate) fn total(all: &[Arc<Stats>]) -> Snapshot {
                let mut total = Snapshot::default();
                for one in all {
                    $(total.$name += one.$name.load(Relaxed);)*
                }
                total
            }
        }
    };
}

counters! {
    /// Sessions begun, on connections and on datagram sockets.
    sessions,
    /// Messages received, on all wires.
    messages,
    /// Sessions that ended as they should.
    done,
    /// Sessions that ended because the server drained.
    drained,
    /// Sessions ended by the idle deadline.
    idle_timeouts,
    /// Sessions ended by the frame deadline.
    frame_timeouts,
    /// Sessions ended by the write deadline.
    write_timeouts,
    /// Sessions ended because all connections together kept more than the budget of memory, and these the most of it.
    over_budget,
    /// Handshakes that failed or took too long.
    handshakes_failed,
    /// Connections that broke.
    broken,
    /// Sessions ended because of bytes that are no frame.
    bad_frames,
    /// Calls or sessions that a handler gave up.
    handler_errors,
    /// Calls or sessions in which a handler panicked.
    panics,
    /// Sessions cut at the drain deadline.
    cut,
    /// Failed accepts.
    accept_errors,
    /// Connections refused: the server was full, or their source had its share.
    refused,
    /// Datagrams that were longer than their wire carries, or than the room for one, dropped; of a train each counts.
    truncated,
    /// Datagrams that came with descriptors (`unix(7)`, `SCM_RIGHTS`), where the system reports it. The datagrams were
    /// handled; the descriptors were closed.
    with_descriptors,
    /// Messages dropped: a session's queue or the table of sessions was full, the message was above the limit, it came
    /// from one of our own addresses, a group, or nobody, or the drain deadline came before its turn.
    dropped_requests,
    /// Datagrams dropped because their source had asked enough for the time.
    throttled,
    /// Datagrams that the system dropped before they were received, where it reports it: a socket's buffer was full. Looked
    /// up when much arrives, and at the end.
    overflows,
    /// Sessions of peers that may be forged, ended to make room for others.
    evicted,
    /// Replies dropped because the peer's queue stayed full.
    dropped_replies,
    /// Replies withheld because the peer may be forged and was not to be sent so much, whatever their handlers made of it.
    withheld_replies,
    /// Replies that could not be sent for another reason, the drain deadline among them, or had nowhere to go.
    failed_replies,
    /// Errors that peers provoked on a datagram socket.
    peer_noise,
    /// How often the thread of a listener was late by 100 ms or more, while sessions were active: a call did
    /// not let others run, or the machine was too busy.
    held_up,
    /// How often receiving stopped because too many calls were waiting.
    stalls,
}

impl Stats {
    pub(crate) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Relaxed);
    }

    pub(crate) fn one(counter: &AtomicU64) {
        Self::add(counter, 1);
    }

    /// A connection is served from now on.
    pub(crate) fn opened(&self) {
        self.open.fetch_add(1, Relaxed);
    }

    /// A connection that was served is closed.
    pub(crate) fn closed(&self) {
        self.open.fetch_sub(1, Relaxed);
    }

    /// Connections that are served.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// Whether a loop has not received all that waits in its socket.
    pub(crate) fn is_behind(&self) -> bool {
        self.behind.load(Relaxed) > 0
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
    pub(crate) fn unhealthy(all: &[Arc<Self>]) -> Vec<Endpoint> {
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

    pub(crate) fn ended(&self, end: SessionEnd) {
        Self::one(match end {
            SessionEnd::Done => &self.done,
            SessionEnd::Drained => &self.drained,
            SessionEnd::IdleTimeout => &self.idle_timeouts,
            SessionEnd::FrameTimeout => &self.frame_timeouts,
            SessionEnd::WriteTimeout => &self.write_timeouts,
            SessionEnd::OverBudget => &self.over_budget,
            SessionEnd::Handshake => &self.handshakes_failed,
            SessionEnd::Broken => &self.broken,
            SessionEnd::BadFrame => &self.bad_frames,
            SessionEnd::HandlerError => &self.handler_errors,
            SessionEnd::Panicked => &self.panics,
            SessionEnd::Cut => &self.cut,
        });
    }
}

/// Whether the loop of a socket has not received all that waits there.
#[derive(Debug)]
pub(crate) struct Behind {
    stats: Arc<Stats>,
    is: bool,
}

impl Behind {
    pub(crate) fn new(stats: &Arc<Stats>) -> Self {
        Self { stats: Arc::clone(stats), is: false }
    }

    /// Says so.
    pub(crate) fn set(&mut self, is: bool) {
        match (std::mem::replace(&mut self.is, is), is) {
            (false, true) => self.stats.behind.fetch_add(1, Relaxed),
            (true, false) => self.stats.behind.fetch_sub(1, Relaxed),
            _ => 0,
        };
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        self.set(false);
    }
}
