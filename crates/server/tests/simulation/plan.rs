//! All that a seed decides before the run begins.

use std::fmt;
use std::time::Duration;

use swapwire_core::Framing;
use swapwire_server::Limits;
use swapwire_testkit::{Dice, Faults};

use crate::message::{BYE, FAIL, HANG, PANIC, PLAIN, request};

#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) scheme: &'static str,
    pub(crate) framing: Framing,
    pub(crate) handler: HandlerKind,
    pub(crate) limits: Limits,
    /// Deadlines are so short that stalls may miss them.
    pub(crate) is_tight: bool,
    pub(crate) server_faults: Faults,
    pub(crate) client_faults: Option<Faults>,
    pub(crate) clients: Vec<ClientPlan>,
    pub(crate) end: End,
    /// When it ends; otherwise when the clients are gone.
    pub(crate) end_at: Option<Duration>,
    /// How often others take turns before it does.
    pub(crate) turns: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HandlerKind {
    AtOnce,
    Waits,
    Session,
    /// A session whose halves are two futures.
    Halves,
    /// A call with a state of the session.
    Stateful,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Stop,
    /// As by a second signal, so long after the first.
    Cut(Duration),
    /// The server is dropped.
    Drop,
}

#[derive(Clone)]
pub(crate) struct ClientPlan {
    pub(crate) id: usize,
    pub(crate) after: Duration,
    pub(crate) requests: Vec<Vec<u8>>,
    pub(crate) style: Style,
    /// After so many steps it is gone.
    pub(crate) leaves_at: Option<usize>,
    pub(crate) last: Last,
    /// The chance that a future is dropped before it is done, and asked for again.
    pub(crate) impatience: f64,
    pub(crate) out_queue: usize,
    pub(crate) dice: Dice,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    PingPong,
    Pipeline,
    Halves,
}

/// What a client does that has all its replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Last {
    ShutsDown,
    Drops,
    /// Waits for the server to end it.
    Stays,
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

impl Plan {
    pub(crate) fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let scheme = *dice.pick(&["mem", "mask+mem", "ws+mem", "mem-seq", "mem-dgram"]);
        let framing = match dice.below(6) {
            0 | 1 => Framing::Lines,
            2 => Framing::length_prefixed(),
            3 => Framing::LengthPrefixed { width: 2, little_endian: true },
            4 => Framing::Delimited("::".into()),
            _ if dice.chance(0.5) => Framing::Fixed(20 + dice.index(300)),
            _ => Framing::Chunks,
        };
        let handler = *dice.pick(&[
            HandlerKind::AtOnce,
            HandlerKind::Waits,
            HandlerKind::Session,
            HandlerKind::Halves,
            HandlerKind::Stateful,
        ]);
        let is_tight = dice.chance(0.12);
        let mut plan = Self {
            seed,
            scheme,
            handler,
            limits: limits(&mut dice, is_tight),
            is_tight,
            server_faults: faults(&mut dice),
            client_faults: dice.chance(0.5).then(|| faults(&mut dice)),
            clients: Vec::new(),
            end: match dice.below(8) {
                0 => End::Cut(dice.time(&(millis(0)..millis(500)))),
                1 => End::Drop,
                _ => End::Stop,
            },
            turns: dice.index(4),
            end_at: dice.chance(0.6).then(|| dice.time(&(millis(0)..millis(400)))),
            framing,
        };
        let count = 1 + dice.index(5);
        plan.clients = (0..count).map(|id| plan.client(id, dice.fork())).collect();
        // A rush: they come at the very moment of the end, and may have to wait.
        if let (Some(at), true) = (plan.end_at, dice.chance(0.1)) {
            plan.clients.iter_mut().for_each(|client| client.after = at);
        }
        plan
    }

    /// Whether somebody asks for a call that never ends.
    pub(crate) fn hangs(&self) -> bool {
        let hangs = |request: &Vec<u8>| request.first() == Some(&HANG);
        self.clients.iter().any(|client| client.requests.iter().any(hangs))
    }

    pub(crate) fn is_datagram(&self) -> bool {
        self.scheme == "mem-dgram"
    }

    pub(crate) fn is_bytes(&self) -> bool {
        matches!(self.scheme, "mem" | "mask+mem")
    }

    pub(crate) fn is_websocket(&self) -> bool {
        self.scheme == "ws+mem"
    }

    pub(crate) fn is_per_message(&self) -> bool {
        matches!(self.handler, HandlerKind::AtOnce | HandlerKind::Waits)
    }

    /// Whether the bytes have no boundaries at all.
    pub(crate) fn chunks(&self) -> bool {
        self.is_bytes() && !self.framing.boundaries()
    }

    /// Whether a fault may cut a connection.
    pub(crate) fn can_break(&self) -> bool {
        let breaks = |faults: &Faults| faults.reset > 0.0 || faults.early_end > 0.0;
        breaks(&self.server_faults) || self.client_faults.as_ref().is_some_and(breaks)
    }

    pub(crate) fn can_lose(&self) -> bool {
        self.server_faults.loss > 0.0 || self.client_faults.as_ref().is_some_and(|faults| faults.loss > 0.0)
    }

    /// The smallest piece in which bytes move.
    pub(crate) fn slices(&self) -> Option<usize> {
        let all = [Some(&self.server_faults), self.client_faults.as_ref()];
        all.into_iter()
            .flatten()
            .map(|faults| faults.slice)
            .filter(|slice| *slice > 0 && (self.is_bytes() || self.is_websocket()))
            .min()
    }

    fn client(&self, id: usize, mut dice: Dice) -> ClientPlan {
        let style = *dice.pick(&[Style::PingPong, Style::Pipeline, Style::Halves]);
        // What is written without reading must fit into the wires and queues between the two.
        let mut room = if style == Style::Pipeline { 12_000 } else { 200_000 };
        // In small pieces all takes its time.
        if self.slices().is_some_and(|slice| slice < 1500) {
            room = if self.slices() < Some(100) { 600 } else { 6000 };
        }
        let count = dice.index(14);
        let trouble = dice.chance(0.3);
        // Only a drain that is cut ends such a call.
        let ends = self.end_at.is_some() && self.end != End::Drop && self.handler != HandlerKind::AtOnce;
        let hangs = self.is_tight && ends && dice.chance(0.5);
        let mut requests = Vec::new();
        for seq in 0..count {
            let kind = match dice.below(24) {
                0 if trouble => FAIL,
                1 if trouble => BYE,
                2 if trouble => PANIC,
                3 | 4 if hangs => HANG,
                _ => PLAIN,
            };
            let len = match (&self.framing, dice.below(60)) {
                (Framing::Fixed(len), _) if self.is_bytes() => *len,
                (_, 0) => 2000 + dice.index(28_000),
                (_, 1..10) => 100 + dice.index(2000),
                _ => 8 + dice.index(40),
            };
            let fixed = matches!(self.framing, Framing::Fixed(_)) && self.is_bytes();
            let is_empty = !fixed && !self.is_datagram() && !self.chunks() && dice.chance(0.05);
            let kind = if self.chunks() { PLAIN } else { kind };
            let message = if is_empty { Vec::new() } else { request(kind, id, seq, len) };
            if message.len() > room {
                break;
            }
            room -= message.len();
            requests.push(message);
        }
        ClientPlan {
            id,
            after: dice.time(&(millis(0)..millis(120))),
            requests,
            style,
            leaves_at: dice.chance(0.15).then(|| dice.index(20)),
            last: *dice.pick(&[Last::ShutsDown, Last::ShutsDown, Last::Drops, Last::Stays]),
            impatience: if dice.chance(0.5) { 0.3 } else { 0.0 },
            out_queue: *dice.pick(&[1, 64, 1000, 256 << 10]),
            dice,
        }
    }
}

