//! TLS handshakes in whatever pieces they come, and with a bit that changed on the way.
//!
//! Pieces change nothing: both ends are done, and what follows arrives. A bit that changed may end the handshake or the session; it
//! never makes other bytes of what was sent, and nothing panics.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use swapwire_core::{Addr, ConnInfo, Endpoint, Link, Peer, Upgrade, UpgradeClient, UpgradeServer};
use swapwire_tls::Tls;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf, duplex};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::source::Source;

const MESSAGE: &[u8] = b"right behind the handshake";
/// For a length that became greater: then both ends wait for more.
const PATIENCE: Duration = Duration::from_millis(100);

struct Halves {
    runtime: Runtime,
    server: Arc<dyn UpgradeServer>,
    client: Arc<dyn UpgradeClient>,
}

thread_local! {
    static HALVES: Halves = Halves::new();
}

impl Halves {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
        let (server, client) = runtime.block_on(async {
            let tls = Tls::new();
            let bound: Endpoint = "tls+mem:here?self_signed=true".parse().expect("an endpoint");
            let server = tls.server(&bound).await.expect("a server's half");
            let dial = bound.without_options();
            let dial =
                server.dial_options().into_iter().fold(dial, |dial, (name, value)| dial.with_option(name, value));
            (server, tls.client(&dial).await.expect("a client's half"))
        });
        Self { runtime, server, client }
    }

    /// What either end has received, if they came so far.
    async fn talk(&self, client: Pieces, server: Pieces) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let info = || ConnInfo::new(Peer::new(here()), here());
        let ours = async {
            let mut io = bytes(self.client.connect(Box::new(client), info()).await?)?;
            io.write_all(MESSAGE).await?;
            io.flush().await?;
            receive(&mut io).await
        };
        let theirs = async {
            let mut io = bytes(self.server.accept(Box::new(server), info()).await?)?;
            let received = receive(&mut io).await?;
            io.write_all(&received).await?;
            io.flush().await?;
            Ok(received)
        };
        let both = async { tokio::try_join!(ours, theirs) };
        timeout(PATIENCE, both).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

pub(super) fn here() -> Addr {
    Addr::named("mem", "here").expect("a short name")
}

fn bytes(link: Link) -> io::Result<Box<dyn swapwire_core::ByteStream>> {
    match link {
        Link::Bytes { io, .. } => Ok(io),
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

async fn receive(io: &mut Box<dyn swapwire_core::ByteStream>) -> io::Result<Vec<u8>> {
    let mut received = vec![0; MESSAGE.len()];
    io.read_exact(&mut received).await?;
    Ok(received)
}

/// Whether and where a bit changes, and the lengths of the pieces.
pub fn handshake(data: &[u8]) {
    let mut source = Source::new(data);
    let changes = source.flag();
    let at_client = source.flag();
    let change = (usize::from(source.byte()) << 8 | usize::from(source.byte()), 1 << source.below(8));
    let lengths = source.rest();
    HALVES.with(|halves| {
        let (near, far) = duplex(1 << 16);
        let change = |here: bool| (changes && here).then_some(change);
        let client = Pieces::new(near, lengths, change(at_client));
        let server = Pieces::new(far, lengths, change(!at_client));
        match halves.runtime.block_on(halves.talk(client, server)) {
            Ok((back, there)) => assert!(back == MESSAGE && there == MESSAGE, "other bytes arrived than were sent"),
            Err(error) => assert!(changes, "pieces of {lengths:?} end a handshake: {error}"),
        }
    });
}

/// Reads in pieces of the lengths that were decided, again and again, and changes one bit of what is read.
pub(super) struct Pieces {
    io: DuplexStream,
    lengths: Vec<u8>,
    reads: usize,
    seen: usize,
    change: Option<(usize, u8)>,
}

impl Pieces {
    /// `change` tells which byte, and which bits of it.
    pub(super) fn new(io: DuplexStream, lengths: &[u8], change: Option<(usize, u8)>) -> Self {
        Self { io, lengths: lengths.to_vec(), reads: 0, seen: 0, change }
    }
}

impl AsyncRead for Pieces {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let length =
            this.lengths.get(this.reads % this.lengths.len().max(1)).map_or(usize::MAX, |len| usize::from(*len) + 1);
        let mut piece = vec![0; length.min(into.remaining())];
        let mut read = ReadBuf::new(&mut piece);
        ready!(Pin::new(&mut this.io).poll_read(cx, &mut read))?;
        let len = read.filled().len();
        if let Some((at, bit)) = this.change
            && (this.seen..this.seen + len).contains(&at)
        {
            piece[at - this.seen] ^= bit;
        }
        into.put_slice(&piece[..len]);
        this.reads += 1;
        this.seen += len;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pieces {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
