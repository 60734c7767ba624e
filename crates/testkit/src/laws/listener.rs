//! Laws about listeners.

use std::pin::pin;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::try_join_all;
use swapwire_core::{Endpoint, Listener, Registry, Session, SessionConfig, Side};
use tokio::sync::Notify;
use tokio::task::yield_now;

use crate::client::Client;
use crate::context::{Task, spawn};
use crate::echo::serve_session;
use crate::elsewhere::{elsewhere, turns};
use crate::stop::{OrBroken as _, ensure};
use crate::wire::{connect, establish, take, talk};
use crate::{Context, Outcome, Stop, payload};

/// A connection whose handshake is not run does not stop the next from being accepted, established and used; later its
/// handshake still works. One that is dropped unestablished is closed.
///
/// # Errors
/// The law is broken.
pub async fn stalled_handshake(ctx: &Context) -> Outcome {
    let mut listener = ctx.listen().await?;
    let local = ctx.dial_listener(&*listener);
    let dial = || {
        let (registry, local) = (ctx.registry().clone(), local.clone());
        spawn("a client", async move { connect(&registry, &local).await })
    };
    let first = dial();
    ctx.step("accept the first of two connections");
    let stalled = take(&mut listener).await?;
    let second = dial();
    ctx.step("accept the second, while the first is not established");
    let incoming = take(&mut listener).await?;
    let (client, server) = tokio::try_join!(second.join(), establish(incoming))?;
    talk(&mut ctx.session(client), &mut ctx.session(server)).await?;

    ctx.step("establish the first");
    let (client, server) = tokio::try_join!(first.join(), establish(stalled))?;
    talk(&mut ctx.session(client), &mut ctx.session(server)).await?;

    let third = dial();
    ctx.step("accept a third and drop it");
    drop(take(&mut listener).await?);
    if let Ok(link) = third.join().await {
        let got = ctx.session(link).recv().await;
        ensure!(!matches!(got, Ok(Some(_))), "a connection that was never established received a message");
    }
    let (client, server) = ctx.meet(&mut listener).await?;
    talk(&mut ctx.session(client), &mut ctx.session(server)).await
}

/// An `accept` that is dropped while it waits takes no connection with it.
///
/// # Errors
/// The law is broken.
pub async fn cancelled_accept(ctx: &Context) -> Outcome {
    const CLIENTS: u64 = 16;
    let mut listener = ctx.listen().await?;
    let clients: Vec<_> = (0..CLIENTS).map(|number| exchange_once(ctx, &ctx.dial_listener(&*listener), number)).collect();
    let answered = try_join_all(clients.into_iter().map(Task::join));
    let accept = async {
        let mut accepted = 0;
        for attempt in 0.. {
            ctx.step(format!("accept, often dropped; {accepted} of {CLIENTS} connections were taken"));
            // Sometimes dropped after one poll, sometimes after a few, which some listeners need.
            let Some(incoming) = poll_times(1 + attempt % 4, take(&mut listener)).await else { continue };
            let incoming = incoming?;
            accepted += 1;
            let config = ctx.config();
            ctx.background(async move {
                let link = establish(incoming).await?;
                serve_session(Session::new(link, config), Arc::new(<[u8]>::to_vec)).await;
                Ok(())
            });
        }
        Ok(())
    };
    tokio::select! {
        clients = answered => clients.map(drop),
        outcome = accept => outcome,
    }
}

/// Polls `future` at most so many times, then drops it.
async fn poll_times<T>(times: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    for _ in 0..times {
        if let Some(output) = future.as_mut().now_or_never() {
            return Some(output);
        }
        yield_now().await;
    }
    None
}

/// A listener that refuses arrivals still gives those that already wait, and they are served.
///
/// # Errors
/// The law is broken.
pub async fn last_arrivals(ctx: &Context) -> Outcome {
    ctx.needs_own_socket("those that wait are for the next that serves it")?;
    let mut listener = ctx.listen().await?;
    let dial = ctx.dial_listener(&*listener);
    ctx.step("accept who was connected when arrivals were refused");
    let connected = Arc::new(Notify::new());
    let below = Arc::clone(&connected);
    let tapped = ctx.tapped(move |side, link| {
        if side == Side::Connect {
            below.notify_one();
        }
        link
    });
    let Ok(registry) = tapped else {
        let (registry, config) = (ctx.registry().clone(), ctx.config());
        return elsewhere("a connect before an accept", connected_first(listener, registry, dial, config)).await;
    };
    // With a handshake, who is connected below waits in the queue, and connects no sooner than it is accepted.
    let client = spawn("a client", async move { connect(&registry, &dial).await });
    connected.notified().await;
    listener.refuse_arrivals().or_broken("refuse arrivals")?;
    let accepted = async { establish(take(&mut listener).await?).await };
    let (client, server) = tokio::try_join!(client.join(), accepted)?;
    talk(&mut ctx.session(client), &mut ctx.session(server)).await
}

async fn connected_first(
    mut listener: Box<dyn Listener>,
    registry: Registry,
    dial: Endpoint,
    config: SessionConfig,
) -> Outcome {
    /// The system may be late once.
    const ATTEMPTS: usize = 10;
    for _ in 0..ATTEMPTS {
        let mut client = pin!(connect(&registry, &dial));
        let connected = tokio::select! {
            biased;
            link = &mut client => Some(link?),
            () = turns() => None,
        };
        if let Some(connected) = connected {
            listener.refuse_arrivals().or_broken("refuse arrivals")?;
            let accepted = establish(take(&mut listener).await?).await?;
            let (mut client, mut server) = (Session::new(connected, config.clone()), Session::new(accepted, config));
            return talk(&mut client, &mut server).await;
        }
        tokio::select! {
            link = &mut client => drop((link?, take(&mut listener).await?)),
            incoming = take(&mut listener) => drop(incoming?),
        }
    }
    Err(Stop::skipped("nobody is connected before it is accepted"))
}

/// Dropping a listener leaves the sessions that it accepted alone.
///
/// # Errors
/// The law is broken.
pub async fn listener_drop(ctx: &Context) -> Outcome {
    let mut listener = ctx.listen().await?;
    let (client, server) = ctx.meet(&mut listener).await?;
    let (mut client, mut server) = (ctx.session(client), ctx.session(server));
    talk(&mut client, &mut server).await?;
    drop(listener);
    ctx.step("talk after the listener was dropped");
    talk(&mut client, &mut server).await.or_broken("after the listener was dropped")
}

/// 64 clients that connect at the same time all get in and are answered.
///
/// # Errors
/// The law is broken.
pub async fn concurrent_connects(ctx: &Context) -> Outcome {
    const CLIENTS: u64 = 64;
    let local = ctx.echo().await?;
    let clients: Vec<_> = (0..CLIENTS).map(|number| exchange_once(ctx, &local, number)).collect();
    ctx.step(format!("wait for {CLIENTS} clients"));
    try_join_all(clients.into_iter().map(Task::join)).await.map(drop)
}

/// A client in a task of its own; it stays connected until its result is dropped.
fn exchange_once(
    ctx: &Context,
    endpoint: &Endpoint,
    number: u64,
) -> Task<Client> {
    let (registry, endpoint, config, kind) = (ctx.registry().clone(), endpoint.clone(), ctx.config(), ctx.kind());
    spawn("a client", async move {
        let link = connect(&registry, &endpoint).await?;
        let mut client = Client::new(link, config, kind);
        client.exchange(&payload(number, 32)).await?;
        Ok(client)
    })
}
