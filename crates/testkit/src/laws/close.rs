//! Laws about closing.

use std::future::poll_fn;
use std::pin::pin;

use bytes::Bytes;
use swapwire_core::{RecvBatch, RecvError, Session};
use tokio::sync::oneshot;

use crate::context::{Task, spawn};
use crate::echo::receive;
use crate::stop::{OrBroken as _, ensure};
use crate::wire::{expect, say};
use crate::{Context, Outcome, check, payload};

/// After one end has shut its sending down, the other reads to the end and can still send, and the first receives it all.
///
/// # Errors
/// The law is broken.
pub async fn half_close(ctx: &Context) -> Outcome {
    ctx.needs_connections()?;
    ctx.needs(ctx.capabilities().half_close, "the wire has no half-close")?;
    let (client, server) = ctx.sessions().await?;
    ctx.step("send after the client has shut down");
    goes_on(client, server).await.or_broken("after the client's shutdown")?;
    let (client, server) = ctx.sessions().await?;
    ctx.step("send after the server has shut down");
    goes_on(server, client).await.or_broken("after the server's shutdown")
}

async fn goes_on(mut closed: Session, mut open: Session) -> Outcome {
    const MESSAGES: u64 = 64;
    const LEN: usize = 4000;
    let close = async {
        closed.send(b"last words").await.or_broken("send")?;
        closed.shutdown().await.or_broken("shutdown")
    };
    let ((), last) = tokio::try_join!(close, expect(&mut open))?;
    ensure!(last == b"last words".as_slice(), "the last message before a shutdown did not arrive");
    let end = open.recv().await.or_broken("receive the end")?;
    ensure!(end.is_none(), "a message arrived after the end");
    let sender = spawn("the end that is still open", async move {
        for number in 0..MESSAGES {
            open.send(payload(number, LEN)).await.or_broken("send")?;
        }
        open.shutdown().await.or_broken("shutdown")?;
        Ok(open)
    });
    for number in 0..MESSAGES {
        let got = expect(&mut closed).await.or_broken(format_args!("message {number} of {MESSAGES}"))?;
        ensure!(got.len() == LEN && check(number, &got).is_ok(), "message {number} of {MESSAGES} is not what was sent");
    }
    let end = closed.recv().await.or_broken("receive the end")?;
    ensure!(end.is_none(), "a message arrived after the end");
    sender.join().await?;
    Ok(())
}

/// What was sent before a `shutdown` arrives, though the session is dropped after it.
///
/// # Errors
/// The law is broken.
pub async fn close_flushes(ctx: &Context) -> Outcome {
    if ctx.is_datagram() {
        return datagram_outlives_client(ctx).await;
    }
    for (client_sends, messages) in [(true, 1), (false, 1), (true, 128), (false, 128)] {
        let (client, server) = ctx.sessions().await?;
        let (from, to) = if client_sends { (client, server) } else { (server, client) };
        let sender = if client_sends { "the client" } else { "the server" };
        ctx.step(format!("receive {messages} messages that {sender} sent before it closed"));
        all_before_close(from, to, messages).await.or_broken(format_args!("{sender} sent, shut down and dropped"))?;
    }
    Ok(())
}

async fn all_before_close(mut from: Session, mut to: Session, messages: u64) -> Outcome {
    let len = |messages| if messages == 1 { 100 } else { 4000 };
    let sender = spawn("the end that closes", async move {
        for number in 0..messages {
            from.send(payload(number, len(messages))).await.or_broken("send")?;
        }
        from.shutdown().await.or_broken("shutdown")
    });
    let sender = if messages == 1 {
        // So little needs no reader to be on its way: the sender is gone when it is read.
        sender.join().await?;
        None
    } else {
        Some(sender)
    };
    for number in 0..messages {
        let got = expect(&mut to).await.or_broken(format_args!("message {number} of {messages}"))?;
        let whole = got.len() == len(messages) && check(number, &got).is_ok();
        ensure!(whole, "message {number} of {messages} is not what was sent");
    }
    ensure!(!matches!(to.recv().await, Ok(Some(_))), "a message arrived after the end");
    match sender {
        Some(sender) => sender.join().await,
        None => Ok(()),
    }
}

async fn datagram_outlives_client(ctx: &Context) -> Outcome {
    let mut socket = ctx.socket().await?;
    let mut batch = RecvBatch::new(1, socket.max_message());
    loop {
        let mut client = ctx.client(&socket.local()).await?;
        let sent = client.say(b"last words").await?;
        client.session.shutdown().await.or_broken("shutdown")?;
        drop(client);
        ctx.step("receive what a client sent before it closed");
        if let (true, Some(received)) = (sent, ctx.kind().patiently(receive(&mut socket, &mut batch)).await) {
            received?;
            ensure!(batch.iter().all(|(_, message)| message == b"last words"), "another message arrived");
            return Ok(());
        }
    }
}

