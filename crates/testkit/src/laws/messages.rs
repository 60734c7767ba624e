//! Laws about messages, for every shape of wire; byte streams get a framing.

use std::future::poll_fn;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::try_join_all;
use swapwire_core::{FrameError, Link, RecvError, SendBatch, SendError};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Barrier;
use tokio::task::yield_now;

use crate::client::Client;
use crate::context::spawn;
use crate::echo::{send_all, serve};
use crate::payload::compare;
use crate::stop::{OrBroken as _, ensure};
use crate::wire::{both_ways, connect, expect, talk};
use crate::{Context, Outcome, Stop, payload};

/// A thousand small messages, each answered before the next.
///
/// # Errors
/// The law is broken.
pub async fn ping_pong(ctx: &Context) -> Outcome {
    let local = ctx.echo().await?;
    let mut client = ctx.client(&local).await?;
    for round in 0..1000 {
        ctx.step(format!("round {round} of 1000"));
        client.exchange(&payload(round, 16)).await?;
    }
    Ok(())
}

/// Messages of any length arrive whole and one by one, the empty one and the largest included.
///
/// # Errors
/// The law is broken.
pub async fn boundaries(ctx: &Context) -> Outcome {
    if ctx.is_datagram() {
        let local = ctx.echo().await?;
        let mut client = ctx.client(&local).await?;
        for len in lengths(ctx.config().max_message) {
            ctx.step(format!("exchange a datagram of {len} bytes"));
            client.exchange(&payload(len as u64, len)).await?;
        }
        return Ok(());
    }
    let (client, server) = ctx.links().await?;
    let largest = |link: &Link| match link {
        Link::Messages { io, .. } => io.max_message().min(ctx.config().max_message),
        _ => ctx.config().max_message,
    };
    let list = |seed: u64, max: usize| {
        // Empty ones in a row, and small behind large.
        let lens = lengths(max).into_iter().chain([0, 0, max, 1, 0]);
        lens.map(|len| payload(seed << 32 | len as u64, len)).collect()
    };
    let (asks, answers) = (list(1, largest(&client)), list(2, largest(&server)));
    both_ways(ctx.session(client), ctx.session(server), asks, answers).await
}

/// Lengths up to `max`, it included.
fn lengths(max: usize) -> Vec<usize> {
    let mut lens = vec![0, 1, 2, 3, 63, 64, 65, 1000, 1472, 1473, 4095, 4096, 4097, 9000, 65_507, max - 1, max];
    lens.retain(|len| *len <= max);
    lens.sort_unstable();
    lens.dedup();
    lens
}

/// A message that is larger than the largest is [`SendError::TooLarge`], and the session goes on; so does the wire below
/// it, and a datagram socket.
///
/// # Errors
/// The law is broken.
pub async fn too_large(ctx: &Context) -> Outcome {
    let local = ctx.echo().await?;
    let mut client = ctx.client(&local).await?;
    let large = vec![0; ctx.config().max_message + 1];
    match client.session.send(&large).await {
        Err(SendError::TooLarge { .. }) => {}
        Err(error) => return Err(error).or_broken("a message above the limit gives another error"),
        Ok(()) => return Err(Stop::broken(format!("a message of {} bytes was taken", large.len()))),
    }
    client.exchange(b"after one that was too large").await?;

    let mut link = ctx.connect(&local).await?;
    if let Link::Messages { io, .. } = &mut link {
        let large = vec![0; io.max_message() + 1];
        ctx.step(format!("send {} bytes over the bare wire", large.len()));
        let result = poll_fn(|cx| io.poll_send(cx, &large)).await;
        let refused = matches!(result, Err(SendError::TooLarge { .. }));
        ensure!(refused, "a wire that carries {} bytes answers one more with {result:?}", io.max_message());
        ctx.client_over(link).exchange(b"over the same wire").await?;
    }
    if ctx.is_datagram() { too_large_for_socket(ctx).await } else { Ok(()) }
}

