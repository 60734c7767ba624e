//! Servers that are dropped while they bind, serve and drain.

use std::future::{IntoFuture, ready};
use std::time::Duration;

use swapwire_core::{Framing, Handler, HandlerError, Registry, Reply, Request, Session, SessionConfig};
use swapwire_mem::MemNetwork;
use swapwire_server::{Server, ServerBuilder};
use swapwire_testkit::{Dice, drop_after, drop_after_eager};
use tokio::sync::oneshot;
use tokio::task::{JoinSet, yield_now};
use tokio::time::sleep;

const ENDPOINTS: [&str; 3] = ["mem:a", "mem-seq:b", "mem-dgram:c"];

struct Slow;

impl Handler for Slow {
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        if request.message().len() % 3 == 1 {
            sleep(Duration::from_millis(3)).await;
        }
        yield_now().await;
        Ok(reply.send(request.message())?)
    }
}

fn builder(registry: &Registry) -> ServerBuilder {
    let builder = Server::builder().registry(registry.clone()).handler(Slow).framing(Framing::Lines);
    ENDPOINTS.into_iter().fold(builder, |builder, endpoint| builder.listen(endpoint))
}

pub(crate) async fn on_memory(seed: u64) -> u64 {
    let mut dice = Dice::new(seed);
    let network = MemNetwork::new();
    let registry = Registry::new().with(network.clone());
    let mut dropped = 0;
    let server = loop {
        match drop_after_eager(dice.index(4), builder(&registry).bind()).await {
            Some(server) => break server.unwrap(),
            None => dropped += 1,
        }
        assert_eq!(format!("{network:?}"), "MemNetwork { bound: {} }", "a bind that was dropped");
    };
    let mut clients = JoinSet::new();
    for endpoint in ENDPOINTS {
        clients.spawn(talk(registry.clone(), endpoint, dice.fork()));
    }
    dropped += u64::from(serve(server, &mut dice).await);
    yield_now().await;
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    let bound = format!("{network:?}");
    assert_eq!(bound, "MemNetwork { bound: {} }", "a server that was dropped");
    dropped
}

/// Runs the server in one of its ways, and drops it somewhere, if it is not over before; whether it was dropped.
async fn serve(server: Server, dice: &mut Dice) -> bool {
    let polls = dice.index(12);
    let eager = dice.chance(0.5);
    match dice.below(5) {
        0 => begin(polls, eager, server.into_future()).await,
        1 => begin(polls, eager, server.run_until(ready(()))).await,
        2 => begin(polls, eager, server.run_until(sleep(Duration::from_millis(dice.below(20))))).await,
        3 => {
            let cut = sleep(Duration::from_millis(dice.below(5)));
            begin(polls, eager, server.run_until_cut(ready(()), cut)).await
        }
        _ => {
            let running = server.start();
            sleep(Duration::from_millis(dice.below(10))).await;
            let (stop, stopped) = oneshot::channel::<()>();
            drop(stop);
            let _ = stopped.await;
            begin(polls % 4, eager, running.stop()).await
        }
    }
}

async fn begin<F: Future>(polls: usize, eager: bool, server: F) -> bool {
    // Without a signal a server that has nothing to do is not polled again.
    let patience = Duration::from_millis(200);
    let served = async { if eager { drop_after_eager(polls, server).await } else { drop_after(polls, server).await } };
    tokio::time::timeout(patience, served).await.ok().flatten().is_none()
}

/// Asks until the server is gone.
async fn talk(registry: Registry, endpoint: &'static str, mut dice: Dice) {
    let Ok(link) = registry.connect(&endpoint.parse().unwrap()).await else { return };
    let mut session = Session::new(link, SessionConfig::framed(Framing::Lines));
    for number in 0..dice.index(20) {
        let message = format!("{number:0width$}", width = 1 + number % 4);
        if session.send(&message).await.is_err() || session.flush().await.is_err() {
            return;
        }
        // On datagrams nobody says that a server is gone.
        match tokio::time::timeout(Duration::from_millis(100), session.recv()).await {
            Ok(Ok(Some(answer))) => assert_eq!(answer, message),
            _ => return,
        }
    }
}
