//! Split sessions: a reader, a writer and two senders at each end, each dropping most of what it begins.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use swapwire_core::{Endpoint, Link, Session, SessionConfig, SessionReader, SessionSender, SessionWriter};
use swapwire_testkit::Dice;

use crate::drops::Drops;
use crate::links::{Count, pair};
use crate::talk::{config, message, network};

/// Messages of each sender, at the most.
const MOST: usize = 40;

pub(crate) async fn on_memory(seed: u64) -> u64 {
    let mut dice = Dice::new(seed);
    let (network, registry) = network(&mut dice);
    let endpoint: Endpoint = dice.pick(&["mem:here", "mem-seq:here"]).parse().unwrap();
    let count = Count::default();
    let (a, b) = pair(&registry, &endpoint, &count).await;
    let dropped = both(a, b, &mut dice, MOST).await;
    assert_eq!(Arc::strong_count(&count), 1, "a wire is left");
    assert_eq!(format!("{network:?}"), "MemNetwork { bound: {} }");
    dropped
}

pub(crate) async fn both(a: Link, b: Link, dice: &mut Dice, most: usize) -> u64 {
    let config = config(dice);
    let plan = |dice: &mut Dice| [dice.index(most), dice.index(most), dice.index(most)];
    let (from_a, from_b) = (plan(dice), plan(dice));
    let (dice_a, dice_b) = (dice.fork(), dice.fork());
    let (a, b) = tokio::join!(end(a, config.clone(), from_a, from_b, dice_a), end(b, config, from_b, from_a, dice_b));
    a + b
}

/// One end: three who send, each with numbers of its own.
async fn end(link: Link, config: SessionConfig, sends: [usize; 3], gets: [usize; 3], mut dice: Dice) -> u64 {
    let (reader, writer) = Session::new(link, config).split();
    let (one, two) = (writer.sender(), writer.sender());
    let pushing = AtomicUsize::new(2);
    let (read, write) = (Drops::new(dice.fork()), Drops::new(dice.fork()));
    let (push_one, push_two) = (Drops::new(dice.fork()), Drops::new(dice.fork()));
    let (read, write, one, two) = tokio::join!(
        read_all(reader, gets, read),
        write_all(writer, sends[0], &pushing, write),
        push(one, 1, sends[1], &pushing, push_one),
        push(two, 2, sends[2], &pushing, push_two),
    );
    read + write + one + two
}

async fn read_all(mut reader: SessionReader, gets: [usize; 3], mut drops: Drops) -> u64 {
    let mut got: BTreeMap<u64, usize> = BTreeMap::new();
    while let Some(received) = drops.insist(async || reader.recv().await).await.unwrap() {
        let who = u64::from(received[0] - b'0');
        let number = got.entry(who).or_default();
        assert_eq!(received, message(who, *number), "message {number} of sender {who}");
        *number += 1;
    }
    let got = [0, 1, 2].map(|who| got.get(&who).copied().unwrap_or(0));
    assert_eq!(got, gets);
    drops.dropped
}

async fn write_all(mut writer: SessionWriter, sends: usize, pushing: &AtomicUsize, mut drops: Drops) -> u64 {
    let mut sent = 0;
    while sent < sends || pushing.load(Relaxed) > 0 {
        match drops.dice.below(4) {
            0 if sent < sends => {
                if let Some(done) = drops.begin(writer.send(message(0, sent))).await {
                    done.unwrap();
                    sent += 1;
                }
            }
            1 if sent < sends => {
                if let Some(permit) = drops.begin(writer.reserve()).await {
                    permit.unwrap().send(message(0, sent)).unwrap();
                    sent += 1;
                }
            }
            2 => drop(drops.begin(writer.flush()).await.transpose().unwrap()),
            _ => drop(drops.begin(writer.drive()).await.transpose().unwrap()),
        }
    }
    drops.insist(async || writer.flush().await).await.unwrap();
    drops.insist(async || writer.shutdown().await).await.unwrap();
    drops.dropped
}

async fn push(sender: SessionSender, who: u64, sends: usize, pushing: &AtomicUsize, mut drops: Drops) -> u64 {
    let mut sent = 0;
    while sent < sends {
        if let Some(done) = drops.begin(sender.send(message(who, sent))).await {
            done.unwrap();
            sent += 1;
        }
    }
    pushing.fetch_sub(1, Relaxed);
    drops.dropped
}
