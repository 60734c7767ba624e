//! The clients: the same plain sockets against every server.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use swapwire::core::Place;
use swapwire::{ByteStream, Link};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::{TcpStream, UdpSocket, UnixDatagram, UnixStream};
use tokio::time::timeout;

use super::{Kind, Server, Wave, Wire};

/// A datagram without an answer for so long is sent again.
pub const PATIENCE: Duration = Duration::from_millis(200);

/// How many datagrams were sent again; see [`say_resent`].
pub static RESENT: AtomicU64 = AtomicU64::new(0);

/// One connection without anything of ours in it.
pub enum Raw {
    Stream(Box<dyn ByteStream>),
    Datagram(Box<dyn Datagrams>),
}

impl Raw {
    pub async fn connect(server: &Server) -> Self {
        match (server.wire, server.endpoint.place()) {
            (Wire::Tcp, Place::Host { host, port }) => {
                let stream = TcpStream::connect((host.as_str(), *port)).await.unwrap();
                stream.set_nodelay(true).unwrap();
                Self::Stream(Box::new(stream))
            }
            (Wire::Udp, Place::Host { host, port }) => {
                let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
                socket.connect((host.as_str(), *port)).await.unwrap();
                Self::Datagram(Box::new(socket))
            }
            (Wire::Unix, Place::Path(path)) => Self::Stream(Box::new(UnixStream::connect(path).await.unwrap())),
            (Wire::UnixDgram, Place::Path(path)) => {
                static NEXT: AtomicU32 = AtomicU32::new(0);
                let own = server.dir.path().join(format!("client-{}", NEXT.fetch_add(1, Relaxed)));
                let socket = UnixDatagram::bind(own).unwrap();
                socket.connect(path).unwrap();
                Self::Datagram(Box::new(socket))
            }
            (Wire::Mem, _) if server.kind == Kind::ByHand => Self::Stream(Box::new(server.duplex())),
            (Wire::Mem, _) => match server.registry.connect(&server.endpoint).await.unwrap() {
                Link::Bytes { io, .. } => Self::Stream(io),
                link => panic!("{link:?} is not a byte stream"),
            },
            (wire, place) => panic!("{wire:?} at {place:?}"),
        }
    }

    /// Sends a wave and takes the reply to each of its messages, sending and receiving at once.
    pub async fn exchange(&mut self, wave: &mut Wave, buf: &mut [u8]) {
        wave.renew();
        match self {
            Self::Stream(stream) => exchange_bytes(stream, wave, buf).await,
            Self::Datagram(socket) => exchange_datagrams(&**socket, wave, buf).await,
        }
    }
}

async fn exchange_bytes(mut stream: &mut Box<dyn ByteStream>, wave: &Wave, buf: &mut [u8]) {
    let (mut written, mut into) = (0, ReadBuf::new(&mut buf[..wave.replies.len()]));
    poll_fn(|cx| {
        while written < wave.requests.len() {
            match Pin::new(&mut stream).poll_write(cx, &wave.requests[written..])? {
                Poll::Ready(len) => written += len,
                Poll::Pending => break,
            }
        }
        while into.remaining() > 0 {
            let before = into.filled().len();
            ready!(Pin::new(&mut stream).poll_read(cx, &mut into))?;
            assert!(into.filled().len() > before, "the server closed");
        }
        Poll::Ready(io::Result::Ok(()))
    })
    .await
    .unwrap();
    assert!(into.filled() == wave.replies, "wrong replies");
}

/// A connected datagram socket.
pub trait Datagrams: Send + Sync {
    fn poll_send(&self, cx: &mut Context<'_>, message: &[u8]) -> Poll<io::Result<usize>>;
    fn poll_recv(&self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>>;
}

impl Datagrams for UdpSocket {
    fn poll_send(&self, cx: &mut Context<'_>, message: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send(cx, message)
    }

    fn poll_recv(&self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll_recv(cx, into)
    }
}

impl Datagrams for UnixDatagram {
    fn poll_send(&self, cx: &mut Context<'_>, message: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send(cx, message)
    }

    fn poll_recv(&self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll_recv(cx, into)
    }
}

async fn exchange_datagrams(socket: &dyn Datagrams, wave: &Wave, buf: &mut [u8]) {
    // One bit for each message without a reply.
    let mut missing = (1_u32 << wave.depth()) - 1;
    loop {
        let mut next = 0;
        let all = poll_fn(|cx| {
            while next < wave.depth() {
                if missing >> next & 1 == 1 && socket.poll_send(cx, wave.request(next))?.is_pending() {
                    break;
                }
                next += 1;
            }
            while missing > 0 {
                let mut into = ReadBuf::new(buf);
                ready!(socket.poll_recv(cx, &mut into))?;
                if let Some(index) = wave.answered(into.filled()) {
                    missing &= !(1 << index);
                }
            }
            Poll::Ready(io::Result::Ok(()))
        });
        match timeout(PATIENCE, all).await {
            Ok(done) => return done.unwrap(),
            Err(_) => RESENT.fetch_add(u64::from(missing.count_ones()), Relaxed),
        };
    }
}

/// Says so if something was lost since it was last asked: that cell's figure is then worth nothing.
pub fn say_resent(cell: &str) {
    match RESENT.swap(0, Relaxed) {
        0 => {}
        lost => eprintln!("{cell}: {lost} datagrams were lost and sent again"),
    }
}
