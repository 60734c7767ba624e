//! Message streams that put messages together from a byte stream, as a WebSocket does: two bytes of length, then the message.

use std::borrow::Cow;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use swapwire_core::{
    Addr, BindError, Bound, Capabilities, ConnInfo, ConnectError, Endpoint, Incoming, Link, Listener, MessageStream,
    Peer, RecvError, SendBatch, SendError, Transport, async_trait,
};
use tokio::io::{AsyncWrite as _, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio_util::io::poll_read_buf;

const HEADER: usize = 2;
/// A control message, which has no more bytes.
pub const PING: [u8; HEADER] = [255; HEADER];
/// The largest message.
const MOST: usize = u16::MAX as usize - 1;

/// What the server's ends were called for.
#[derive(Debug, Default)]
pub struct Calls {
    pub batches: AtomicUsize,
    pub flushes: AtomicUsize,
}

struct Wire {
    io: DuplexStream,
    buf: BytesMut,
    sending: BytesMut,
    pings: u64,
    calls: Arc<Calls>,
}

impl Wire {
    fn push(&mut self, message: &[u8]) {
        self.sending.extend_from_slice(&u16::try_from(message.len()).unwrap().to_be_bytes());
        self.sending.extend_from_slice(message);
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        while !self.sending.is_empty() {
            let len = ready!(Pin::new(&mut self.io).poll_write(cx, &self.sending)).map_err(SendError::Io)?;
            self.sending.advance(len);
        }
        Poll::Ready(Ok(()))
    }

    /// As far as it goes now.
    fn try_write(&mut self, cx: &mut Context<'_>) -> Result<(), SendError> {
        match self.poll_write(cx) {
            Poll::Ready(done) => done,
            Poll::Pending => Ok(()),
        }
    }
}

impl MessageStream for Wire {
    fn poll_recv(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<Result<Option<usize>, RecvError>> {
        loop {
            if self.buf.starts_with(&PING) {
                self.buf.advance(HEADER);
                self.pings += 1;
                continue;
            }
            if let [high, low, ..] = self.buf[..] {
                let len = usize::from(u16::from_be_bytes([high, low]));
                if self.buf.len() >= HEADER + len {
                    self.buf.advance(HEADER);
                    into.extend_from_slice(&self.buf.split_to(len));
                    return Poll::Ready(Ok(Some(len)));
                }
            }
            if ready!(poll_read_buf(Pin::new(&mut self.io), cx, &mut self.buf))? == 0 {
                return Poll::Ready(Ok(None));
            }
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, message: &[u8]) -> Poll<Result<(), SendError>> {
        ready!(self.poll_write(cx))?;
        self.push(message);
        Poll::Ready(self.try_write(cx))
    }

    fn poll_send_batch(
        &mut self,
        cx: &mut Context<'_>,
        batch: &SendBatch,
        from: usize,
    ) -> Poll<Result<usize, SendError>> {
        ready!(self.poll_write(cx))?;
        self.calls.batches.fetch_add(1, Relaxed);
        batch.iter_from(from).for_each(|entry| self.push(entry.message));
        Poll::Ready(self.try_write(cx).map(|()| batch.len() - from))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let flushed = self.poll_write(cx);
        if flushed.is_ready() {
            self.calls.flushes.fetch_add(1, Relaxed);
        }
        flushed
    }

    fn max_message(&self) -> usize {
        MOST
    }

    fn partial(&self) -> Option<usize> {
        (!self.buf.is_empty()).then(|| self.buf.capacity())
    }

    fn signs_of_life(&self) -> u64 {
        self.pings
    }
}

/// One listener, whatever its name; its clients have the byte stream below.
pub struct Assembled {
    connections: mpsc::Sender<DuplexStream>,
    calls: Arc<Calls>,
    listener: Mutex<Option<mpsc::Receiver<DuplexStream>>>,
}

impl Assembled {
    pub fn new() -> Self {
        let (connections, listener) = mpsc::channel(128);
        Self { connections, calls: Arc::default(), listener: Mutex::new(Some(listener)) }
    }

    /// What connects clients.
    pub fn clients(&self) -> Clients {
        Clients(self.connections.clone(), Arc::clone(&self.calls))
    }
}

/// Connects clients.
pub struct Clients(mpsc::Sender<DuplexStream>, Arc<Calls>);

impl Clients {
    /// What all of the server's ends were called for.
    pub fn calls(&self) -> &Calls {
        &self.1
    }

    /// The byte stream of a new client, on which so many bytes are under way at most.
    pub async fn connect(&self, under_way: usize) -> DuplexStream {
        let (ours, theirs) = duplex(under_way);
        self.0.send(theirs).await.unwrap();
        ours
    }
}

struct AssembledListener(mpsc::Receiver<DuplexStream>, Arc<Calls>);

#[async_trait]
impl Listener for AssembledListener {
    fn local(&self) -> Endpoint {
        "assembled:here".parse().unwrap()
    }

    async fn accept(&mut self) -> io::Result<Incoming> {
        let io = self.0.recv().await.ok_or(io::ErrorKind::NotConnected)?;
        let (here, there) = (Addr::named("assembled", "here").unwrap(), Addr::named("assembled", "there").unwrap());
        let (buf, sending) = Default::default();
        let wire = Wire { io, buf, sending, pings: 0, calls: Arc::clone(&self.1) };
        Ok(Incoming::ready(Link::messages(wire, ConnInfo::new(Peer::new(there), here))))
    }
}

#[async_trait]
impl Transport for Assembled {
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        vec!["assembled".into()]
    }

    fn capabilities(&self, _: &str) -> Capabilities {
        Capabilities::message_stream(MOST)
    }

    async fn bind(&self, _: &Endpoint) -> Result<Bound, BindError> {
        let listener = self.listener.lock().unwrap().take().expect("it is bound once");
        Ok(Bound::Listener(Box::new(AssembledListener(listener, Arc::clone(&self.calls)))))
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectError> {
        Err(ConnectError::invalid(endpoint, "its clients have byte streams"))
    }
}
