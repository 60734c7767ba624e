//! The memory network's streams, of which is known how the server ended each: whether it said a good-bye, and did so last.

use std::borrow::Cow;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use swapwire_core::{
    BindError, Bound, ByteStream, Capabilities, ConnectError, Endpoint, Incoming, Link, Listener, MessageStream,
    RecvError, Registry, SendError, Transport, async_trait,
};
use swapwire_mem::MemNetwork;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;

/// How the server ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// It ended its sending, and sent nothing behind that.
    Said,
    /// It dropped the connection.
    Unsaid,
    /// It went on after its good-bye.
    TooEarly,
}

/// The transports `mem` and `mem-seq`, with a good-bye or without.
pub struct Watched {
    inner: Registry,
    has_goodbye: bool,
    cut: Arc<AtomicBool>,
    ends: mpsc::Sender<Farewell>,
}

/// What a test knows of the connections of a [`Watched`].
pub struct Ends {
    /// What connects clients.
    pub clients: Registry,
    ends: mpsc::Receiver<Farewell>,
    cut: Arc<AtomicBool>,
}

impl Watched {
    pub fn new(has_goodbye: bool) -> (Self, Ends) {
        let (clients, cut) = (Registry::new().with(MemNetwork::new()), Arc::default());
        let (sender, ends) = mpsc::channel(64);
        let watched = Self { inner: clients.clone(), has_goodbye, cut: Arc::clone(&cut), ends: sender };
        (watched, Ends { clients, ends, cut })
    }
}

impl Ends {
    /// From now on, the end of a client is no good-bye of its own, and the server's read fails.
    pub fn cut_clients(&self) {
        self.cut.store(true, Relaxed);
    }

    /// How the next connection ended.
    pub async fn next(&mut self) -> Farewell {
        self.ends.recv().await.expect("the transport is alive")
    }
}

/// A stream of either kind.
struct Stream<S> {
    io: S,
    end: Farewell,
    cut: Arc<AtomicBool>,
    ends: mpsc::Sender<Farewell>,
}

impl<S> Stream<S> {
    fn sends(&mut self) {
        if self.end == Farewell::Said {
            self.end = Farewell::TooEarly;
        }
    }

    fn has_said<E>(&mut self, said: Poll<Result<(), E>>) -> Poll<Result<(), E>> {
        if let (Farewell::Unsaid, Poll::Ready(Ok(()))) = (self.end, &said) {
            self.end = Farewell::Said;
        }
        said
    }

    fn is_cut(&self) -> bool {
        self.cut.load(Relaxed)
    }
}

impl<S> Drop for Stream<S> {
    fn drop(&mut self) {
        // The test may be over.
        let _ = self.ends.try_send(self.end);
    }
}

impl AsyncRead for Stream<Box<dyn ByteStream>> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (this, before) = (self.get_mut(), into.filled().len());
        ready!(Pin::new(&mut this.io).poll_read(cx, into))?;
        let ended = into.filled().len() == before;
        Poll::Ready(if ended && this.is_cut() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) })
    }
}

impl AsyncWrite for Stream<Box<dyn ByteStream>> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.sends();
        Pin::new(&mut this.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.sends();
        Pin::new(&mut this.io).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let said = Pin::new(&mut this.io).poll_shutdown(cx);
        this.has_said(said)
    }
}

impl MessageStream for Stream<Box<dyn MessageStream>> {
    fn poll_recv(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<Result<Option<usize>, RecvError>> {
        match ready!(self.io.poll_recv(cx, into)) {
            Ok(None) if self.is_cut() => Poll::Ready(Err(io::Error::from(io::ErrorKind::UnexpectedEof).into())),
            other => Poll::Ready(other),
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, message: &[u8]) -> Poll<Result<(), SendError>> {
        self.sends();
        self.io.poll_send(cx, message)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let said = self.io.poll_shutdown(cx);
        self.has_said(said)
    }

    fn max_message(&self) -> usize {
        self.io.max_message()
    }
}

struct WatchedListener {
    inner: Box<dyn Listener>,
    cut: Arc<AtomicBool>,
    ends: mpsc::Sender<Farewell>,
}

impl WatchedListener {
    fn stream<S>(&self, io: S) -> Stream<S> {
        Stream { io, end: Farewell::Unsaid, cut: Arc::clone(&self.cut), ends: self.ends.clone() }
    }
}

#[async_trait]
impl Listener for WatchedListener {
    fn local(&self) -> Endpoint {
        self.inner.local()
    }

    async fn accept(&mut self) -> io::Result<Incoming> {
        Ok(Incoming::ready(match self.inner.accept().await?.establish().await? {
            Link::Bytes { io, info } => Link::bytes(self.stream(io), info),
            Link::Messages { io, info } => Link::messages(self.stream(io), info),
            other => other,
        }))
    }
}

#[async_trait]
impl Transport for Watched {
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        vec!["mem".into(), "mem-seq".into()]
    }

    fn capabilities(&self, scheme: &str) -> Capabilities {
        let mut capabilities =
            if scheme == "mem" { Capabilities::byte_stream() } else { Capabilities::message_stream(1 << 20) };
        capabilities.says_goodbye = self.has_goodbye;
        capabilities
    }

    async fn bind(&self, endpoint: &Endpoint) -> Result<Bound, BindError> {
        match self.inner.bind(endpoint).await? {
            Bound::Listener(inner) => {
                let (cut, ends) = (Arc::clone(&self.cut), self.ends.clone());
                Ok(Bound::Listener(Box::new(WatchedListener { inner, cut, ends })))
            }
            other => Ok(other),
        }
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectError> {
        self.inner.connect(endpoint).await
    }
}
