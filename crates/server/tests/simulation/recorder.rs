//! What is seen of a run: a hash of everything, and what became of each client's wire.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use swapwire_core::{Addr, Side};
use swapwire_testkit::{FaultEvent, FaultKind};
use tokio::time::Instant;

/// The wire of one client, as both ends saw it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wire {
    /// Bytes, or messages, that the server has received.
    pub(crate) arrived: usize,
    /// The same when the drain began.
    pub(crate) arrived_before_drain: usize,
    /// A fault has cut it.
    pub(crate) broken: bool,
    /// Datagrams that faults doubled on the way to the server, and on the way back.
    pub(crate) doubled_requests: usize,
    pub(crate) doubled_replies: usize,
}

#[derive(Debug)]
pub(crate) struct Recorder {
    begun: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    hash: Fnv,
    pub(crate) wires: HashMap<Addr, Wire>,
    /// Messages the server was given and has sent, with those that faults lost of what it sent.
    pub(crate) received: usize,
    pub(crate) sent: usize,
    /// How many of those faults doubled.
    pub(crate) doubled: usize,
    /// Messages that a handler was given.
    pub(crate) begun: usize,
    /// Every call of the handler: who asked, and which request.
    pub(crate) calls: Vec<(usize, usize)>,
    pub(crate) panics: usize,
    pub(crate) replies: usize,
    drained: bool,
    /// Sessions of each peer that run now, and how often one had two.
    running: HashMap<Addr, usize>,
    pub(crate) two_at_once: usize,
    /// The story of the run, if somebody wants to read it.
    pub(crate) story: Option<Vec<String>>,
}

/// Fowler's, Noll's and Vo's hash: the same everywhere, and at all times.
#[derive(Debug)]
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

impl Recorder {
    pub(crate) fn new(story: bool) -> Self {
        let state = State { story: story.then(Vec::new), ..State::default() };
        Self { begun: Instant::now(), state: Mutex::new(state) }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn trace(&self) -> u64 {
        self.state().hash.finish()
    }

    /// Takes something down that follows from the seed.
    pub(crate) fn note(&self, what: impl Hash + std::fmt::Debug) {
        self.tell(&what, || format!("{what:?}"));
    }

    fn tell(&self, what: impl Hash, text: impl Fn() -> String) {
        let at = self.begun.elapsed();
        let mut state = self.state();
        (at, what).hash(&mut state.hash);
        if let Some(story) = &mut state.story {
            story.push(format!("{:>9.3} ms  {}", at.as_secs_f64() * 1000.0, text()));
        }
    }

    pub(crate) fn event(&self, event: &FaultEvent) {
        let client = if event.side == Side::Bind { event.peer } else { event.local };
        let at_server = event.side == Side::Bind;
        let side = if at_server { "server" } else { "client" };
        self.tell((at_server, client, event.kind), || match client {
            Some(client) => format!("{side} of {client}: {:?}", event.kind),
            None => format!("{side}: {:?}", event.kind),
        });
        let mut state = self.state();
        match event.kind {
            FaultKind::Received(_) if at_server => state.received += 1,
            FaultKind::Sent(_) | FaultKind::LostOut if at_server => state.sent += 1,
            FaultKind::DoubledOut if at_server => state.doubled += 1,
            _ => {}
        }
        let Some(client) = client else { return };
        let wire = state.wires.entry(client).or_default();
        match event.kind {
            FaultKind::Read(len) if at_server => wire.arrived += len,
            FaultKind::Received(_) if at_server => wire.arrived += 1,
            FaultKind::DoubledIn if at_server => wire.doubled_requests += 1,
            FaultKind::DoubledOut if at_server => wire.doubled_replies += 1,
            FaultKind::DoubledIn => wire.doubled_replies += 1,
            FaultKind::DoubledOut => wire.doubled_requests += 1,
            kind if kind.is_fatal() => wire.broken = true,
            _ => {}
        }
    }

    pub(crate) fn drain_begins(&self) {
        self.note("the drain begins");
        let mut state = self.state();
        state.drained = true;
        state.wires.values_mut().for_each(|wire| wire.arrived_before_drain = wire.arrived);
    }

    /// A session with `peer` runs as long as this lives.
    pub(crate) fn session(self: &Arc<Self>, peer: Addr) -> Alive {
        let mut state = self.state();
        let running = state.running.entry(peer).or_default();
        *running += 1;
        let more = *running > 1;
        state.two_at_once += usize::from(more);
        Alive { recorder: Arc::clone(self), peer }
    }

    pub(crate) fn has_drained(&self) -> bool {
        self.state().drained
    }
}

/// See [`Recorder::session`].
pub(crate) struct Alive {
    recorder: Arc<Recorder>,
    peer: Addr,
}

impl Drop for Alive {
    fn drop(&mut self) {
        if let Some(running) = self.recorder.state().running.get_mut(&self.peer) {
            *running -= 1;
        }
    }
}
