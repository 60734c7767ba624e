//! The servers, each on a thread of its own: ours, and the one by hand.

use std::io;
use std::path::PathBuf;
use std::thread::JoinHandle;

use swapwire::handlers::UppercaseEcho;
use swapwire::{Endpoint, Registry, Running};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio::net::{TcpListener, UdpSocket, UnixDatagram, UnixListener};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::oneshot;

use super::{Kind, Wire};

/// What one takes for a buffer by hand, for each connection.
const BUFFER: usize = 16 * 1024;
/// Bytes in flight each way in memory, as in our transport.
const DUPLEX: usize = 64 * 1024;

/// A server that runs until it is dropped.
pub struct Server {
    pub wire: Wire,
    pub kind: Kind,
    /// Where it listens; the one by hand has none in memory.
    pub endpoint: Endpoint,
    /// Reaches our server in memory.
    pub registry: Registry,
    /// For sockets.
    pub dir: TempDir,
    running: Option<Running>,
    thread: ServerThread,
}

impl Server {
    /// Starts one; `client` is the runtime that waits for it.
    pub fn start(kind: Kind, wire: Wire, client: &Runtime) -> Self {
        let (dir, thread, registry) = (TempDir::new().unwrap(), ServerThread::start(), swapwire::default_registry());
        let path = dir.path().join("server");
        let endpoint: Endpoint = match wire {
            Wire::Tcp => "tcp://127.0.0.1:0".parse().unwrap(),
            Wire::Udp => "udp://127.0.0.1:0".parse().unwrap(),
            Wire::Unix | Wire::UnixDgram => format!("{}:{}", wire.name(), path.display()).parse().unwrap(),
            Wire::Mem => "mem:bench".parse().unwrap(),
        };
        let (running, endpoint) = match kind {
            Kind::Swapwire => {
                let builder = swapwire::server().registry(registry.clone()).handler(UppercaseEcho).listen(endpoint);
                let server = thread.handle.spawn(async { builder.bind().await.unwrap().start() });
                let running = client.block_on(server).unwrap();
                let endpoint = running.local_endpoints()[0].clone();
                (Some(running), endpoint)
            }
            Kind::ByHand => {
                let port = client.block_on(thread.handle.spawn(by_hand(wire, path))).unwrap().unwrap();
                let place = port.map(|port| format!("{}://127.0.0.1:{port}", wire.name()).parse().unwrap());
                (None, place.unwrap_or(endpoint))
            }
        };
        Self { wire, kind, endpoint, registry, dir, running, thread }
    }

    /// A connection in memory to the server by hand.
    pub fn duplex(&self) -> DuplexStream {
        let (theirs, ours) = tokio::io::duplex(DUPLEX);
        self.thread.handle.spawn(echo_stream(theirs));
        ours
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Before the thread ends: it runs there.
        self.running.take();
    }
}

/// Binds, and serves in the background. Returns the port, where there is one.
async fn by_hand(wire: Wire, path: PathBuf) -> io::Result<Option<u16>> {
    let mut port = None;
    match wire {
        Wire::Tcp => {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            port = Some(listener.local_addr()?.port());
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let _ = stream.set_nodelay(true);
                    tokio::spawn(echo_stream(stream));
                }
            });
        }
        Wire::Unix => {
            let listener = UnixListener::bind(path)?;
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(echo_stream(stream));
                }
            });
        }
        Wire::Udp => {
            let socket = UdpSocket::bind("127.0.0.1:0").await?;
            port = Some(socket.local_addr()?.port());
            tokio::spawn(echo_udp(socket));
        }
        Wire::UnixDgram => {
            tokio::spawn(echo_unix_dgram(UnixDatagram::bind(path)?));
        }
        Wire::Mem => {}
    }
    Ok(port)
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

async fn echo_unix_dgram(socket: UnixDatagram) -> io::Result<()> {
    let mut buf = vec![0; 64 * 1024];
    loop {
        let (len, peer) = socket.recv_from(&mut buf).await?;
        buf[..len].make_ascii_uppercase();
        if let Some(path) = peer.as_pathname() {
            socket.send_to(&buf[..len], path).await?;
        }
    }
}

/// A thread with a runtime of its own; ends when it is dropped.
struct ServerThread {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl ServerThread {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let handle = runtime.handle().clone();
        let thread = std::thread::spawn(move || {
            let _ = runtime.block_on(stopped);
        });
        Self { handle, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for ServerThread {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
