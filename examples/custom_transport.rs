//! A transport of your own, from outside: byte streams between processes over named pipes (`fifo(7)`), as it was done
//! before there were sockets. `cargo run --example custom_transport [-- fifo:/path]`.
//!
//! Binding `fifo:/run/x` makes the pipe `/run/x`, where clients knock. A client makes a pipe for each direction beside it
//! and writes their number into the knock pipe: eight bytes, which a pipe keeps together (`pipe(7)`, `PIPE_BUF`). The
//! server opens both and writes one byte to say so; then the client removes the names, and nothing is left to clean up.
//! A handler knows nothing of this.
//!
//! What it leaves out: a knock pipe that a killed server left behind is not replaced, but reported as in use.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use swapwire::core::{BindError, Incoming, Place, Side};
use swapwire::{
    Addr, Bound, Capabilities, ConnInfo, ConnectError, Endpoint, Link, Listener, Peer, Transport, async_trait,
};
use swapwire_socket::Listening;
use tempfile::TempPath;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, Interest, ReadBuf};
use tokio::net::unix::pipe::{OpenOptions, Receiver, Sender};

// --- transport ---
/// The transport of the scheme `fifo`.
pub(crate) struct Fifo;

#[async_trait]
impl Transport for Fifo {
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        vec!["fifo".into()]
    }

    fn capabilities(&self, _: &str) -> Capabilities {
        Capabilities::byte_stream()
    }

    async fn bind(&self, endpoint: &Endpoint) -> Result<Bound, BindError> {
        endpoint.read_options().check(&[], Side::Bind).map_err(|error| BindError::option(endpoint, error))?;
        open(endpoint).map(|door| Bound::Listener(Box::new(door))).map_err(|error| BindError::from_io(endpoint, error))
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectError> {
        endpoint.read_options().check(&[], Side::Connect).map_err(|error| ConnectError::option(endpoint, error))?;
        knock(endpoint).await.map_err(|error| ConnectError::from_io(endpoint, error))
    }
}

fn place(endpoint: &Endpoint) -> io::Result<(&Path, Addr)> {
    let Place::Path(path) = endpoint.place() else { return Err(io::Error::other("write a path, as fifo:/run/x")) };
    Ok((path, Addr::named("fifo", &path.to_string_lossy()).ok_or_else(|| io::Error::other("the path is too long"))?))
}

/// The address of client `number`, its pipe to the server and the one from it.
fn client(door: &Path, number: u64) -> (Addr, PathBuf, PathBuf) {
    let pipe = |way| door.with_file_name(format!("fifo-{number:x}.{way}"));
    (Addr::named("fifo", &format!("#{number:x}")).expect("a number is short"), pipe("up"), pipe("down"))
}

async fn knock(endpoint: &Endpoint) -> io::Result<Link> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = u64::from(std::process::id()) << 32 | u64::from(COUNT.fetch_add(1, Relaxed));
    let (door, peer) = place(endpoint)?;
    let (local, up, down) = client(door, number);
    let mut door = OpenOptions::new().open_sender(door)?;
    let (up, down) = (make(up)?, make(down)?);
    let mut rx = OpenOptions::new().open_receiver(&down)?;
    // A pipe can be opened for writing only while somebody reads it: until the server does, that is us.
    let _reads = OpenOptions::new().open_receiver(&up)?;
    let tx = OpenOptions::new().open_sender(&up)?;
    door.write_all(&number.to_be_bytes()).await?;
    tokio::select! {
        biased;
        ready = rx.readable() => ready?, // `read` would take a pipe without a writer as yet for one that has ended
        _ = door.ready(Interest::ERROR) => return Err(ErrorKind::ConnectionRefused.into()), // the server is gone
    }
    rx.read_u8().await.map_err(|_| ErrorKind::ConnectionRefused)?;
    Ok(Link::bytes(Duplex { rx, tx: Some(tx) }, ConnInfo::new(Peer::new(peer), local)))
}

/// Makes a named pipe. What it returns removes the name when dropped, not the pipe.
fn make(path: PathBuf) -> io::Result<TempPath> {
    match nix::unistd::mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR) {
        Err(Errno::EEXIST) => Err(ErrorKind::AddrInUse.into()),
        result => result.map_err(io::Error::from).and_then(|()| TempPath::try_from_path(path)),
    }
}

struct Door(TempPath, Endpoint, Addr, Listening<AsyncFd<File>>);

fn open(endpoint: &Endpoint) -> io::Result<Door> {
    let (path, addr) = place(endpoint)?;
    let name = make(path.to_owned())?;
    // For writing as well, which keeps it from ending (`fifo(7)`).
    let pipe = File::options().read(true).write(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    Ok(Door(name, endpoint.clone(), addr, Listening::new(pipe))) // whoever polls it is served, on whatever runtime
}

#[async_trait]
impl Listener for Door {
    fn local(&self) -> Endpoint {
        self.1.clone()
    }

    async fn accept(&mut self) -> io::Result<Incoming> {
        let mut number = [0; 8];
        self.3.accept(|mut pipe| pipe.read_exact(&mut number)).await?; // knocks are written whole, so they are read whole
        let (peer, up, down) = client(&self.0, u64::from_be_bytes(number));
        let pipes = OpenOptions::new().open_sender(down).and_then(|tx| Ok((tx, OpenOptions::new().open_receiver(up)?)));
        let (peer, local) = (Peer::new(peer), self.2);
        Ok(Incoming::pending(peer.clone(), async move {
            let (mut tx, rx) = pipes?; // a client that is gone already is its own end, not the listener's
            tx.write_u8(1).await?;
            Ok(Link::bytes(Duplex { rx, tx: Some(tx) }, ConnInfo::new(peer, local)))
        }))
    }
}

struct Duplex {
    rx: Receiver,
    tx: Option<Sender>,
}

impl AsyncRead for Duplex {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.rx).poll_read(cx, buf)
    }
}

impl AsyncWrite for Duplex {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let tx = self.tx.as_mut().ok_or(ErrorKind::BrokenPipe)?;
        Pin::new(tx).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tx = None; // whoever reads a pipe without writers reads to its end
        Poll::Ready(Ok(()))
    }
}
// --- transport ---

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    use swapwire::{Framing, Registry, Server, SessionConfig, connect_with, handlers::UppercaseEcho};

    let here = || format!("fifo:{}", std::env::temp_dir().join(format!("knock-{}", std::process::id())).display());
    let endpoint = std::env::args().nth(1).unwrap_or_else(here);
    let registry = Registry::new().with(Fifo);
    let server = Server::builder().registry(registry.clone()).listen(&endpoint).handler(UppercaseEcho);
    let server = server.framing(Framing::Lines).bind().await?.start();
    println!("listening {}", server.local_endpoints()[0]);

    let mut session = connect_with(&registry, endpoint, SessionConfig::framed(Framing::Lines)).await?;
    println!("{} talks to {}", session.local(), session.peer());
    for message in ["hello", "over two pipes"] {
        session.send(message).await?;
        let answer = session.recv().await?.ok_or("the server has closed")?;
        println!("{message} -> {}", String::from_utf8_lossy(&answer));
    }
    session.shutdown().await?;
    drop(session);
    println!("{}", server.stop().await);
    Ok(())
}
