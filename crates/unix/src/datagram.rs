//! Datagram sockets that are bound: the server's side.

use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use socket2::{Domain, SockRef, Socket, Type};
use swapwire_core::{Addr, DatagramSocket, Endpoint, RecvBatch, RecvMeta, SendBatch, SendEntry, Side, UnixAddr};
use tokio::net::UnixDatagram;

use crate::address::{from_system, resolve, to_endpoint, to_system};
use crate::failure::Failure;
use crate::options::{Buffers, DATAGRAM_OPTIONS, Options};
use crate::path::{self, BoundPath, Publish};

/// The largest datagram of the scheme `unix-dgram`, in bytes, in both directions.
///
/// The kernel's own limit is the send buffer less 32 bytes, 212,960 on Linux by default (`EMSGSIZE` above it, `unix(7)`
/// and the kernel's `sock_alloc_send_pskb`). This one is lower, so that a batch of slots stays small, and well above
/// what UDP carries.
pub const MAX_MESSAGE: usize = 65_536;

/// What a server asks for as its send buffer, in bytes; the system caps it (`net.core.wmem_max`). What peers have not
/// read yet is counted there: measured on Linux 6.18, 1 MiB holds 2,731 datagrams of one byte (768 bytes each, of twice
/// the size asked for) or 31 of 64 KiB, where the default of 208 KiB holds a tenth of them. Revisit when one slow peer is
/// seen to stop the replies to others.
const SERVER_SEND_BUFFER: usize = 1 << 20;

/// The least buffer that carries the largest message; some systems' own is 2 or 4 KiB.
const LEAST_BUFFER: usize = 2 * MAX_MESSAGE;

struct Server {
    // First: unlinked while the socket still lives, see `BoundPath`.
    _path: Option<BoundPath>,
    socket: UnixDatagram,
    endpoint: Endpoint,
    // For slots that could not show that a datagram is too large. Empty until one is seen.
    spare: Vec<u8>,
}

pub(crate) fn bind(endpoint: &Endpoint) -> Result<Box<dyn DatagramSocket>, Failure> {
    let options = Options::read(endpoint, DATAGRAM_OPTIONS, Side::Bind)?;
    let addr = resolve(endpoint)?;
    let endpoint = to_endpoint(&addr, endpoint.scheme())?;
    let (socket, path) = open(&addr, &options)?;
    let socket = UnixDatagram::from_std(OwnedFd::from(socket).into())?;
    Ok(Box::new(Server { _path: path, socket, endpoint, spare: Vec::new() }))
}

fn open(addr: &UnixAddr, options: &Options) -> Result<(Socket, Option<BoundPath>), Failure> {
    let send = options.buffers.send.unwrap_or(SERVER_SEND_BUFFER);
    let socket = new_socket(Buffers { send: Some(send), ..options.buffers })?;
    let Some(path) = addr.as_path() else {
        socket.bind(&to_system(addr)?)?;
        return Ok((socket, None));
    };
    let (socket, path) = path::bind(socket, path, options.mode, Publish::InPlace)?;
    Ok((socket, Some(path)))
}

/// A socket of its own that neither waits nor has a name yet.
pub(crate) fn new_socket(mut buffers: Buffers) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::DGRAM, None)?;
    socket.set_nonblocking(true)?;
    if socket.send_buffer_size()? < LEAST_BUFFER {
        buffers.send = buffers.send.or(Some(LEAST_BUFFER));
    }
    if socket.recv_buffer_size()? < LEAST_BUFFER {
        buffers.recv = buffers.recv.or(Some(LEAST_BUFFER));
    }
    buffers.apply(SockRef::from(&socket))?;
    Ok(socket)
}

impl Server {
    fn receive(&mut self, slot: &mut [u8]) -> io::Result<RecvMeta> {
        let (len, peer) = if slot.len() > MAX_MESSAGE {
            self.socket.try_recv_from(slot)?
        } else {
            self.spare.resize(MAX_MESSAGE + 1, 0);
            let (len, peer) = self.socket.try_recv_from(&mut self.spare)?;
            let fits = len.min(slot.len());
            slot[..fits].copy_from_slice(&self.spare[..fits]);
            (len, peer)
        };
        let peer = from_system(&peer);
        let mut meta = RecvMeta::new((!peer.is_unnamed()).then_some(Addr::Unix(peer)), len.min(slot.len()));
        meta.truncated = len > MAX_MESSAGE.min(slot.len());
        Ok(meta)
    }

    /// Past tokio's readiness: it would remember one peer's full queue as the socket's own.
    fn send(&self, entry: SendEntry<'_>) -> io::Result<()> {
        if entry.message.len() > MAX_MESSAGE {
            return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
        }
        let Addr::Unix(to) = entry.to else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not the address of a Unix socket"));
        };
        let to = to_system(to)?;
        loop {
            match SockRef::from(&self.socket).send_to(entry.message, &to) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl DatagramSocket for Server {
    fn local(&self) -> Endpoint {
        self.endpoint.clone()
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, batch: &mut RecvBatch) -> Poll<io::Result<()>> {
        loop {
            ready!(self.socket.poll_recv_ready(cx))?;
            while let Some(slot) = batch.next_slot() {
                match self.receive(slot) {
                    Ok(meta) => batch.push(meta),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // The error of this moment; what keeps failing fails again.
                    Err(_) if !batch.is_empty() => break,
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
            if !batch.is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Never pending: with `EAGAIN` the kernel does not tell whether it is the peer's queue or the send buffer that is
    /// full, and the send buffer is full because of peers that do not read.
    fn poll_send(&mut self, _: &mut Context<'_>, batch: &SendBatch, from: usize) -> Poll<io::Result<usize>> {
        let mut sent = 0;
        for entry in batch.iter_from(from) {
            match self.send(entry) {
                Ok(()) => sent += 1,
                Err(error) if sent == 0 => return Poll::Ready(Err(error)),
                Err(_) => break,
            }
        }
        Poll::Ready(Ok(sent))
    }

    fn max_message(&self) -> usize {
        MAX_MESSAGE
    }
}
