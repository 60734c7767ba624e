//! Laws about much data: bulk, order, slow readers, slicing.

use std::io::IoSlice;

use futures::FutureExt as _;
use swapwire_core::{ByteStream, Framing, Link, Session, SessionConfig, TrySendError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::task::yield_now;

use crate::context::spawn;
use crate::stop::{OrBroken as _, ensure};
use crate::wire::{both_ways, expect};
use crate::{Context, Outcome, Sliced, Stop, check, payload};

const MEBIBYTE: usize = 1 << 20;

/// 1 MiB in odd pieces arrives equal, both ways at once; over datagrams, one request and answer after the other.
///
/// # Errors
/// The law is broken.
pub async fn bulk(ctx: &Context) -> Outcome {
    if ctx.is_datagram() {
        let local = ctx.echo().await?;
        let mut client = ctx.client(&local).await?;
        for message in odd_messages(ctx, 1) {
            client.exchange(&message).await?;
        }
        return Ok(());
    }
    let (client, server) = ctx.links().await?;
    ctx.step("move 1 MiB both ways at once");
    match (client, server) {
        (Link::Bytes { io: client, .. }, Link::Bytes { io: server, .. }) => {
            let (client_reads, client_writes) = tokio::io::split(client);
            let (server_reads, server_writes) = tokio::io::split(server);
            let writes = (spawn("the client", write(client_writes, 1)), spawn("the server", write(server_writes, 2)));
            let reads = (spawn("the server", read(server_reads, 1)), spawn("the client", read(client_reads, 2)));
            tokio::try_join!(writes.0.join(), writes.1.join(), reads.0.join(), reads.1.join())?;
            Ok(())
        }
        (client, server) => {
            let (client, server) = (ctx.session(client), ctx.session(server));
            both_ways(client, server, odd_messages(ctx, 1), odd_messages(ctx, 2)).await
        }
    }
}

/// 1 MiB in messages of odd lengths that the wire can carry.
fn odd_messages(ctx: &Context, seed: u64) -> Vec<Vec<u8>> {
    let max = ctx.config().max_message;
    let mut messages = Vec::new();
    let mut left = MEBIBYTE;
    for len in [1, 7, 1000, 4097, 30_001, 333, 60_000, 2, 65_507].into_iter().cycle() {
        if left == 0 {
            break;
        }
        let len = len.min(max).min(left).max(1);
        messages.push(payload(seed << 32 | messages.len() as u64, len));
        left -= len;
    }
    messages
}

async fn write(
    mut io: WriteHalf<Box<dyn ByteStream>>,
    seed: u64,
) -> Result<WriteHalf<Box<dyn ByteStream>>, Stop> {
    let bytes = payload(seed, MEBIBYTE);
    let mut rest = bytes.as_slice();
    for len in [1, 3, 4096, 7, 8191, 65_537, 100, 17].into_iter().cycle() {
        let (piece, _) = rest.split_at(len.min(rest.len()));
        let (first, second) = piece.split_at(piece.len() / 3);
        let written = io.write_vectored(&[IoSlice::new(first), IoSlice::new(second)]).await.or_broken("write")?;
        ensure!(written > 0 && written <= piece.len(), "a write of {} bytes wrote {written}", piece.len());
        rest = &rest[written..];
        if rest.is_empty() {
            break;
        }
    }
    io.flush().await.or_broken("flush")?;
    Ok(io)
}

async fn read(mut io: ReadHalf<Box<dyn ByteStream>>, seed: u64) -> Result<ReadHalf<Box<dyn ByteStream>>, Stop> {
    let mut got = Vec::with_capacity(MEBIBYTE);
    let mut buffer = vec![0; 65_536];
    for len in [1, 5, 1000, 4097, 65_536].into_iter().cycle() {
        let len = len.min(MEBIBYTE - got.len());
        let read = io.read(&mut buffer[..len]).await.or_broken("read")?;
        ensure!(read > 0, "the stream ended after {} of {MEBIBYTE} bytes", got.len());
        got.extend_from_slice(&buffer[..read]);
        if got.len() == MEBIBYTE {
            break;
        }
    }
    check(seed, &got).or_broken("1 MiB came as")?;
    Ok(io)
}

/// Many messages that are on their way at once arrive in order, none lost, none twice.
///
/// # Errors
/// The law is broken.
pub async fn in_order(ctx: &Context) -> Outcome {
    const MESSAGES: u64 = 2000;
    let list = |seed: u64| (0..MESSAGES).map(|number| payload(seed << 32 | number, 16)).collect();
    if !ctx.is_datagram() {
        let (client, server) = ctx.sessions().await?;
        return both_ways(client, server, list(1), list(2)).await;
    }
    let capabilities = ctx.capabilities();
    ctx.needs(capabilities.ordered && capabilities.reliable, "the wire may lose or reorder datagrams")?;
    // Few at a time: a socket's queue may be short (10 for Unix datagrams, unless the system is told otherwise).
    const AT_ONCE: usize = 4;
    let local = ctx.echo().await?;
    let mut client = ctx.client(&local).await?;
    let messages: Vec<Vec<u8>> = list(1);
    for window in messages.chunks(AT_ONCE) {
        for message in window {
            ensure!(client.say(message).await?, "a datagram was refused though only {AT_ONCE} are on their way");
        }
        for message in window {
            client.hear(message).await?;
        }
    }
    Ok(())
}

/// A peer that does not read stalls the sender before much is taken, `try_send` says full, a stalled `send` that is
/// dropped sends nothing, and once the peer reads, everything arrives.
///
/// # Errors
/// The law is broken.
pub async fn slow_reader(ctx: &Context) -> Outcome {
    /// What may be taken for a peer that reads nothing: system buffers grow to several MiB.
    const LIMIT: usize = 64 << 20;
    /// A send that was refused so often is stalled; it is no harm if it is not.
    const STALLED: usize = 100;
    ctx.needs(!ctx.is_datagram(), "datagrams are dropped where streams stall; see slow_peer")?;
    let (mut client, mut server) = ctx.sessions().await?;
    let len = ctx.config().max_message.min(16 << 10);
    let within = |sent: u64| {
        ensure!(sent as usize * len < LIMIT, "{LIMIT} bytes were taken for a peer that reads nothing");
        Ok(())
    };
    ctx.step("send until it stalls");
    let (mut sent, mut refused) = (0, 0);
    while refused < STALLED {
        within(sent)?;
        match client.send(payload(sent, len)).now_or_never() {
            Some(result) => {
                result.or_broken("send to a peer that does not read")?;
                (sent, refused) = (sent + 1, 0);
            }
            None => {
                refused += 1;
                yield_now().await;
            }
        }
    }
    loop {
        within(sent)?;
        match client.try_send(payload(sent, len)) {
            Ok(()) => sent += 1,
            Err(TrySendError::Full) => break,
            Err(error) => return Err(error).or_broken("try_send to a peer that does not read"),
        }
    }
    let sender = spawn("the sender", async move {
        client.send(payload(sent, len)).await.or_broken("a send that had stalled")?;
        client.flush().await.or_broken("flush after a stall")?;
        Ok(client)
    });
    for number in 0..=sent {
        ctx.step(format!("receive message {number} of {sent} after a stall"));
        let got = expect(&mut server).await?;
        check(number, &got).or_broken(format_args!("message {number} of {sent} came as"))?;
        ensure!(got.len() == len, "message {number} of {sent} has {} bytes instead of {len}", got.len());
    }
    sender.join().await?;
    Ok(())
}

/// A framing over a byte stream gives whole messages, however the bytes are sliced.
///
/// # Errors
/// The law is broken.
pub async fn framing_slices(ctx: &Context) -> Outcome {
    const MESSAGES: usize = 60;
    const FIXED: usize = 5;
    let framings = ["lines", "length:1", "length", "length:3", "varint", "length:8le", "delimiter:<end>", "fixed:5"];
    ctx.needs(!ctx.capabilities().boundaries(), "the wire has boundaries of its own")?;
    for (seed, text) in framings.into_iter().enumerate() {
        let framing: Framing = text.parse().or_broken("a framing")?;
        let (client, server) = ctx.links().await?;
        ctx.step(format!("send sliced messages framed as {text}"));
        let sliced = |link, seed| match link {
            Link::Bytes { io, info } => {
                let link = Link::bytes(Sliced::new(io, seed), info);
                Ok(Session::new(link, SessionConfig::framed(framing.clone())))
            }
            other => Err(Stop::broken(format!("{other:?} has boundaries, the shape is a byte stream"))),
        };
        let letters = |seed: usize| {
            let len = |number| if matches!(framing, Framing::Fixed(_)) { FIXED } else { number };
            let letters = |number| payload((seed * MESSAGES + number) as u64, len(number));
            (0..MESSAGES).map(|n| letters(n).into_iter().map(|byte| b'a' + byte % 26).collect()).collect()
        };
        let seed = 2 * seed;
        let (client, server) = (sliced(client, seed as u64)?, sliced(server, seed as u64 + 1)?);
        both_ways(client, server, letters(seed), letters(seed + 1)).await.or_broken(format_args!("framing {text}"))?;
    }
    Ok(())
}
