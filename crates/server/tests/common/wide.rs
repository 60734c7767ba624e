//! Byte streams that take more at once than is read at once, unlike those of the memory network.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use swapwire_core::{
    Addr, BindError, Bound, Capabilities, ConnInfo, ConnectError, Endpoint, Incoming, Link, Listener, Peer, Transport,
    async_trait,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;

const BYTES: usize = 1 << 20;

/// One direction. It allocates when it is made, and never again: tests count what the server does.
struct Pipe {
    bytes: VecDeque<u8>,
    closed: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Pipe {
    fn new() -> Arc<Mutex<Self>> {
        let bytes = VecDeque::with_capacity(BYTES);
        Arc::new(Mutex::new(Self { bytes, closed: false, reader: None, writer: None }))
    }

    fn close(&mut self) {
        self.closed = true;
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }
}

/// One end: what it reads, and what it writes.
struct Duplex([Arc<Mutex<Pipe>>; 2]);

impl Duplex {
    fn pair() -> (Self, Self) {
        let (there, back) = (Pipe::new(), Pipe::new());
        (Self([Arc::clone(&back), Arc::clone(&there)]), Self([there, back]))
    }
}

impl Drop for Duplex {
    fn drop(&mut self) {
        self.0.iter().for_each(|pipe| pipe.lock().unwrap().close());
    }
}

impl AsyncRead for Duplex {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut pipe = self.0[0].lock().unwrap();
        if pipe.bytes.is_empty() && !pipe.closed {
            pipe.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let (first, _) = pipe.bytes.as_slices();
        let len = first.len().min(into.remaining());
        into.put_slice(&first[..len]);
        pipe.bytes.drain(..len);
        pipe.writer.take().into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Duplex {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut pipe = self.0[1].lock().unwrap();
        if pipe.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let len = bytes.len().min(BYTES - pipe.bytes.len());
        if len == 0 && !bytes.is_empty() {
            pipe.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        pipe.bytes.extend(&bytes[..len]);
        pipe.reader.take().into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(len))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0[1].lock().unwrap().close();
        Poll::Ready(Ok(()))
    }
}

/// One listener, whatever its name.
pub struct Wide {
    connections: mpsc::Sender<Link>,
    listener: Mutex<Option<mpsc::Receiver<Link>>>,
}

impl Wide {
    pub fn new() -> Self {
        let (connections, listener) = mpsc::channel(128);
        Self { connections, listener: Mutex::new(Some(listener)) }
    }
}

struct WideListener(mpsc::Receiver<Link>);

#[async_trait]
impl Listener for WideListener {
    fn local(&self) -> Endpoint {
        "wide:here".parse().unwrap()
    }

    async fn accept(&mut self) -> io::Result<Incoming> {
        self.0.recv().await.map(Incoming::ready).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

#[async_trait]
impl Transport for Wide {
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        vec!["wide".into()]
    }

    fn capabilities(&self, _: &str) -> Capabilities {
        Capabilities::byte_stream()
    }

    async fn bind(&self, _: &Endpoint) -> Result<Bound, BindError> {
        let listener = self.listener.lock().unwrap().take().expect("it is bound once");
        Ok(Bound::Listener(Box::new(WideListener(listener))))
    }

    async fn connect(&self, _: &Endpoint) -> Result<Link, ConnectError> {
        let (here, there) = (Addr::named("wide", "here").unwrap(), Addr::named("wide", "there").unwrap());
        let (ours, theirs) = Duplex::pair();
        self.connections.send(Link::bytes(theirs, ConnInfo::new(Peer::new(there), here))).await.expect("a listener");
        Ok(Link::bytes(ours, ConnInfo::new(Peer::new(here), there)))
    }
}
