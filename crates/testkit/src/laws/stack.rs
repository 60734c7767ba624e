//! Laws about wires with a good-bye, and about layers over byte streams.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context as Task, Poll, ready};
use std::time::Duration;

use swapwire_core::{ByteStream, Link, Registry, Session, Side};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::timeout;

use crate::stop::{OrBroken as _, ensure};
use crate::tap::Probe;
use crate::wire::{accept, as_listener, connect, expect, talk};
use crate::{Context, Outcome, Stop};

/// An end that shuts down says good-bye, and the other reads to a clean end; an end that is dropped without it says none, and
/// the other's reading is an error. Both for either end, where wires have a good-bye.
///
/// # Errors
/// The law is broken.
pub async fn goodbye(ctx: &Context) -> Outcome {
    ctx.needs(ctx.capabilities().says_goodbye, "the wire has no good-bye")?;
    for client_ends in [true, false] {
        let ends = if client_ends { "the client ends" } else { "the server ends" };
        let (client, server) = ctx.sessions().await?;
        let (mut ending, mut other) = if client_ends { (client, server) } else { (server, client) };
        talk(&mut ending, &mut other).await?;
        ctx.step(format!("{ends}: read the good-bye"));
        ending.shutdown().await.or_broken("shutdown")?;
        ensure!(other.recv().await.or_broken("receive the good-bye")?.is_none(), "{ends}: a message came after all");
        // As a server ends once it has read to the end.
        other.shutdown().await.or_broken("shutdown behind the other's good-bye")?;
        drop(other);
        let answer = ending.recv().await.or_broken("receive the answer to a good-bye")?;
        ensure!(answer.is_none(), "{ends}: a message came after all");

        let (client, server) = ctx.sessions().await?;
        let (mut ending, mut other) = if client_ends { (client, server) } else { (server, client) };
        talk(&mut ending, &mut other).await?;
        ctx.step(format!("{ends}, without a good-bye"));
        drop(ending);
        ensure!(other.recv().await.is_err(), "{ends} without a good-bye, and the other takes that for a clean end");
    }
    Ok(())
}

/// A wire below that ends too early, wherever that is, is an error of reading and not a clean end.
///
/// # Errors
/// The law is broken.
pub async fn truncation(ctx: &Context) -> Outcome {
    const LEN: usize = 64;
    ctx.needs(ctx.capabilities().says_goodbye, "the wire has no good-bye")?;
    for passes in [0, 1, 4, 5, 20, 40, LEN, usize::MAX] {
        let left = Arc::new(AtomicUsize::new(usize::MAX));
        let registry = {
            let left = Arc::clone(&left);
            tapped_bytes(ctx, move |side, io| match side {
                Side::Connect => Box::new(Cut { io, left: Arc::clone(&left) }),
                _ => io,
            })?
        };
        ctx.step(format!("read what ends below after {passes} bytes"));
        let (client, server) = meet(ctx, &registry).await?;
        left.store(passes.min(usize::MAX - 1), Relaxed);
        let (mut client, mut server) = match (client, server) {
            (Link::Bytes { io: client, .. }, Link::Bytes { io: server, .. }) => (client, server),
            (client, server) => {
                truncated_messages(ctx, ctx.session(client), ctx.session(server), &left).await?;
                continue;
            }
        };
        let sent = async {
            let _ = client.write_all(&[7; LEN]).await;
            let _ = client.flush().await;
            left.store(0, Relaxed);
            // It is cut, or now it is.
            let _ = client.shutdown().await;
        };
        let mut got = Vec::new();
        let ((), read) = tokio::join!(sent, server.read_to_end(&mut got));
        match read {
            Err(error) => ensure!(
                !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
                "a cut after {passes} bytes is {error}"
            ),
            Ok(len) => return Err(Stop::broken(format!("{passes} bytes, then the end below: {len} bytes and a clean end"))),
        }
        ensure!(got.iter().all(|byte| *byte == 7) && got.len() <= LEN, "a cut after {passes} bytes gave {got:?}");
    }
    Ok(())
}

/// The same of messages.
async fn truncated_messages(ctx: &Context, mut client: Session, mut server: Session, left: &AtomicUsize) -> Outcome {
    const MESSAGE: &[u8] = &[7; 64];
    let sent = async {
        let _ = client.send(MESSAGE).await;
        let _ = client.flush().await;
        left.store(0, Relaxed);
        let _ = client.shutdown().await;
    };
    let read = async {
        loop {
            match server.recv().await {
                Ok(Some(message)) => ensure!(message == MESSAGE, "what was cut came as {message:?}"),
                Ok(None) => return Err(Stop::broken("the end below gave a clean end")),
                Err(_) => return Ok(()),
            }
        }
    };
    ctx.step("read messages of a wire that is cut below");
    let ((), read) = tokio::join!(sent, read);
    read
}