fn limits(dice: &mut Dice, is_tight: bool) -> Limits {
    let mut limits = Limits::default();
    limits.max_connections = *dice.pick(&[1, 2, 3, 100]);
    limits.out_queue = *dice.pick(&[1, 100, 2000, 256 << 10]);
    limits.max_waiting = *dice.pick(&[1, 2, 1024]);
    limits.max_peers = *dice.pick(&[2, 65_536]);
    limits.peer_queue = *dice.pick(&[1, 64]);
    limits.drain_timeout = millis(20_000);
    if is_tight {
        limits.drain_timeout = dice.time(&(millis(0)..millis(300)));
        limits.drain_grace = dice.time(&(millis(0)..millis(100)));
        limits.idle_timeout = Some(dice.time(&(millis(20)..millis(200))));
        limits.frame_timeout = Some(dice.time(&(millis(20)..millis(200))));
        limits.write_timeout = Some(dice.time(&(millis(20)..millis(200))));
        limits.handshake_timeout = Some(dice.time(&(millis(5)..millis(50))));
    }
    limits
}

fn faults(dice: &mut Dice) -> Faults {
    let mut faults = Faults::default();
    if dice.chance(0.15) {
        return faults;
    }
    faults.slice = *dice.pick(&[0, 0, 1, 1, 7, 100, 1500]);
    faults.stall = *dice.pick(&[0.0, 0.05, 0.3]);
    faults.stall_for = millis(0)..dice.time(&(millis(1)..millis(30)));
    if dice.chance(0.4) {
        faults.latency = millis(0)..dice.time(&(millis(1)..millis(40)));
    }
    if dice.chance(0.3) {
        faults.reset = *dice.pick(&[0.002, 0.02, 0.1]);
    }
    if dice.chance(0.2) {
        faults.early_end = *dice.pick(&[0.002, 0.02]);
    }
    if dice.chance(0.5) {
        (faults.loss, faults.duplication) = (*dice.pick(&[0.0, 0.05, 0.3]), *dice.pick(&[0.0, 0.1, 0.3]));
    }
    faults.reordering = dice.chance(0.5);
    faults.accept_failure = *dice.pick(&[0.0, 0.0, 0.1]);
    faults
}

impl fmt::Debug for ClientPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, after, requests, style, leaves_at, last, impatience, out_queue, .. } = self;
        let text = |request: &Vec<u8>| format!("{}/{}", request[..request.len().min(8)].escape_ascii(), request.len());
        let requests: Vec<_> = requests.iter().map(text).collect();
        write!(f, "client {id} after {after:?}: {style:?}, leaves at {leaves_at:?}, last {last:?}, ")?;
        write!(f, "impatience {impatience}, queue {out_queue}, asks {}", requests.join(" "))
    }
}
