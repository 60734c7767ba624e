//! Servers by hand, with tokio alone.

use std::borrow::Cow;
use std::io;
use std::os::fd::AsFd as _;

use swapwire::core::Place;
use swapwire::core::server::Replies;
use swapwire::handlers::UppercaseEcho;
use swapwire::{
    Addr, BindError, Bound, ByteStream, Capabilities, ConnInfo, ConnectError, Endpoint, Framing, Handler as _, Link,
    Listener, Peer, Request, Transport, async_trait,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, Interest};
use tokio::net::{TcpListener, UdpSocket, UnixDatagram, UnixListener};
use tokio::runtime::Handle;

use super::framed::echo_framed;

/// What one takes for a buffer by hand, for each connection.
const BUFFER: usize = 16 * 1024;
/// Bytes in flight each way in memory, as in our transport.
const DUPLEX: usize = 64 * 1024;

/// Binds, and serves in the background.
pub async fn serve(place: Endpoint) -> io::Result<Endpoint> {
    let at = |addr| format!("{}://{addr}", place.scheme()).parse().map_err(io::Error::other);
    match (place.scheme(), place.place()) {
        ("tcp", _) => {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let bound = at(listener.local_addr()?)?;
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let _ = stream.set_nodelay(true);
                    tokio::spawn(echo_stream(stream));
                }
            });
            return Ok(bound);
        }
        ("udp", _) => {
            let socket = UdpSocket::bind("127.0.0.1:0").await?;
            let bound = at(socket.local_addr()?)?;
            tokio::spawn(echo_udp(socket));
            return Ok(bound);
        }
        ("unix", Place::Path(path)) => {
            let listener = UnixListener::bind(path)?;
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(echo_stream(stream));
                }
            });
        }
        ("unix-dgram", Place::Path(path)) => drop(tokio::spawn(echo_unix_dgram(UnixDatagram::bind(path)?))),
        // Its connections bring their own.
        _ => {}
    }
    Ok(place)
}

pub async fn echo_stream(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut buf = vec![0; BUFFER];
    loop {
        let len = stream.read(&mut buf).await?;
        if len == 0 {
            return Ok(());
        }
        buf[..len].make_ascii_uppercase();
        stream.write_all(&buf[..len]).await?;
    }
}

async fn echo_udp(socket: UdpSocket) -> io::Result<()> {
    let mut buf = vec![0; 64 * 1024];
    loop {
        let (len, peer) = socket.recv_from(&mut buf).await?;
        buf[..len].make_ascii_uppercase();
        socket.send_to(&buf[..len], peer).await?;
    }
}

/// What answers is `std`'s: tokio's cannot send to an abstract name (`unix(7)`), as our clients have on Linux.
async fn echo_unix_dgram(socket: UnixDatagram) -> io::Result<()> {
    let answer = std::os::unix::net::UnixDatagram::from(socket.as_fd().try_clone_to_owned()?);
    let mut buf = vec![0; 64 * 1024];
    loop {
        let (len, peer) = socket.recv_from(&mut buf).await?;
        buf[..len].make_ascii_uppercase();
        let peer = peer.into();
        socket.async_io(Interest::WRITABLE, || answer.send_to_addr(&buf[..len], &peer)).await?;
    }
}

/// Memory by hand as a transport, so that the generator reaches it as any other wire: connecting makes a `duplex`, whose
/// other end is served on that runtime.
pub struct Duplex {
    pub runtime: Handle,
    pub framing: Framing,
}

#[async_trait]
impl Transport for Duplex {
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        vec!["duplex".into()]
    }

    fn capabilities(&self, _: &str) -> Capabilities {
        Capabilities::byte_stream()
    }

    async fn bind(&self, endpoint: &Endpoint) -> Result<Bound, BindError> {
        Err(BindError::invalid(endpoint, "it needs no bind: connect"))
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectError> {
        let (ours, theirs) = tokio::io::duplex(DUPLEX);
        self.runtime.spawn(echo_framed(theirs, self.framing.clone()));
        let addr = Addr::of_endpoint(endpoint).ok_or_else(|| ConnectError::invalid(endpoint, "write duplex:NAME"))?;
        Ok(Link::bytes(ours, ConnInfo::new(Peer::new(addr), addr)))
    }
}

/// Serves a listener of ours with one of our handlers, and nothing around it.
pub async fn serve_directly(mut listener: Box<dyn Listener>) -> io::Result<()> {
    loop {
        if let Link::Bytes { io, info, .. } = listener.accept().await?.establish().await? {
            tokio::spawn(handle_directly(io, info));
        }
    }
}

async fn handle_directly(mut io: Box<dyn ByteStream>, info: ConnInfo) -> io::Result<()> {
    let (mut buf, mut out) = (vec![0; DUPLEX], Vec::new());
    let mut replies = Replies::new(Framing::Chunks.encoder(DUPLEX));
    loop {
        let len = io.read(&mut buf).await?;
        if len == 0 {
            return Ok(());
        }
        let mut call = replies.call(DUPLEX, true);
        let request = Request::new(&buf[..len], Some(&info.peer), &info.local);
        let result = UppercaseEcho.handle(request, call.reply()).await;
        call.end(result).map_err(|error| io::Error::other(error.to_string()))?;
        replies.drain_into(&mut out);
        io.write_all(&out).await?;
        out.clear();
    }
}
