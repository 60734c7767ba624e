//! Pairs of links whose ends are counted, on any transport.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use swapwire_core::{Bound, ByteStream, Endpoint, Link, Listener, MessageStream, RecvError, Registry, SendError};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// As many of them are alive as wires are, besides the first.
pub(crate) type Count = Arc<()>;

/// The two ends of a new connection.
pub(crate) async fn pair(registry: &Registry, endpoint: &Endpoint, count: &Count) -> (Link, Link) {
    let Bound::Listener(mut listener) = registry.bind(endpoint).await.unwrap() else { panic!("not a listener") };
    let (client, server) = connect(registry, &mut *listener).await;
    (counted(client, count), counted(server, count))
}

pub(crate) async fn connect(registry: &Registry, listener: &mut dyn Listener) -> (Link, Link) {
    let local = listener.local();
    let accept = async { listener.accept().await.unwrap().establish().await.unwrap() };
    let (client, server) = tokio::join!(registry.connect(&local), accept);
    (client.unwrap(), server)
}

/// `link`, counted while it lives.
pub(crate) fn counted(link: Link, count: &Count) -> Link {
    match link {
        Link::Bytes { io, info, .. } => Link::bytes(Counted(io, Arc::clone(count)), info),
        Link::Messages { io, info, .. } => Link::messages(Counted(io, Arc::clone(count)), info),
        other => other,
    }
}

struct Counted<T>(T, #[expect(dead_code, reason = "it is counted")] Count);

impl AsyncRead for Counted<Box<dyn ByteStream>> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted<Box<dyn ByteStream>> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl MessageStream for Counted<Box<dyn MessageStream>> {
    fn poll_recv(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<Result<Option<usize>, RecvError>> {
        self.0.poll_recv(cx, into)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, message: &[u8]) -> Poll<Result<(), SendError>> {
        self.0.poll_send(cx, message)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.0.poll_flush(cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.0.poll_shutdown(cx)
    }

    fn max_message(&self) -> usize {
        self.0.max_message()
    }
}
