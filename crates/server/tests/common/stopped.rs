//! The memory network of a process that can be stopped: while it is, nothing is ready, and when it goes on, timers go off
//! before anybody is told what has come.

use std::borrow::Cow;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::BytesMut;
use swapwire_core::{
    BindError, Bound, ByteStream, Capabilities, ConnectError, DatagramSocket, Endpoint, Incoming, Link, Listener,
    MessageStream, RecvBatch, RecvError, Registry, SendBatch, SendError, Transport, async_trait,
};
use swapwire_mem::MemNetwork;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a server is stopped on; clients dial `inner`.
#[derive(Clone)]
pub struct Stopped {
    pub inner: Registry,
    /// Who asked for something while it was stopped.
    asleep: Arc<Mutex<Option<Vec<Waker>>>>,
}

impl Stopped {
    pub fn new() -> Self {
        Self { inner: Registry::new().with(MemNetwork::new()), asleep: Arc::default() }
    }

    /// From now on the server is told of nothing.
    pub fn stop(&self) {
        *self.asleep.lock().unwrap() = Some(Vec::new());
    }

    /// Goes on after `time`: its timers go off first, and only then it is told.
    pub async fn go_on_after(&self, time: Duration) {
        tokio::time::advance(time).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        let asleep = self.asleep.lock().unwrap().take();
        asleep.into_iter().flatten().for_each(Waker::wake);
    }

    /// Goes on after `time`, stopped while it was at work: what has come is told before any timer goes off. Whoever is to be
    /// told must have asked.
    pub async fn go_on_at_work_after(&self, time: Duration) {
        while self.asleep.lock().unwrap().as_ref().is_some_and(Vec::is_empty) {
            tokio::task::yield_now().await;
        }
        let asleep = self.asleep.lock().unwrap().take();
        asleep.into_iter().flatten().for_each(Waker::wake);
        tokio::time::advance(time).await;
    }

    fn poll_awake(&self, cx: &Context<'_>) -> Poll<()> {
        match &mut *self.asleep.lock().unwrap() {
            None => Poll::Ready(()),
            Some(asleep) => {
                asleep.push(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn link(self, link: Link) -> Link {
        match link {
            Link::Bytes { io, info } => Link::bytes(Wire { io, stopped: self }, info),
            Link::Messages { io, info } => Link::messages(Wire { io, stopped: self }, info),
            other => other,
        }
    }
}

struct Wire<T> {
    io: T,
    stopped: Stopped,
}

impl AsyncRead for Wire<Box<dyn ByteStream>> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.stopped.poll_awake(cx));
        Pin::new(&mut self.io).poll_read(cx, into)
    }
}

impl AsyncWrite for Wire<Box<dyn ByteStream>> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.stopped.poll_awake(cx));
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl MessageStream for Wire<Box<dyn MessageStream>> {
    fn poll_recv(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<Result<Option<usize>, RecvError>> {
        ready!(self.stopped.poll_awake(cx));
        self.io.poll_recv(cx, into)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, message: &[u8]) -> Poll<Result<(), SendError>> {
        ready!(self.stopped.poll_awake(cx));
        self.io.poll_send(cx, message)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.io.poll_shutdown(cx)
    }

    fn max_message(&self) -> usize {
        self.io.max_message()
    }
}

impl DatagramSocket for Wire<Box<dyn DatagramSocket>> {
    fn local(&self) -> Endpoint {
        self.io.local()
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, batch: &mut RecvBatch) -> Poll<io::Result<()>> {
        ready!(self.stopped.poll_awake(cx));
        self.io.poll_recv(cx, batch)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, batch: &SendBatch, from: usize) -> Poll<io::Result<usize>> {
        ready!(self.stopped.poll_awake(cx));
        self.io.poll_send(cx, batch, from)
    }

    fn max_message(&self) -> usize {
        self.io.max_message()
    }
}

#[async_trait]
impl Listener for Wire<Box<dyn Listener>> {
    fn local(&self) -> Endpoint {
        self.io.local()
    }

    /// The handshake takes as long as nothing is told.
    async fn accept(&mut self) -> io::Result<Incoming> {
        let incoming = self.io.accept().await?;
        let (peer, stopped) = (incoming.peer().clone(), self.stopped.clone());
        Ok(Incoming::pending(peer, async move {
            std::future::poll_fn(|cx| stopped.poll_awake(cx)).await;
            Ok(stopped.link(incoming.establish().await?))
        }))
    }
}

#[async_trait]
impl Transport for Stopped {
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        vec!["mem".into(), "mem-seq".into(), "mem-dgram".into()]
    }

    fn capabilities(&self, scheme: &str) -> Capabilities {
        let endpoint = format!("{scheme}:any").parse().unwrap();
        self.inner.transport(&endpoint).unwrap().capabilities(scheme)
    }

    async fn bind(&self, endpoint: &Endpoint) -> Result<Bound, BindError> {
        let stopped = self.clone();
        Ok(match self.inner.bind(endpoint).await? {
            Bound::Listener(io) => Bound::Listener(Box::new(Wire { io, stopped })),
            Bound::Socket(io) => Bound::Socket(Box::new(Wire { io, stopped })),
            other => other,
        })
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectError> {
        self.inner.connect(endpoint).await
    }
}
