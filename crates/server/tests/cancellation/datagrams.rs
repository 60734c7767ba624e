//! Datagram sockets, whose calls are polled and forgotten.

use std::future::poll_fn;

use swapwire_core::{Bound, DatagramSocket, Endpoint, RecvBatch, Registry, SendBatch, Session, SessionConfig};
use swapwire_mem::MemNetwork;
use swapwire_testkit::Dice;
use tokio::sync::watch;

use crate::drops::Drops;
use crate::talk::message;

/// Messages of a client that are on their way, at the most: fewer than any socket keeps.
const AHEAD: usize = 4;

pub(crate) async fn on_memory(seed: u64) -> u64 {
    let mut dice = Dice::new(seed);
    let network = MemNetwork::new();
    let registry = Registry::new().with(network.clone());
    let dropped = echo(&registry, &"mem-dgram:here".parse().unwrap(), &mut dice, 40).await;
    assert_eq!(format!("{network:?}"), "MemNetwork { bound: {} }");
    dropped
}

/// Two clients ask an echo: each message comes back once, in order.
pub(crate) async fn echo(registry: &Registry, endpoint: &Endpoint, dice: &mut Dice, most: usize) -> u64 {
    let mut drops = Drops::new(dice.fork());
    let bound = drops.insist(async || registry.bind(endpoint).await).await.unwrap();
    let Bound::Socket(socket) = bound else { panic!("not a socket") };
    let local = socket.local();
    let (done, over) = watch::channel(0);
    let serve = serve(socket, over, drops);
    let (one, two) = (Drops::new(dice.fork()), Drops::new(dice.fork()));
    let (a, b) = (dice.index(most), dice.index(most));
    let (a, b, c) =
        tokio::join!(serve, ask(registry, &local, 1, a, one, &done), ask(registry, &local, 2, b, two, &done));
    a + b + c
}

async fn serve(mut socket: Box<dyn DatagramSocket>, mut over: watch::Receiver<usize>, mut drops: Drops) -> u64 {
    let mut batch = RecvBatch::new(4, socket.slot_size());
    loop {
        batch.clear();
        let received = async { drops.insist(async || poll_fn(|cx| socket.poll_recv(cx, &mut batch)).await).await };
        tokio::select! {
            biased;
            _ = over.wait_for(|done| *done == 2) => return drops.dropped,
            received = received => received.unwrap(),
        }
        let mut out = SendBatch::new();
        batch.datagrams().for_each(|(meta, message)| out.push(message, meta.peer.unwrap(), meta.local));
        let mut sent = 0;
        while sent < out.len() {
            sent += drops.insist(async || poll_fn(|cx| socket.poll_send(cx, &out, sent)).await).await.unwrap();
        }
    }
}

async fn ask(
    registry: &Registry,
    endpoint: &Endpoint,
    who: u64,
    count: usize,
    mut drops: Drops,
    done: &watch::Sender<usize>,
) -> u64 {
    let link = drops.insist(async || registry.connect(endpoint).await).await.unwrap();
    let mut session = Session::new(link, SessionConfig::default());
    let (mut sent, mut got) = (0, 0);
    while got < count {
        if sent < count.min(got + AHEAD) && drops.dice.chance(0.5) {
            if let Some(done) = drops.begin(session.send(message(who, sent))).await {
                done.unwrap();
                sent += 1;
            }
        } else if let Some(received) = drops.begin(session.recv()).await {
            assert_eq!(received.unwrap().unwrap(), message(who, got), "message {got} of {who}");
            got += 1;
        }
    }
    drop(session);
    done.send_modify(|done| *done += 1);
    drops.dropped
}
