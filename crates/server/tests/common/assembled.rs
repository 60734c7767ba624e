//! Message streams that put messages together from a byte stream, as a WebSocket does: two bytes of length, then the message.

use std::borrow::Cow;
use std::io;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use swapwire_core::{
    Addr, BindError, Bound, Capabilities, ConnInfo, ConnectError, Endpoint, Incoming, Link, Listener, MessageStream,
    Peer, RecvError, SendError, Transport, async_trait,
};
use tokio::io::{AsyncWrite as _, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio_util::io::poll_read_buf;

const HEADER: usize = 2;

struct Wire {
    io: DuplexStream,
    buf: BytesMut,
    sending: BytesMut,
}

impl MessageStream for Wire {
    fn poll_recv(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<Result<Option<usize>, RecvError>> {
        loop {
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
        ready!(self.poll_flush(cx))?;
        self.sending.extend_from_slice(&u16::try_from(message.len()).unwrap().to_be_bytes());
        self.sending.extend_from_slice(message);
        // As far as it goes now.
        match self.poll_flush(cx) {
            Poll::Pending => Poll::Ready(Ok(())),
            flushed => flushed,
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        while !self.sending.is_empty() {
            let len = ready!(Pin::new(&mut self.io).poll_write(cx, &self.sending)).map_err(SendError::Io)?;
            self.sending.advance(len);
        }
        Poll::Ready(Ok(()))
    }

    fn max_message(&self) -> usize {
        usize::from(u16::MAX)
    }

    fn partial(&self) -> Option<usize> {
        (!self.buf.is_empty()).then(|| self.buf.capacity())
    }
}

/// One listener, whatever its name; its clients have the byte stream below.
pub struct Assembled {
    connections: mpsc::Sender<DuplexStream>,
    listener: Mutex<Option<mpsc::Receiver<DuplexStream>>>,
}

impl Assembled {
    pub fn new() -> Self {
        let (connections, listener) = mpsc::channel(128);
        Self { connections, listener: Mutex::new(Some(listener)) }
    }

    /// What connects clients.
    pub fn clients(&self) -> Clients {
        Clients(self.connections.clone())
    }
}

/// Connects clients.
pub struct Clients(mpsc::Sender<DuplexStream>);

impl Clients {
    /// The byte stream of a new client, on which so many bytes are under way at most.
    pub async fn connect(&self, under_way: usize) -> DuplexStream {
        let (ours, theirs) = duplex(under_way);
        self.0.send(theirs).await.unwrap();
        ours
    }
}

struct AssembledListener(mpsc::Receiver<DuplexStream>);

#[async_trait]
impl Listener for AssembledListener {
    fn local(&self) -> Endpoint {
        "assembled:here".parse().unwrap()
    }

    async fn accept(&mut self) -> io::Result<Incoming> {
        let io = self.0.recv().await.ok_or(io::ErrorKind::NotConnected)?;
        let (here, there) = (Addr::named("assembled", "here").unwrap(), Addr::named("assembled", "there").unwrap());
        let wire = Wire { io, buf: BytesMut::new(), sending: BytesMut::new() };
        Ok(Incoming::ready(Link::messages(wire, ConnInfo::new(Peer::new(there), here))))
    }
}

#[async_trait]
impl Transport for Assembled {
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        vec!["assembled".into()]
    }

    fn capabilities(&self, _: &str) -> Capabilities {
        Capabilities::message_stream(usize::from(u16::MAX))
    }

    async fn bind(&self, _: &Endpoint) -> Result<Bound, BindError> {
        let listener = self.listener.lock().unwrap().take().expect("it is bound once");
        Ok(Bound::Listener(Box::new(AssembledListener(listener))))
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectError> {
        Err(ConnectError::invalid(endpoint, "its clients have byte streams"))
    }
}
