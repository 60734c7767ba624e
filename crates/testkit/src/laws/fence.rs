//! Laws about datagram sockets that know their last arrival, and when their replies have arrived.

use std::future::poll_fn;

use swapwire_core::{Arrivals, DatagramSocket, RecvBatch, RecvError, SendBatch};

use super::datagram::{collect, tick};
use crate::client::Client;
use crate::echo::{send_all, usable};
use crate::stop::{OrBroken as _, ensure};
use crate::{Context, Outcome, Stop, payload};

/// Fewer than the shortest queue holds.
const COUNT: u64 = 5;

/// A socket that refuses arrivals gives all that was sent before and was not refused, then empty batches, and nothing behind them.
/// Whoever sends later has an error, from sending or from receiving, and is still answered.
///
/// # Errors
/// The law is broken.
pub async fn fenced_drain(ctx: &Context) -> Outcome {
    let mut socket = ctx.socket().await?;
    let mut client = ctx.client(&socket.local()).await?;
    let peer = ctx.introduce(&mut client, &mut socket, b"the first").await?;
    let sent: Vec<_> = (0..COUNT).map(|number| payload(number, 32)).collect();
    let mut due = Vec::new();
    for message in &sent {
        if client.say(message).await? {
            due.push(message.clone());
        }
    }
    refuse(&mut socket)?;
    refuse(&mut socket)?;
    ctx.step("receive what was under way when arrivals were refused");
    let mut batch = RecvBatch::new(2, socket.max_message());
    while take(&mut socket, &mut batch).await? {
        for (_, message) in batch.datagrams() {
            tick(&mut due, message, &sent)?;
        }
    }
    ctx.step("be told of what was sent before arrivals were refused, and was not received");
    for _ in due {
        be_told(&mut client).await?;
    }
    for number in 0..COUNT {
        ctx.step("send behind the last one");
        let taken = client.say(&payload(COUNT + number, 32)).await?;
        ensure!(!take(&mut socket, &mut batch).await?, "{} datagrams came behind the last one", batch.len());
        ctx.step("be told of what was sent behind the last one");
        if taken {
            be_told(&mut client).await?;
        }
        ensure!(!take(&mut socket, &mut batch).await?, "{} datagrams came behind the last one", batch.len());
    }
    ctx.step("answer behind the last one");
    let mut answer = SendBatch::new();
    answer.push(b"an answer", peer, None);
    send_all(&mut socket, &answer).await?;
    let heard = client.hear(b"an answer").await?;
    ensure!(heard, "an answer behind the last one does not arrive");
    Ok(())
}

/// Once a socket that refused arrivals says that its replies have arrived, it may be dropped, and all of them can be received.
///
/// # Errors
/// The law is broken.
pub async fn flush_reaches(ctx: &Context) -> Outcome {
    let mut socket = ctx.socket().await?;
    let mut client = ctx.client(&socket.local()).await?;
    let peer = ctx.introduce(&mut client, &mut socket, b"the first").await?;
    refuse(&mut socket)?;
    let mut batch = RecvBatch::new(2, socket.max_message());
    while take(&mut socket, &mut batch).await? {}
    let sent: Vec<_> = (0..COUNT).map(|number| payload(number, 32)).collect();
    let mut replies = SendBatch::new();
    sent.iter().for_each(|reply| replies.push(reply, peer, None));
    let refused = send_all(&mut socket, &replies).await?;
    ensure!(refused.is_empty(), "replies {refused:?} were refused");
    ctx.step("wait until the replies have arrived");
    poll_fn(|cx| socket.poll_flush(cx)).await.or_broken("wait until the replies have arrived")?;
    drop(socket);
    ctx.step("receive the replies of a socket that was dropped behind its flush");
    let mut missing = sent.clone();
    collect(&mut client, &mut missing, &sent).await?;
    ensure!(missing.is_empty(), "{} of {COUNT} replies had not arrived", missing.len());
    Ok(())
}

/// Refuses arrivals; skips the law where the socket cannot.
fn refuse(socket: &mut Box<dyn DatagramSocket>) -> Outcome {
    match socket.refuse_arrivals() {
        Arrivals::Fenced => Ok(()),
        _ => Err(Stop::skipped("the socket does not know its last arrival")),
    }
}

/// Receives into an empty `batch`; whether anything came.
async fn take(socket: &mut Box<dyn DatagramSocket>, batch: &mut RecvBatch) -> Result<bool, Stop> {
    loop {
        batch.clear();
        match poll_fn(|cx| socket.poll_recv(cx, batch)).await {
            Ok(()) => return Ok(!batch.is_empty()),
            Err(error) => usable(socket.as_ref(), "receive", &error)?,
        }
        tokio::task::yield_now().await;
    }
}

/// Receives the error about a message that was sent and that nobody took.
async fn be_told(client: &mut Client) -> Outcome {
    match client.session.recv().await {
        Err(RecvError::PeerNoise(_)) => Ok(()),
        Err(error) => Err(error).or_broken("be told of a message that nobody took"),
        Ok(_) => Err(Stop::broken("an answer came to a message that nobody took")),
    }
}