async fn too_large_for_socket(ctx: &Context) -> Outcome {
    let mut socket = ctx.socket().await?;
    let mut client = ctx.client(&socket.local()).await?;
    let peer = ctx.introduce(&mut client, &mut socket, b"hello").await?;
    let mut batch = SendBatch::new();
    batch.push(&vec![0; socket.max_message() + 1], peer, None);
    batch.push(b"small enough", peer, None);
    loop {
        ctx.step("send a datagram that is too large and one that is not");
        let refused = send_all(&mut socket, &batch).await?;
        ensure!(refused.contains(&0), "a datagram of one byte more than max_message was sent");
        if client.hear(b"small enough").await? {
            return Ok(());
        }
    }
}

/// A receive that fails does not disturb sends, and a send that fails does not disturb receives.
///
/// # Errors
/// The law is broken.
pub async fn errors_stay_apart(ctx: &Context) -> Outcome {
    if ctx.capabilities().boundaries() {
        failed_receive_of_message(ctx).await?;
    } else {
        failed_receive_of_frame(ctx).await?;
    }
    if ctx.is_datagram() {
        // Sends that fail and what is received after them: too_large.
        return Ok(());
    }
    let (mut client, mut server) = ctx.sessions().await?;
    let large = vec![0; ctx.config().max_message + 1];
    for (failing, other) in [(true, false), (false, true)] {
        ctx.step(format!("receive after a failed send; the client's: {failing}, the server's: {other}"));
        let session = if failing { &mut client } else { &mut server };
        ensure!(session.send(&large).await.is_err(), "a message above the limit was taken");
        talk(&mut client, &mut server).await.or_broken("after a send that failed")?;
    }
    Ok(())
}

async fn failed_receive_of_message(ctx: &Context) -> Outcome {
    const SHORT: usize = 8;
    let bound = ctx.bind(&ctx.fresh()).await?;
    let local = ctx.dial(&bound);
    let answer = |message: &[u8]| if message == b"large" { vec![0; SHORT + 1] } else { message.to_vec() };
    ctx.background(serve(bound, ctx.config(), Arc::new(answer)));
    let mut config = ctx.config();
    config.max_message = SHORT;
    let link = ctx.connect(&local).await?;
    // There, it is a frame of the byte stream below, behind which nothing can be read.
    let is_framed = matches!(link, Link::Framed { .. });
    let mut client = Client::new(link, config, ctx.kind());
    ctx.step("receive a message that is larger than this session's limit");
    loop {
        client.say(b"large").await?;
        match client.next().await {
            Some(Err(RecvError::Frame(FrameError::TooLarge { .. }))) if is_framed => return Ok(()),
            Some(Err(RecvError::TooLarge { .. })) => break,
            Some(other) => return Err(Stop::broken(format!("a message above the limit gave {other:?}"))),
            None => {}
        }
    }
    ctx.step("exchange messages after a receive that failed");
    loop {
        if client.say(b"small").await? {
            match client.next().await {
                Some(Ok(Some(got))) if got == b"small".as_slice() => return Ok(()),
                // The answer to a question that was asked again.
                Some(Err(RecvError::TooLarge { .. })) if !ctx.capabilities().reliable => {}
                Some(other) => return Err(Stop::broken(format!("after a receive that failed: {other:?}"))),
                None => {}
            }
        }
    }
}

async fn failed_receive_of_frame(ctx: &Context) -> Outcome {
    let (client, server) = ctx.links().await?;
    let Link::Bytes { io: mut client, .. } = client else {
        return Err(Stop::broken("connect gave messages, the shape is a byte stream"));
    };
    let mut server = ctx.session(server);
    ctx.step("receive a frame that claims 4 GiB");
    let write = async {
        client.write_all(&[0xff; 8]).await.or_broken("write")?;
        client.flush().await.or_broken("flush")
    };
    let (written, got) = tokio::join!(write, server.recv());
    written?;
    ensure!(matches!(got, Err(RecvError::Frame(_))), "a frame that claims 4 GiB gave {got:?}");
    ctx.step("send after a receive that failed");
    server.send(b"still here").await.or_broken("send after a receive that failed")?;
    let mut bytes = [0; 14];
    let read = async { tokio::io::AsyncReadExt::read_exact(&mut client, &mut bytes).await.or_broken("read") };
    let flush = async { server.flush().await.or_broken("flush after a receive that failed") };
    tokio::try_join!(read, flush)?;
    compare(b"\0\0\0\x0astill here", &bytes).or_broken("a frame came as")
}

