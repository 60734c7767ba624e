//! Two sessions that send each other numbered messages, and drop most of what they begin.

use std::sync::Arc;

use swapwire_core::{Endpoint, Framing, Link, Registry, Session, SessionConfig, TrySendError};
use swapwire_mem::MemNetwork;
use swapwire_testkit::{Dice, Faults, Faulty};

use crate::drops::Drops;
use crate::links::{Count, pair};

/// Message `number` of `who`: no newline, no colon, and sometimes long.
pub(crate) fn message(who: u64, number: usize) -> Vec<u8> {
    let mut bytes = format!("{who}.{number}.").into_bytes();
    let len = match (number * 7 + who as usize) % 40 {
        0 => 3000,
        1..6 => 300,
        more => more,
    };
    bytes.resize(bytes.len() + len, b'a' + (number % 26) as u8);
    bytes
}

/// A network on which wires are often not ready.
pub(crate) fn network(dice: &mut Dice) -> (MemNetwork, Registry) {
    let network = MemNetwork::new();
    let mut faults = Faults::default();
    if dice.chance(0.5) {
        faults = Faults::rough();
        faults.slice = *dice.pick(&[5, 50, 500]);
        faults.stall = *dice.pick(&[0.0, 0.2, 0.5]);
        if dice.chance(0.5) {
            faults.latency = Faults::default().latency;
        }
    }
    let registry = Registry::new().with(Faulty::new(network.clone(), faults, dice.number()));
    (network, registry)
}

pub(crate) fn config(dice: &mut Dice) -> SessionConfig {
    let framing = match dice.below(4) {
        0 => Framing::length_prefixed(),
        1 => Framing::Delimited("::".into()),
        2 => Framing::LengthPrefixed { width: 2, little_endian: true },
        _ => Framing::Lines,
    };
    let mut config = SessionConfig::framed(framing);
    config.out_queue = *dice.pick(&[1, 100, 2000]);
    config
}

pub(crate) async fn on_memory(seed: u64) -> u64 {
    let mut dice = Dice::new(seed);
    let (network, registry) = network(&mut dice);
    let endpoint: Endpoint = dice.pick(&["mem:here", "mem-seq:here"]).parse().unwrap();
    let count = Count::default();
    let (a, b) = pair(&registry, &endpoint, &count).await;
    let dropped = talk(a, b, &mut dice, 60).await;
    assert_eq!(Arc::strong_count(&count), 1, "a wire is left");
    assert_eq!(format!("{network:?}"), "MemNetwork { bound: {} }");
    dropped
}

/// Both ends send each other `most` messages at the most.
pub(crate) async fn talk(a: Link, b: Link, dice: &mut Dice, most: usize) -> u64 {
    let config = config(dice);
    let (from_a, from_b) = (dice.index(most), dice.index(most));
    let end = |link, who, sends, gets, drops| {
        let session = Session::new(link, config.clone());
        End { session, who, sends, gets, sent: 0, got: 0, drops }.run()
    };
    let (drops_a, drops_b) = (Drops::new(dice.fork()), Drops::new(dice.fork()));
    let (a, b) = tokio::join!(end(a, 1, from_a, from_b, drops_a), end(b, 2, from_b, from_a, drops_b));
    a + b
}

struct End {
    session: Session,
    who: u64,
    sends: usize,
    gets: usize,
    sent: usize,
    got: usize,
    drops: Drops,
}

impl End {
    async fn run(mut self) -> u64 {
        while self.sent < self.sends || self.got < self.gets {
            match self.drops.dice.below(8) {
                0..3 if self.sent < self.sends => self.send().await,
                3 if self.sent < self.sends => self.reserve().await,
                4 if self.sent < self.sends => self.try_send(),
                5 => drop(self.drops.begin(self.session.flush()).await.transpose().unwrap()),
                _ => self.recv().await,
            }
        }
        let Self { mut session, mut drops, .. } = self;
        drops.insist(async || session.flush().await).await.unwrap();
        drops.insist(async || session.shutdown().await).await.unwrap();
        // Behind the end there is nothing.
        assert_eq!(drops.insist(async || session.recv().await).await.unwrap(), None);
        assert_eq!(session.progress().unsent, 0);
        drops.dropped
    }

    async fn send(&mut self) {
        let message = message(self.who, self.sent);
        if let Some(sent) = self.drops.begin(self.session.send(message)).await {
            sent.unwrap();
            self.sent += 1;
        }
    }

    async fn reserve(&mut self) {
        let uses = self.drops.dice.chance(0.8);
        if let Some(permit) = self.drops.begin(self.session.reserve()).await
            && uses
        {
            permit.unwrap().send(message(self.who, self.sent)).unwrap();
            self.sent += 1;
        }
    }

    fn try_send(&mut self) {
        match self.session.try_send(message(self.who, self.sent)) {
            Ok(()) => self.sent += 1,
            Err(TrySendError::Full) => {}
            Err(other) => panic!("{other}"),
        }
    }

    async fn recv(&mut self) {
        let Some(received) = self.drops.begin(self.session.recv()).await else { return };
        match received.unwrap() {
            Some(received) => {
                assert_eq!(received, message(3 - self.who, self.got), "message {} of the other end", self.got);
                self.got += 1;
            }
            None => panic!("the end came after {} of {} messages", self.got, self.gets),
        }
    }
}
