//! How sessions end: the raw stream, the guard that a server keeps, the word of a drain.

use std::sync::Arc;

use swapwire_core::{DrainToken, Endpoint, Framing, Link, RawStream, Session, SessionConfig};
use swapwire_testkit::{Dice, drop_after, payload};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::drops::Drops;
use crate::links::{Count, pair};
use crate::talk::{message, network};

pub(crate) async fn on_memory(seed: u64) -> u64 {
    let mut dice = Dice::new(seed);
    let (network, registry) = network(&mut dice);
    let endpoint: Endpoint = "mem:here".parse().unwrap();
    let count = Count::default();
    let (a, b) = pair(&registry, &endpoint, &count).await;
    let dropped = match dice.below(3) {
        0 => raw(a, b, &mut dice).await,
        1 => guarded(a, b, &mut dice).await,
        _ => drained(a, b, &mut dice).await,
    };
    assert_eq!(Arc::strong_count(&count), 1, "a wire is left");
    assert_eq!(format!("{network:?}"), "MemNetwork { bound: {} }");
    dropped
}

/// Both ends become raw streams behind a message, and bytes go both ways. One that is dropped half-way ends the wire.
async fn raw(a: Link, b: Link, dice: &mut Dice) -> u64 {
    let mut ends = [a, b].map(|link| Session::new(link, SessionConfig::framed(Framing::Lines)));
    for end in &mut ends {
        end.send("hello").await.unwrap();
    }
    let [a, b] = ends;
    let mut drops = Drops::new(dice.fork());
    let Some(a) = drop_after(dice.index(3), a.into_byte_stream()).await else {
        let mut b = b;
        // What follows the last end of a line is a line too.
        while let Ok(Some(message)) = b.recv().await {
            assert!(b"hello".starts_with(&message));
        }
        return 1;
    };
    let b = b.into_byte_stream().await.unwrap();
    let len = dice.index(3000);
    let (one, two) = (Drops::new(dice.fork()), Drops::new(dice.fork()));
    let (a, b) = tokio::join!(exchange(a.unwrap(), 1, len, one), exchange(b, 2, len, two));
    drops.dropped += a + b;
    drops.dropped
}

async fn exchange(mut raw: RawStream, who: u64, len: usize, mut drops: Drops) -> u64 {
    let (ours, mut theirs) = (payload(who, len), b"hello\n".to_vec());
    theirs.extend(payload(3 - who, len));
    let (mut sent, mut got) = (0, Vec::new());
    while sent < ours.len() || got.len() < theirs.len() {
        if sent < ours.len() && drops.dice.chance(0.5) {
            // As `AsyncWriteExt::write` says: if it is dropped, nothing was written.
            if let Some(wrote) = drops.begin(raw.write(&ours[sent..])).await {
                sent += wrote.unwrap();
            }
        } else {
            let mut buf = [0; 100];
            if let Some(read) = drops.begin(raw.read(&mut buf)).await {
                let read = read.unwrap();
                assert!(read > 0 || got.len() == theirs.len(), "the end after {} bytes", got.len());
                got.extend_from_slice(&buf[..read]);
            }
        }
    }
    assert!(got == theirs);
    raw.flush().await.unwrap();
    drops.insist(async || raw.shutdown().await).await.unwrap();
    drops.dropped
}

/// A session that is dropped with a queue, and a guard that closes it.
async fn guarded(a: Link, b: Link, dice: &mut Dice) -> u64 {
    let mut drops = Drops::new(dice.fork());
    let mut config = SessionConfig::framed(Framing::Lines);
    config.out_queue = 20_000;
    let mut server = Session::new(a, config.clone());
    let guard = server.guard();
    let messages = dice.index(20);
    for number in 0..messages {
        server.send(message(7, number)).await.unwrap();
    }
    drop(server);
    let read = async {
        let mut client = Session::new(b, config);
        client.send("unread").await.unwrap();
        for number in 0..messages {
            assert_eq!(client.recv().await.unwrap().unwrap(), message(7, number));
        }
        client.shutdown().await.unwrap();
        assert_eq!(client.recv().await.unwrap(), None);
    };
    let close = drops.insist(async || guard.close(1000).await);
    let (closed, ()) = tokio::join!(close, read);
    closed.unwrap();
    drops.dropped
}

/// A session hears of the drain, however often it asked and turned away.
async fn drained(a: Link, b: Link, dice: &mut Dice) -> u64 {
    let mut drops = Drops::new(dice.fork());
    let token = DrainToken::new();
    let mut config = SessionConfig::framed(Framing::Lines);
    config.draining = Some(token.clone());
    let mut server = Session::new(a, config);
    let mut client = Session::new(b, SessionConfig::framed(Framing::Lines));
    for number in 0..dice.index(4) {
        client.send(message(7, number)).await.unwrap();
        client.flush().await.unwrap();
        assert_eq!(drops.insist(async || server.recv().await).await.unwrap().unwrap(), message(7, number));
        for _ in 0..dice.index(4) {
            assert!(drops.begin(server.draining()).await.is_none());
            assert!(drops.begin(server.recv()).await.is_none());
        }
    }
    token.begin();
    drops.insist(async || server.draining().await).await;
    assert_eq!(drops.insist(async || server.recv().await).await.unwrap(), None);
    drops.dropped
}