/// A `recv` that is dropped while it waits loses nothing, and no part of a message.
///
/// # Errors
/// The law is broken.
pub async fn cancelled_recv(ctx: &Context) -> Outcome {
    const MESSAGES: u64 = 200;
    let message = |number: u64| payload(number, 1 + number as usize % 50);
    if ctx.is_datagram() {
        let local = ctx.echo().await?;
        let mut client = ctx.client(&local).await?;
        for number in 0..MESSAGES {
            ctx.step(format!("receive datagram {number} of {MESSAGES}, often dropped"));
            cancelling_exchange(&mut client, ctx, &message(number)).await?;
        }
        return Ok(());
    }
    let (client, server) = ctx.links().await?;
    let mut server = ctx.session(server);
    let client = match client {
        Link::Bytes { mut io, .. } => spawn("a client that writes byte by byte", async move {
            for number in 0..MESSAGES {
                let message = message(number);
                let mut frame = (message.len() as u32).to_be_bytes().to_vec();
                frame.extend_from_slice(&message);
                for byte in frame {
                    io.write_all(&[byte]).await.or_broken("write")?;
                    io.flush().await.or_broken("flush")?;
                    yield_now().await;
                }
            }
            Ok(Box::new(io) as Box<dyn Send>)
        }),
        link => {
            let mut client = ctx.session(link);
            spawn("a client", async move {
                for number in 0..MESSAGES {
                    client.send(message(number)).await.or_broken("send")?;
                    client.flush().await.or_broken("flush")?;
                    yield_now().await;
                }
                Ok(Box::new(client) as Box<dyn Send>)
            })
        }
    };
    for number in 0..MESSAGES {
        ctx.step(format!("receive message {number} of {MESSAGES}, often dropped"));
        let got = loop {
            match expect(&mut server).now_or_never() {
                Some(got) => break got?,
                None => yield_now().await,
            }
        };
        compare(&message(number), &got).or_broken(format_args!("message {number} of {MESSAGES} came as"))?;
    }
    client.join().await?;
    Ok(())
}

async fn cancelling_exchange(client: &mut Client, ctx: &Context, message: &[u8]) -> Outcome {
    loop {
        if !client.say(message).await? {
            continue;
        }
        let session = &mut client.session;
        let stale = &client.stale;
        let recv = async {
            loop {
                match session.recv().now_or_never() {
                    Some(Ok(Some(got))) if stale.iter().any(|stale| got == stale) => {}
                    Some(Err(RecvError::PeerNoise(_))) | None => yield_now().await,
                    Some(result) => return result,
                }
            }
        };
        match ctx.kind().patiently(recv).await {
            Some(Ok(Some(got))) => return compare(message, &got).or_broken("the answer is"),
            Some(other) => return Err(Stop::broken(format!("{other:?} where an answer was due"))),
            None => client.stale.push(message.to_vec()),
        }
    }
}

/// Answers go to the client that asked, when 16 clients have asked before any of them looks for its answer.
///
/// # Errors
/// The law is broken.
pub async fn no_crosstalk(ctx: &Context) -> Outcome {
    const CLIENTS: u64 = 16;
    const MESSAGES: u64 = 50;
    let local = ctx.echo().await?;
    let all_asked = Arc::new(Barrier::new(CLIENTS as usize));
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let (registry, local, config, kind) = (ctx.registry().clone(), local.clone(), ctx.config(), ctx.kind());
        let all_asked = Arc::clone(&all_asked);
        let client = spawn("a client", async move {
            let mut client = Client::new(connect(&registry, &local).await?, config, kind);
            for message in 0..MESSAGES {
                let message = payload(number << 32 | message, 40);
                let asked = client.say(&message).await?;
                all_asked.wait().await;
                if !asked || !client.hear(&message).await? {
                    client.exchange(&message).await?;
                }
            }
            Ok(client)
        });
        clients.push(async move { client.join().await.or_broken(format_args!("client {number} of {CLIENTS}")) });
    }
    ctx.step(format!("wait for {CLIENTS} clients"));
    try_join_all(clients).await.map(drop)
}
