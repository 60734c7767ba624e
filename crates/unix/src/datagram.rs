//! Datagram sockets that are bound: the server's side.

#[cfg(all(any(target_os = "linux", target_os = "android"), not(swapwire_plain)))]
mod batched;
#[cfg(not(all(any(target_os = "linux", target_os = "android"), not(swapwire_plain))))]
mod plain;

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::task::{Context, Poll, ready};

use socket2::{Domain, SockRef, Socket, Type};
use swapwire_core::{
    Arrivals, DatagramSocket, Endpoint, ErrorClass, Offload, RecvBatch, SendBatch, Side, UnixAddr, Upkeep,
    classify_datagram,
};
use swapwire_socket::{Buffers, Descriptor, Wanted};

#[cfg(all(any(target_os = "linux", target_os = "android"), not(swapwire_plain)))]
use self::batched::Moves;
#[cfg(not(all(any(target_os = "linux", target_os = "android"), not(swapwire_plain))))]
use self::plain::Moves;
use crate::address::{bound_to, resolve, to_endpoint, to_system};
use crate::failure::Failure;
use crate::options::{DATAGRAM_OPTIONS, Options};
use crate::path::BoundPath;
use crate::watch::Watched;

/// The largest datagram of the scheme `unix-dgram`, in bytes, in both directions.
///
/// The kernel's own limit is the send buffer less 32 bytes, 212,960 on Linux by default (`EMSGSIZE` above it, `unix(7)`
/// and the kernel's `sock_alloc_send_pskb`). This one is lower, so that a batch of slots stays small, and well above
/// what UDP carries.
pub const MAX_MESSAGE: usize = 65_536;

/// The usual send buffer of a server, in bytes; the system caps it (`net.core.wmem_max`). What peers have not
/// read yet is counted there: measured on Linux 6.18, 1 MiB holds 2,731 datagrams of one byte (768 bytes each, of twice
/// the size asked for) or 31 of 64 KiB, where the default of 208 KiB holds a tenth of them. Revisit when one slow peer is
/// seen to stop the replies to others.
const SERVER_SEND_BUFFER: usize = 1 << 20;

/// The least buffer that carries the largest message; some systems' own is 2 or 4 KiB.
const LEAST_BUFFER: usize = 2 * MAX_MESSAGE;

struct Server {
    // First: unlinked while the socket is still open, see `BoundPath`.
    path: Option<Watched>,
    socket: Bound,
    /// The one before, when its file had gone and the path was bound again: clients are connected to a socket, not to its
    /// path, and take replies from that one alone. Of several, the last.
    former: Option<Bound>,
    /// Whether the former one is received from first: the two alternate.
    former_first: bool,
    /// Arrivals are refused: the reactor is no longer asked, as it reports such a socket as readable for ever.
    is_fenced: bool,
    endpoint: Endpoint,
    buffers: Buffers,
    moves: Moves,
}

type Bound = Descriptor<UnixDatagram>;

pub(crate) fn bind(endpoint: &Endpoint) -> Result<Box<dyn DatagramSocket>, Failure> {
    let options = Options::read(endpoint, DATAGRAM_OPTIONS, Side::Bind)?;
    let addr = resolve(endpoint)?;
    let usual = Wanted::Usual(SERVER_SEND_BUFFER);
    let buffers = Buffers { send: options.buffers.send.or(Some(usual)), ..options.buffers };
    let (socket, path) = open(&addr, &options, buffers)?;
    serve(endpoint, &addr, socket, path, buffers)
}

/// The same of a bound socket that another program opened.
pub(crate) fn adopt(endpoint: &Endpoint, socket: Socket) -> Result<Box<dyn DatagramSocket>, Failure> {
    let buffers = Options::read(endpoint, DATAGRAM_OPTIONS, Side::Bind)?.buffers;
    let addr = bound_to(&socket)?;
    socket.set_nonblocking(true)?;
    buffers.apply(&SockRef::from(&socket))?;
    serve(endpoint, &addr, socket, None, buffers)
}

fn serve(
    endpoint: &Endpoint,
    addr: &UnixAddr,
    socket: Socket,
    path: Option<BoundPath>,
    buffers: Buffers,
) -> Result<Box<dyn DatagramSocket>, Failure> {
    buffers.tell_bound(endpoint, &SockRef::from(&socket));
    let endpoint = to_endpoint(addr, endpoint.scheme())?;
    Ok(Box::new(Server {
        path: path.map(Watched::new),
        socket: unregistered(socket),
        former: None,
        former_first: false,
        is_fenced: false,
        endpoint,
        buffers,
        moves: Moves::new(),
    }))
}

fn open(addr: &UnixAddr, options: &Options, buffers: Buffers) -> Result<(Socket, Option<BoundPath>), Failure> {
    let socket = new_socket(buffers)?;
    let Some(path) = addr.as_path() else {
        socket.bind(&to_system(addr)?)?;
        return Ok((socket, None));
    };
    let (socket, path) = BoundPath::bind(socket, path, options.access, None)?;
    Ok((socket, Some(path)))
}

