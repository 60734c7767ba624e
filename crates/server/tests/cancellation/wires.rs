//! Binds, connects, accepts and handshakes.

use std::sync::Arc;

use swapwire_core::{Bound, Endpoint, Framing, Link, Listener, Registry, Session, SessionConfig};
use swapwire_mem::MemNetwork;
use swapwire_testkit::Dice;

use crate::drops::Drops;
use crate::links::{Count, counted};

pub(crate) async fn on_memory(seed: u64) -> u64 {
    let mut dice = Dice::new(seed);
    let network = MemNetwork::new();
    let registry = Registry::new().with(network.clone());
    let scheme = *dice.pick(&["mem", "mem-seq"]);
    let endpoint: Endpoint = format!("{scheme}:here?backlog={}", 1 + dice.below(3)).parse().unwrap();
    let dropped = come_and_go(&registry, &endpoint, &mut dice, 30).await;
    assert_eq!(format!("{network:?}"), "MemNetwork { bound: {} }");
    dropped
}

/// Binds, and connects as often as `most` at the most: whoever got in is answered, all others leave nothing.
pub(crate) async fn come_and_go(registry: &Registry, endpoint: &Endpoint, dice: &mut Dice, most: usize) -> u64 {
    let mut drops = Drops::new(dice.fork());
    let count = Count::default();
    let bound = drops.insist(async || registry.bind(endpoint).await).await.unwrap();
    let Bound::Listener(listener) = bound else { panic!("not a listener") };
    let local = listener.local();
    let clients = dice.index(most);
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let accept = accept_all(listener, stopped, Drops::new(dice.fork()), &count);
    let ask = async {
        let mut unanswered = 0;
        for number in 0..clients {
            let link = drops.insist(async || registry.connect(&local).await).await.unwrap();
            let mut session = session(counted(link, &count));
            session.send(format!("{number}")).await.unwrap();
            if drops.begin(session.flush()).await.is_none() {
                continue;
            }
            match session.recv().await {
                Ok(Some(answer)) => assert_eq!(answer, format!("{number}")),
                _ => unanswered += 1,
            }
        }
        let _ = stop.send(());
        unanswered
    };
    let (served, unanswered) = tokio::join!(accept, ask);
    // Only those whose handshake was dropped have no answer.
    assert!(unanswered <= served.turned_away, "{unanswered} without an answer, {} turned away", served.turned_away);
    assert_eq!(Arc::strong_count(&count), 1, "a wire is left");
    drops.dropped + served.dropped
}

struct Served {
    turned_away: usize,
    dropped: u64,
}

fn session(link: Link) -> Session {
    Session::new(link, SessionConfig::framed(Framing::Lines))
}

/// Answers one message of each, until it is told to stop.
async fn accept_all(
    mut listener: Box<dyn Listener>,
    mut stopped: tokio::sync::oneshot::Receiver<()>,
    mut drops: Drops,
    count: &Count,
) -> Served {
    let mut turned_away = 0;
    loop {
        let incoming = tokio::select! {
            biased;
            _ = &mut stopped => break,
            incoming = drops.insist(async || listener.accept().await) => incoming.unwrap(),
        };
        let Some(link) = drops.begin(incoming.establish()).await else {
            turned_away += 1;
            continue;
        };
        let mut session = session(counted(link.unwrap(), count));
        if let Ok(Some(message)) = session.recv().await {
            session.send(message).await.unwrap();
            let _ = session.shutdown().await;
        }
    }
    Served { turned_away, dropped: drops.dropped }
}