/// A handshake whose bytes come one by one, at both ends, is as good as another.
///
/// # Errors
/// The law is broken.
pub async fn handshake_sliced(ctx: &Context) -> Outcome {
    let registry = tapped_bytes(ctx, |_, io| Box::new(ByteByByte { io, waited: false }))?;
    let (client, server) = meet(ctx, &registry).await?;
    talk(&mut ctx.session(client), &mut ctx.session(server)).await
}

/// What one end sends right behind its handshake, in the same piece as its last bytes, arrives first, whole and once.
///
/// # Errors
/// The law is broken.
pub async fn handshake_then_data_in_one_write(ctx: &Context) -> Outcome {
    for side in [Side::Connect, Side::Bind] {
        let registry = tapped_bytes(ctx, move |tapped, io| match tapped == side {
            true => Box::new(Corked { io, held: Vec::new() }),
            false => io,
        })?;
        let bound = registry.bind(&ctx.fresh()).await.or_broken("bind")?;
        let dial = ctx.dial(&bound);
        let mut listener = as_listener(bound)?;
        ctx.step(format!("send behind a handshake; {side:?}"));
        // Neither waits for the other's handshake: what is corked may be its end.
        let client = async {
            let mut session = ctx.session(connect(&registry, &dial).await?);
            ask_or_answer(&mut session, side == Side::Connect).await.map(|()| session)
        };
        let server = async {
            let mut session = ctx.session(accept(&mut listener).await?);
            ask_or_answer(&mut session, side == Side::Bind).await.map(|()| session)
        };
        tokio::try_join!(client, server)?;
    }
    Ok(())
}

/// Two messages, each with its answer. The answer is waited for in any case, which is when a cork is drawn.
async fn ask_or_answer(session: &mut Session, asks: bool) -> Outcome {
    const MESSAGE: &[u8] = b"right behind";
    for _ in 0..2 {
        if asks {
            session.send(MESSAGE).await.or_broken("send")?;
            session.flush().await.or_broken("flush")?;
        }
        let got = expect(session).await?;
        ensure!(got == MESSAGE, "what was sent behind a handshake came as {got:?}");
        if !asks {
            session.send(&got).await.or_broken("send")?;
            session.flush().await.or_broken("flush")?;
        }
    }
    Ok(())
}

/// What the wire below knows of a peer is still known above it, at both ends.
///
/// # Errors
/// The law is broken.
pub async fn peer_info_stacks(ctx: &Context) -> Outcome {
    struct Below;
    let registry = ctx.tapped(|_, link| match link {
        Link::Bytes { io, mut info } => {
            info.peer = info.peer.and(Below);
            Link::Bytes { io, info }
        }
        other => other,
    })?;
    let (client, server) = meet(ctx, &registry).await?;
    for (end, link) in [("the client", client), ("the server", server)] {
        ensure!(link.info().peer.get::<Below>().is_some(), "{end} does not know what the wire below knew of the peer");
    }
    Ok(())
}

/// What a server asks of a stack and of its listeners reaches the wire below, and what that says reaches the server: groups of
/// workers, the refusal of arrivals, upkeep, reloading, what errors mean, whether a queue is shared.
///
/// # Errors
/// The law is broken.
pub async fn forwards(ctx: &Context) -> Outcome {
    const MEMBERS: usize = 3;
    let (registry, probe) = ctx.probed()?;
    registry.bind_group(&ctx.fresh(), MEMBERS).await.or_broken("bind a group")?;
    let asked = probe.group.load(Relaxed);
    ensure!(asked == MEMBERS, "a group of {MEMBERS} was asked for, and one of {asked} of the wire below");
    registry.bind_all(&ctx.fresh(), MEMBERS).await.or_broken("bind all places")?;
    let asked = probe.all.load(Relaxed);
    ensure!(asked == MEMBERS, "groups of {MEMBERS} of all places were asked for, and of {asked} of the wire below");

    let mut listener = as_listener(registry.bind(&ctx.fresh()).await.or_broken("bind")?)?;
    ensure!(listener.shares_queue(), "the wire below shares a queue, and the stack does not say so");
    let class = listener.classify(&ErrorKind::Other.into());
    ensure!(class == Probe::CLASS, "the wire below calls an error {:?}, and the stack {class:?}", Probe::CLASS);
    let news = listener.upkeep().and_then(|found| found.news);
    ensure!(news.as_deref().is_some_and(|news| news.contains(Probe::NEWS)), "what is new of the wire below: {news:?}");
    ensure!(listener.reloads(), "the wire below has something to read again, and the stack does not say so");
    listener.reload();
    ensure!(probe.reloaded.load(Relaxed), "the wire below does not hear of a reload");
    listener.refuse_arrivals().or_broken("refuse arrivals")?;
    ensure!(probe.refused.load(Relaxed), "arrivals were to be refused, and the wire below does not hear of it");
    Ok(())
}