/// A socket of its own that neither waits nor has a name yet.
pub(crate) fn new_socket(mut buffers: Buffers) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::DGRAM, None)?;
    socket.set_nonblocking(true)?;
    if socket.send_buffer_size()? < LEAST_BUFFER {
        buffers.send = buffers.send.or(Some(Wanted::Asked(LEAST_BUFFER)));
    }
    if socket.recv_buffer_size()? < LEAST_BUFFER {
        buffers.recv = buffers.recv.or(Some(Wanted::Asked(LEAST_BUFFER)));
    }
    buffers.apply(&SockRef::from(&socket))?;
    Ok(socket)
}

fn unregistered(socket: Socket) -> Bound {
    Descriptor::new(OwnedFd::from(socket).into())
}

#[inline]
fn poll_recv(
    socket: &mut Bound,
    cx: &mut Context<'_>,
    batch: &mut RecvBatch,
    moves: &mut Moves,
) -> Poll<io::Result<()>> {
    let before = batch.len();
    loop {
        ready!(socket.poll_read_ready(cx))?;
        match socket.try_read(|socket| moves.recv(socket, batch)) {
            // The error of this moment; what keeps failing fails again.
            _ if batch.len() > before => return Poll::Ready(Ok(())),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            done => return Poll::Ready(done),
        }
    }
}

impl Server {
    /// Receives from the socket before, as long as there is one that works.
    fn poll_former(&mut self, cx: &mut Context<'_>, batch: &mut RecvBatch) -> Poll<()> {
        let Some(former) = &mut self.former else { return Poll::Pending };
        let received = ready!(poll_recv(former, cx, batch, &mut self.moves));
        if received.is_ok() {
            return Poll::Ready(());
        }
        self.former = None;
        Poll::Pending
    }

    /// Receives what still waits behind the refusal of arrivals; nothing into `batch`, if that was all.
    fn recv_last(&mut self, batch: &mut RecvBatch) -> io::Result<()> {
        let before = batch.len();
        for socket in self.former.iter().chain([&self.socket]) {
            loop {
                match self.moves.recv(socket.get_ref(), batch) {
                    _ if batch.len() > before => return Ok(()),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                    _ => break,
                }
            }
        }
        Ok(())
    }
}

/// Whether senders to `socket` get `EPIPE` from now on, and what waits there stays (`unix(7)`, `shutdown(2)`; the kernel's
/// `unix_dgram_sendmsg` and `__unix_dgram_recvmsg`). Elsewhere than on Linux only a connected socket can be shut down.
fn refuse(socket: &Bound) -> bool {
    cfg!(any(target_os = "linux", target_os = "android"))
        && SockRef::from(socket.get_ref()).shutdown(Shutdown::Read).is_ok()
}

impl DatagramSocket for Server {
    fn local(&self) -> Endpoint {
        self.endpoint.clone()
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, batch: &mut RecvBatch) -> Poll<io::Result<()>> {
        if self.is_fenced {
            return Poll::Ready(self.recv_last(batch));
        }
        if self.former.is_some() {
            self.former_first = !self.former_first;
            if self.former_first && self.poll_former(cx, batch).is_ready() {
                return Poll::Ready(Ok(()));
            }
        }
        match poll_recv(&mut self.socket, cx, batch, &mut self.moves) {
            Poll::Pending => self.poll_former(cx, batch).map(Ok),
            done => done,
        }
    }

    /// Never pending: with `EAGAIN` the kernel does not tell whether it is the peer's queue or the send buffer that is
    /// full, and the send buffer is full because of peers that do not read.
    fn poll_send(&mut self, _: &mut Context<'_>, batch: &SendBatch, from: usize) -> Poll<io::Result<usize>> {
        let socket = self.socket.get_ref().as_fd();
        let mut next = from;
        while let Some(entry) = batch.get(next) {
            let sent = if entry.message.len() > MAX_MESSAGE {
                Err(io::Error::from_raw_os_error(libc::EMSGSIZE))
            } else {
                self.moves.send(socket, batch, next)
            };
            let sent = match (sent, &self.former) {
                (Err(error), Some(former)) if error.raw_os_error() == Some(libc::EPERM) => {
                    self.moves.send(former.get_ref().as_fd(), batch, next)
                }
                (sent, _) => sent,
            };
            match sent {
                Ok(count) => next += count,
                Err(error) if next == from => return Poll::Ready(Err(error)),
                Err(_) => break,
            }
        }
        Poll::Ready(Ok(next - from))
    }

    fn max_message(&self) -> usize {
        MAX_MESSAGE
    }

    fn offload(&self) -> Offload {
        Moves::offload()
    }

    /// The path stays until the socket is closed.
    fn refuse_arrivals(&mut self) -> Arrivals {
        if !refuse(&self.socket) {
            return Arrivals::Unknown;
        }
        self.is_fenced = true;
        // One that could not be refused any would still be received from until nothing waits.
        let _ = self.former.as_ref().map(refuse);
        Arrivals::Fenced
    }

    /// What waits at the socket whose file has gone is received from there, and clients that are connected to it go on.
    fn upkeep(&mut self) -> Option<Upkeep> {
        let (socket, found) = self.path.as_mut()?.look(|| new_socket(self.buffers));
        if let Some(socket) = socket {
            self.former = Some(std::mem::replace(&mut self.socket, unregistered(socket)));
        }
        Some(found)
    }

    fn classify(&self, error: &io::Error) -> ErrorClass {
        classify_datagram(error)
    }
}
