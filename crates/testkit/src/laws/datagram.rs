//! Laws about datagram sockets.

use std::sync::Arc;

use swapwire_core::{Bound, RecvBatch, SendBatch};

use crate::client::Client;
use crate::echo::{receive, send_all, serve};
use crate::stop::{OrBroken as _, ensure};
use crate::{Context, Outcome, Stop, payload};

/// A peer that never reads does not stall the others: its datagrams are refused or lost, the socket goes on, and so do the
/// entries of the same batch that go elsewhere. Once it reads, it is answered again.
///
/// # Errors
/// The law is broken.
pub async fn slow_peer(ctx: &Context) -> Outcome {
    ctx.needs(ctx.capabilities().isolated_peers, "one peer that does not read can hold up the others")?;
    const ROUNDS: usize = 64;
    const PER_ROUND: usize = 64;
    const OTHERS: u64 = 4;
    let mut socket = ctx.socket().await?;
    let mut slow = ctx.client(&socket.local()).await?;
    let slow_addr = ctx.introduce(&mut slow, &mut socket, b"I shall not read").await?;
    let mut other = ctx.client(&socket.local()).await?;
    let other_addr = ctx.introduce(&mut other, &mut socket, b"I shall").await?;

    let flood = payload(7, 1024.min(ctx.config().max_message));
    let mut batch = SendBatch::new();
    (0..PER_ROUND).for_each(|_| batch.push(&flood, slow_addr, None));
    for round in 0..ROUNDS {
        ctx.step(format!("send {PER_ROUND} datagrams to a peer that does not read, round {round} of {ROUNDS}"));
        send_all(&mut socket, &batch).await?;
    }
    batch.clear();
    for number in 0..OTHERS {
        batch.push(&flood, slow_addr, None);
        batch.push(&payload(number, 32), other_addr, None);
    }
    ctx.step("send to another peer in the same batch as to one that does not read");
    let refused = send_all(&mut socket, &batch).await?;
    let spared = refused.iter().all(|index| index.is_multiple_of(2));
    ensure!(spared || !ctx.capabilities().reliable, "datagrams to another peer were refused: entries {refused:?}");
    if ctx.capabilities().reliable {
        for number in 0..OTHERS {
            other.hear(&payload(number, 32)).await?;
        }
    } else {
        other.stale.extend((0..OTHERS).map(|number| payload(number, 32)));
    }
    let echo = serve(Bound::Socket(socket), ctx.config(), Arc::new(<[u8]>::to_vec));
    ctx.background(echo);
    ctx.step("exchange messages beside a peer that does not read");
    for round in 0..20 {
        other.exchange(&payload(100 + round, 64)).await?;
    }
    ctx.step("exchange messages with the peer that did not read");
    slow.stale.push(flood);
    drain(&mut slow).await?;
    slow.exchange(b"now I read").await
}

/// Reads what has arrived already.
async fn drain(client: &mut Client) -> Outcome {
    loop {
        let next = tokio::select! {
            biased;
            next = client.next() => next,
            () = tokio::task::yield_now() => return Ok(()),
        };
        let Some(got) = next else { return Ok(()) };
        let got = got.or_broken("receive")?.ok_or_else(|| Stop::broken("the session ended"))?;
        let known = client.stale.iter().any(|stale| got == stale);
        ensure!(known, "a datagram of {} bytes arrived that nobody sent", got.len());
    }
}

/// A peer that is gone makes errors about itself at most: the socket goes on.
///
/// # Errors
/// The law is broken.
pub async fn dead_peer(ctx: &Context) -> Outcome {
    let mut socket = ctx.socket().await?;
    let mut batch = SendBatch::new();
    for round in 0..4 {
        let mut client = ctx.client(&socket.local()).await?;
        let peer = ctx.introduce(&mut client, &mut socket, &payload(round, 16)).await?;
        drop(client);
        batch.clear();
        (0..16).for_each(|_| batch.push(b"are you there", peer, None));
        ctx.step("send to a peer that is gone");
        send_all(&mut socket, &batch).await?;
    }
    let local = socket.local();
    ctx.echo_at(Bound::Socket(socket));
    let mut client = ctx.client(&local).await?;
    ctx.step("exchange messages after a peer has gone");
    for round in 0..20 {
        client.exchange(&payload(round, 64)).await?;
    }
    Ok(())
}