/// A connect to a wire that is accepted below and says nothing is over within a bound.
///
/// # Errors
/// The law is broken.
pub async fn quiet_peer(ctx: &Context) -> Outcome {
    const OPTION: &str = "handshake_timeout";
    const BOUND: Duration = Duration::from_secs(60);
    let below = ctx.below()?;
    let fresh = ctx.fresh();
    let transport = ctx.transport(&fresh)?;
    let bound = ctx.bind(&fresh.clone().without_options().with_scheme(&*below)).await?;
    let mut dial = bound.dial().with_scheme(fresh.scheme());
    if transport.options(fresh.scheme()).iter().any(|doc| doc.name == OPTION) {
        dial = dial.with_option(OPTION, "50ms");
    }
    let mut listener = as_listener(bound)?;
    ctx.background(async move {
        let mut quiet = Vec::new();
        loop {
            quiet.push(accept(&mut listener).await?);
        }
    });
    ctx.step(format!("connect {dial}, which says nothing"));
    let connected = timeout(BOUND, ctx.registry().connect(&dial)).await;
    ensure!(connected.is_ok(), "a connect to a peer that says nothing is not over within {BOUND:?}");
    Ok(())
}

fn tapped_bytes(
    ctx: &Context,
    tap: impl Fn(Side, Box<dyn ByteStream>) -> Box<dyn ByteStream> + Send + Sync + 'static,
) -> Result<Registry, Stop> {
    ctx.tapped(move |side, link| match link {
        Link::Bytes { io, info } => Link::Bytes { io: tap(side, io), info },
        other => other,
    })
}

/// Two links over a registry that is tapped, the client's first.
async fn meet(ctx: &Context, registry: &Registry) -> Result<(Link, Link), Stop> {
    let bound = registry.bind(&ctx.fresh()).await.or_broken("bind")?;
    let dial = ctx.dial(&bound);
    let mut listener = as_listener(bound)?;
    ctx.step(format!("connect {dial} and accept"));
    tokio::try_join!(connect(registry, &dial), accept(&mut listener))
}

/// Ends once so many bytes have been written.
struct Cut {
    io: Box<dyn ByteStream>,
    left: Arc<AtomicUsize>,
}

impl AsyncRead for Cut {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Task<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, into)
    }
}

impl AsyncWrite for Cut {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Task<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let left = self.left.load(Relaxed);
        if left == 0 {
            ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        let len = ready!(Pin::new(&mut self.io).poll_write(cx, &bytes[..bytes.len().min(left)]))?;
        if left != usize::MAX {
            self.left.store(left - len, Relaxed);
        }
        Poll::Ready(Ok(len))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Task<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Task<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Moves one byte at a time, and waits before each that it reads.
struct ByteByByte {
    io: Box<dyn ByteStream>,
    waited: bool,
}

impl AsyncRead for ByteByByte {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Task<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !std::mem::replace(&mut self.waited, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut byte = [0];
        let mut one = ReadBuf::new(&mut byte[..into.remaining().min(1)]);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut one))?;
        into.put_slice(one.filled());
        self.waited = false;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ByteByByte {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Task<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, &bytes[..bytes.len().min(1)])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Task<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Task<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Holds what is written until somebody wants to read, or shuts down.
struct Corked {
    io: Box<dyn ByteStream>,
    held: Vec<u8>,
}

impl Corked {
    fn poll_release(&mut self, cx: &mut Task<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let len = ready!(Pin::new(&mut self.io).poll_write(cx, &self.held))?;
            self.held.drain(..len);
        }
        Pin::new(&mut self.io).poll_flush(cx)
    }
}

impl AsyncRead for Corked {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Task<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_release(cx))?;
        Pin::new(&mut self.io).poll_read(cx, into)
    }
}

impl AsyncWrite for Corked {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Task<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.held.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Task<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Task<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_release(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