/// Dropping one end wakes a receive that waits at the other; after a half-close, at both.
///
/// # Errors
/// The law is broken.
pub async fn close_wakes_recv(ctx: &Context) -> Outcome {
    let (client, server) = ctx.sessions().await?;
    wakes("the client", client, server, ctx).await?;
    let (client, server) = ctx.sessions().await?;
    wakes("the server", server, client, ctx).await?;
    if !ctx.capabilities().half_close {
        return Ok(());
    }
    let (client, mut server) = ctx.sessions().await?;
    let (mut reader, mut writer) = client.split();
    let (waits, task) = waiting(async move { reader.recv().await });
    let _ = waits.await;
    ctx.step("shut down an end whose own receive waits");
    writer.shutdown().await.or_broken("shutdown")?;
    ensure!(server.recv().await.or_broken("receive the end")?.is_none(), "a message arrived after the end");
    drop(server);
    ctx.step("wait for the receive to be woken");
    ended(task.join().await?)
}

async fn wakes(who: &str, mut waits: Session, closes: Session, ctx: &Context) -> Outcome {
    let (waiting, task) = waiting(async move { waits.recv().await });
    let _ = waiting.await;
    ctx.step(format!("wait until {who}'s receive is woken: the other end was dropped"));
    drop(closes);
    ended(task.join().await?)
}

fn ended(result: Result<Option<Bytes>, RecvError>) -> Outcome {
    ensure!(!matches!(result, Ok(Some(_))), "a message arrived that nobody sent");
    Ok(())
}

/// Spawns a receive, and tells when it waits.
fn waiting<T: Send + 'static>(
    recv: impl Future<Output = T> + Send + 'static,
) -> (oneshot::Receiver<()>, Task<T>) {
    let (tell, told) = oneshot::channel();
    let task = spawn("a receive", async move {
        let mut recv = pin!(recv);
        let mut tell = Some(tell);
        let result = poll_fn(|cx| {
            let poll = recv.as_mut().poll(cx);
            if let Some(tell) = tell.take() {
                let _ = tell.send(());
            }
            poll
        });
        Ok(result.await)
    });
    (told, task)
}

/// Dropping one end ends a send that is stalled at the other.
///
/// # Errors
/// The law is broken.
pub async fn close_wakes_send(ctx: &Context) -> Outcome {
    /// Enough to fill any system's buffers; a sender that gets so far sends to nobody.
    const LIMIT: usize = 64 << 20;
    for client_sends in [true, false] {
        let (client, server) = ctx.sessions().await?;
        let (mut from, mut to) = if client_sends { (client, server) } else { (server, client) };
        let message = payload(0, ctx.config().max_message.min(16 << 10));
        let sender = spawn("the sender", async move {
            let mut taken = 0;
            while from.send(&message).await.is_ok() {
                taken += message.len();
                ensure!(taken < LIMIT, "{LIMIT} bytes were taken for an end that was dropped");
            }
            Ok(())
        });
        expect(&mut to).await?;
        drop(to);
        ctx.step(format!("wait until a stalled send is woken: the other end was dropped; the client sends: {client_sends}"));
        sender.join().await?;
    }
    Ok(())
}

/// Once one end has shut down, the other reads to the end and is dropped, without a shutdown where the wire has no good-bye: then
/// the first reads a clean end as well.
///
/// # Errors
/// The law is broken.
pub async fn clean_end(ctx: &Context) -> Outcome {
    ctx.needs_connections()?;
    ctx.needs(ctx.capabilities().half_close, "the wire has no half-close")?;
    for client_ends in [true, false] {
        let (client, server) = ctx.sessions().await?;
        let (mut ending, mut other) = if client_ends { (client, server) } else { (server, client) };
        say(&mut ending, &mut other, b"last words").await?;
        ending.shutdown().await.or_broken("shutdown")?;
        ctx.step(format!("read the end from one that has read to the end; the client ends first: {client_ends}"));
        ensure!(other.recv().await.or_broken("receive the end")?.is_none(), "a message arrived after the end");
        if ctx.capabilities().says_goodbye {
            other.shutdown().await.or_broken("shutdown")?;
        }
        drop(other);
        let end = ending.recv().await.or_broken("receive the end of one that has read to the end")?;
        ensure!(end.is_none(), "a message arrived after the end");
    }
    Ok(())
}