/// Batches keep datagrams apart and peers too: several of equal and of different lengths, received by several slots at
/// once and by one, sent to two peers in turn.
///
/// # Errors
/// The law is broken.
pub async fn batches(ctx: &Context) -> Outcome {
    let mut socket = ctx.socket().await?;
    let (mut first, mut second) = (ctx.client(&socket.local()).await?, ctx.client(&socket.local()).await?);
    let first_addr = ctx.introduce(&mut first, &mut socket, b"the first").await?;
    let second_addr = ctx.introduce(&mut second, &mut socket, b"the second").await?;
    ensure!(first_addr != second_addr, "two clients have one address, {first_addr}");

    let max = ctx.config().max_message;
    let list = |seed: u64, lens: &[usize]| -> Vec<Vec<u8>> {
        let message = |(number, len): (usize, &usize)| payload(seed << 32 | number as u64, (*len).min(max));
        lens.iter().enumerate().map(message).collect()
    };
    let sent = list(1, &[100, 100, 0, 40]);
    for slots in [1, 8] {
        let mut batch = RecvBatch::new(slots, socket.max_message());
        let mut missing = sent.clone();
        while !missing.is_empty() {
            missing.clone_from(&sent);
            ctx.step(format!("receive {} datagrams by {slots} slots", sent.len()));
            for message in &sent {
                first.say(message).await?;
            }
            while !missing.is_empty() {
                match ctx.kind().patiently(receive(&mut socket, &mut batch)).await {
                    Some(received) => received?,
                    None => break,
                }
                ensure!(batch.len() <= slots, "{} datagrams in {slots} slots", batch.len());
                for (meta, message) in batch.datagrams() {
                    let introduction = message.starts_with(b"the ");
                    let is_known = meta.peer == Some(first_addr) || !ctx.capabilities().stable_peers;
                    ensure!(introduction || is_known, "a datagram came from {:?}", meta.peer);
                    tick(&mut missing, message, &sent)?;
                }
            }
        }
    }
    let to_first = list(2, &[200, 200, 0, 200, 33]);
    let to_second = list(3, &[200, 5, 200]);
    let mut batch = SendBatch::new();
    for (number, message) in to_first.iter().enumerate() {
        batch.push(message, first_addr, None);
        if let Some(message) = to_second.get(number) {
            batch.push(message, second_addr, None);
        }
    }
    let (mut first_missing, mut second_missing) = (to_first.clone(), to_second.clone());
    while !(first_missing.is_empty() && second_missing.is_empty()) {
        (first_missing, second_missing) = (to_first.clone(), to_second.clone());
        ctx.step("receive what one batch brought to two peers");
        let refused = send_all(&mut socket, &batch).await?;
        ensure!(refused.is_empty() || !ctx.capabilities().reliable, "entries {refused:?} were refused");
        collect(&mut first, &mut first_missing, &to_first).await?;
        collect(&mut second, &mut second_missing, &to_second).await?;
    }
    Ok(())
}

/// Receives until nothing is missing, or until it is time to ask again.
pub(super) async fn collect(client: &mut Client, missing: &mut Vec<Vec<u8>>, all: &[Vec<u8>]) -> Outcome {
    while !missing.is_empty() {
        match client.next().await {
            Some(got) => {
                let got = got.or_broken("receive")?.ok_or_else(|| Stop::broken("the session ended"))?;
                tick(missing, &got, all)?;
            }
            None => return Ok(()),
        }
    }
    Ok(())
}

/// Ticks `message` off; it must be one of `all`, or an introduction that was sent again.
pub(super) fn tick(missing: &mut Vec<Vec<u8>>, message: &[u8], all: &[Vec<u8>]) -> Outcome {
    let known = all.iter().any(|sent| sent == message) || message.starts_with(b"the ");
    ensure!(known, "a datagram of {} bytes arrived that nobody sent", message.len());
    if let Some(index) = missing.iter().position(|missing| missing == message) {
        missing.remove(index);
    }
    Ok(())
}
