//! The servers, each on a thread of its own: ours, and the one by hand.

use std::io;
use std::os::fd::AsFd as _;
use std::thread::JoinHandle;

use swapwire::core::Place;
use swapwire::handlers::UppercaseEcho;
use swapwire::{
    Addr, BindError, Bound, Capabilities, ConnInfo, ConnectError, Endpoint, Link, Peer, Registry, Running, Transport,
    async_trait,
};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, Interest};
use tokio::net::{TcpListener, UdpSocket, UnixDatagram, UnixListener};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::{Kind, Wire};

/// What one takes for a buffer by hand, for each connection.
const BUFFER: usize = 16 * 1024;
/// Bytes in flight each way in memory, as in our transport.
const DUPLEX: usize = 64 * 1024;

/// A server on a thread with a runtime of its own, until it is dropped.
pub struct Server {
    /// Where it is.
    pub endpoint: Endpoint,
    /// Reaches it.
    pub registry: Registry,
    running: Option<Running>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Of sockets.
    _dir: TempDir,
}

impl Server {
    pub fn start(kind: Kind, wire: Wire) -> Self {
        let dir = TempDir::new().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let registry = swapwire::default_registry().with(Duplex(runtime.handle().clone()));
        let place = match (wire, kind) {
            (Wire::Tcp | Wire::Udp, _) => format!("{}://127.0.0.1:0", wire.name()),
            (Wire::Unix | Wire::UnixDgram, _) => format!("{}:{}", wire.name(), dir.path().join("server").display()),
            (Wire::Mem, Kind::Swapwire) => "mem:bench".to_owned(),
            (Wire::Mem, Kind::ByHand) => "duplex:bench".to_owned(),
        };
        let (endpoint, running) = runtime.block_on(async {
            let place: Endpoint = place.parse().unwrap();
            match kind {
                Kind::Swapwire => {
                    let server = swapwire::server().registry(registry.clone()).handler(UppercaseEcho).listen(place);
                    let running = server.bind().await.unwrap().start();
                    (running.local_endpoints()[0].clone(), Some(running))
                }
                Kind::ByHand => (by_hand(place).await.unwrap(), None),
            }
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || drop(runtime.block_on(stopped)));
        Self { endpoint, registry, running, stop: Some(stop), thread: Some(thread), _dir: dir }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Before the thread ends: it runs there.
        self.running.take();
        self.stop.take();
        self.thread.take().map(JoinHandle::join);
    }
}

/// Binds, and serves in the background.
async fn by_hand(place: Endpoint) -> io::Result<Endpoint> {
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

async fn echo_stream(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
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
struct Duplex(Handle);

#[async_trait]
impl Transport for Duplex {
    fn schemes(&self) -> &[&'static str] {
        &["duplex"]
    }

    fn capabilities(&self, _: &str) -> Capabilities {
        Capabilities::byte_stream()
    }

    async fn bind(&self, endpoint: &Endpoint) -> Result<Bound, BindError> {
        Err(BindError::invalid(endpoint, "it needs no bind: connect"))
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectError> {
        let (ours, theirs) = tokio::io::duplex(DUPLEX);
        self.0.spawn(echo_stream(theirs));
        let addr = Addr::of_endpoint(endpoint).ok_or_else(|| ConnectError::invalid(endpoint, "write duplex:NAME"))?;
        Ok(Link::bytes(ours, ConnInfo::new(Peer::new(addr), addr)))
    }
}
