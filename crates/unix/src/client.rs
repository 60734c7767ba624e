//! Datagram sockets that are connected: the client's side.

#[cfg(all(any(target_os = "linux", target_os = "android"), not(swapwire_plain)))]
mod batched;
#[cfg(not(all(any(target_os = "linux", target_os = "android"), not(swapwire_plain))))]
mod plain;

use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use socket2::{SockAddr, SockRef, Socket};
use swapwire_core::{
    Addr, ConnInfo, Endpoint, ErrorClass, Link, MessageStream, Peer, RecvBatch, RecvError, RecvMeta, SendBatch,
    SendError, Side, classify_datagram,
};
use tokio::io::Interest;
use tokio::net::UnixDatagram;

#[cfg(all(any(target_os = "linux", target_os = "android"), not(swapwire_plain)))]
use self::batched::{receive, receive_many, send_many};
#[cfg(not(all(any(target_os = "linux", target_os = "android"), not(swapwire_plain))))]
use self::plain::{receive, receive_many, send_many};
use crate::address::{from_system, resolve, to_system};
use crate::datagram::{MAX_MESSAGE, new_socket};
use crate::failure::Failure;
use crate::options::{DATAGRAM_OPTIONS, Options};

/// How many datagrams of other senders are discarded at most when connecting anew; a queue holds far fewer.
const DRAIN: usize = 4096;

struct Client {
    socket: UnixDatagram,
    server: SockAddr,
    // Whether the server is gone. Then the kernel has disconnected the socket, and any process may send to it.
    lost: bool,
    // One byte more than a message may have. Messages are copied out of it: a message that the caller keeps costs its own
    // length and not the largest one's.
    inbox: Vec<u8>,
    // The error behind the messages that were received last.
    recv_error: Option<RecvError>,
    _name: Option<OwnName>,
}

/// A path that a client is bound to, unlinked at the end.
struct OwnName(PathBuf);

pub(crate) fn connect(endpoint: &Endpoint) -> Result<Link, Failure> {
    let options = Options::read(endpoint, DATAGRAM_OPTIONS, Side::Connect)?;
    let addr = resolve(endpoint)?;
    let server = to_system(&addr)?;
    let socket = new_socket(options.buffers)?;
    options.buffers.tell_dialled(endpoint, &SockRef::from(&socket));
    // Before it has a name: then only the server ever sends to it.
    socket.connect(&server)?;
    let name = name(&socket)?;
    let socket = UnixDatagram::from_std(OwnedFd::from(socket).into())?;
    let local = from_system(&socket.local_addr()?);
    let client = Client { socket, server, lost: false, inbox: vec![0; MAX_MESSAGE + 1], recv_error: None, _name: name };
    Ok(Link::messages(client, ConnInfo::new(Peer::new(Addr::Unix(addr)), Addr::Unix(local))))
}

/// Gives the socket a name that it can be answered at.
fn name(socket: &Socket) -> io::Result<Option<OwnName>> {
    if cfg!(any(target_os = "linux", target_os = "android")) {
        // unix(7), "Autobind feature": the kernel chooses an abstract name.
        socket.bind(&SockAddr::unix("")?)?;
        return Ok(None);
    }
    bind_somewhere(socket).map(Some)
}

/// In the directory for temporary files, or where that cannot be, because its path is too long or it is missing, in `/tmp`.
fn bind_somewhere(socket: &Socket) -> io::Result<OwnName> {
    bind_in(socket, &std::env::temp_dir()).or_else(|_| bind_in(socket, Path::new("/tmp")))
}

fn bind_in(socket: &Socket, directory: &Path) -> io::Result<OwnName> {
    let random = RandomState::new();
    let mut result = Err(io::ErrorKind::AddrInUse.into());
    for n in 0..16 {
        let path = directory.join(format!("swapwire-{:016x}.sock", random.hash_one(n)));
        result = socket.bind(&SockAddr::unix(&path)?).map(|()| OwnName(path));
        if !matches!(&result, Err(error) if error.kind() == io::ErrorKind::AddrInUse) {
            break;
        }
    }
    result
}

impl Client {
    /// Connects to the server that is there now; what other processes sent in between is discarded.
    fn reconnect(&mut self) -> io::Result<()> {
        let socket = SockRef::from(&self.socket);
        socket.connect(&self.server)?;
        for _ in 0..DRAIN {
            if socket.recv(&mut [MaybeUninit::uninit()]).is_err() {
                break;
            }
        }
        self.lost = false;
        Ok(())
    }

    /// The system takes no message of `len` bytes: it has to fit into the send buffer, of which Linux keeps 32 bytes
    /// (`unix_dgram_sendmsg`).
    fn too_large(&self, len: usize, error: io::Error) -> SendError {
        match SockRef::from(&self.socket).send_buffer_size() {
            Ok(size) if size < len + 32 => SendError::TooLarge { len, max: size.saturating_sub(32) },
            _ => send_error(error),
        }
    }

    /// Receives one message into `slot`.
    fn poll_take(&mut self, cx: &mut Context<'_>, slot: &mut [u8]) -> Poll<Result<RecvMeta, RecvError>> {
        let capacity = slot.len();
        loop {
            ready!(self.socket.poll_recv_ready(cx))?;
            match self.socket.try_io(Interest::READABLE, || receive(&self.socket, slot)) {
                Ok(_) if self.lost => {}
                Ok(len) => return Poll::Ready(Ok(RecvMeta::received(None, len, capacity, MAX_MESSAGE))),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {}
                    _ => return Poll::Ready(Err(recv_error(error))),
                },
            }
        }
    }
}

/// Whether the error says that the server's socket was closed.
fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotConnected | io::ErrorKind::ConnectionReset
    )
}

/// The server's socket takes nothing more, and is not closed yet: what it sends still arrives, so the client stays connected.
fn refused() -> SendError {
    let reason = "the server takes no more messages: it drains or is gone";
    SendError::PeerNoise(io::Error::new(io::ErrorKind::BrokenPipe, reason))
}

fn recv_error(error: io::Error) -> RecvError {
    match classify_datagram(&error) {
        ErrorClass::ListenerFatal => RecvError::Io(error),
        _ => RecvError::PeerNoise(error),
    }
}

fn send_error(error: io::Error) -> SendError {
    match classify_datagram(&error) {
        ErrorClass::Retryable => SendError::Congested,
        ErrorClass::ListenerFatal => SendError::Io(error),
        _ => SendError::PeerNoise(error),
    }
}

impl MessageStream for Client {
    fn poll_recv(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<Result<Option<usize>, RecvError>> {
        if let Some(error) = self.recv_error.take() {
            return Poll::Ready(Err(error));
        }
        let mut inbox = mem::take(&mut self.inbox);
        let received = self.poll_take(cx, &mut inbox);
        self.inbox = inbox;
        let meta = ready!(received)?;
        if meta.truncated {
            return Poll::Ready(Err(RecvError::TooLarge { len: meta.len, max: MAX_MESSAGE }));
        }
        into.extend_from_slice(&self.inbox[..meta.len]);
        Poll::Ready(Ok(Some(meta.len)))
    }

    fn poll_recv_batch(
        &mut self,
        cx: &mut Context<'_>,
        batch: &mut RecvBatch,
    ) -> Poll<Result<Option<usize>, RecvError>> {
        let before = batch.len();
        let Some(slot) = batch.next_slot() else { return Poll::Ready(Ok(Some(0))) };
        if let Some(error) = self.recv_error.take() {
            return Poll::Ready(Err(error));
        }
        if self.lost {
            // One by one, as what other processes send is discarded.
            let meta = ready!(self.poll_take(cx, slot))?;
            batch.push(meta);
            return Poll::Ready(Ok(Some(1)));
        }
        loop {
            ready!(self.socket.poll_recv_ready(cx))?;
            let outcome = self.socket.try_io(Interest::READABLE, || receive_many(&self.socket, batch));
            let error = match outcome {
                Ok(()) => None,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => None,
                Err(error) => Some(recv_error(error)),
            };
            if batch.len() > before {
                self.recv_error = error;
                return Poll::Ready(Ok(Some(batch.len() - before)));
            }
            if let Some(error) = error {
                return Poll::Ready(Err(error));
            }
        }
    }

    /// Waits while the server's queue is full: for a connected socket the kernel reports its room as writability
    /// (`unix_dgram_poll`).
    fn poll_send(&mut self, cx: &mut Context<'_>, message: &[u8]) -> Poll<Result<(), SendError>> {
        if message.len() > MAX_MESSAGE {
            return Poll::Ready(Err(SendError::TooLarge { len: message.len(), max: MAX_MESSAGE }));
        }
        let mut tried_again = false;
        loop {
            if self.lost {
                tried_again = true;
                if let Err(error) = self.reconnect() {
                    return Poll::Ready(Err(SendError::PeerNoise(error)));
                }
            }
            ready!(self.socket.poll_send_ready(cx))?;
            match self.socket.try_send(message) {
                Ok(_) => return Poll::Ready(Ok(())),
                Err(error) if is_gone(&error) => {
                    self.lost = true;
                    if tried_again {
                        return Poll::Ready(Err(SendError::PeerNoise(error)));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Poll::Ready(Err(refused())),
                Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => {
                    return Poll::Ready(Err(self.too_large(message.len(), error)));
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {}
                    _ => return Poll::Ready(Err(send_error(error))),
                },
            }
        }
    }

    fn poll_send_batch(
        &mut self,
        cx: &mut Context<'_>,
        batch: &SendBatch,
        from: usize,
    ) -> Poll<Result<usize, SendError>> {
        let Some(first) = batch.get(from) else { return Poll::Ready(Ok(0)) };
        if batch.len() - from > 1 && !self.lost && first.message.len() <= MAX_MESSAGE {
            ready!(self.socket.poll_send_ready(cx))?;
            let sent = self.socket.try_io(Interest::WRITABLE, || send_many(&self.socket, batch, from));
            if let Ok(count) = sent {
                return Poll::Ready(Ok(count));
            }
            // What the first meets, sending it alone tells, and mends.
        }
        self.poll_send(cx, first.message).map_ok(|()| 1)
    }

    fn max_message(&self) -> usize {
        MAX_MESSAGE
    }
}

impl Drop for OwnName {
    fn drop(&mut self) {
        // A drop returns no error.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swapwire_socket::Buffers;

    #[test]
    fn a_path_of_its_own_goes_with_the_client() {
        let socket = new_socket(Buffers::default()).unwrap();
        let name = bind_somewhere(&socket).unwrap();
        let path = name.0.clone();
        assert_eq!(socket.local_addr().unwrap().as_pathname(), Some(path.as_path()));
        assert!(path.exists());
        drop(name);
        assert!(!path.exists());
    }

    #[test]
    fn a_directory_that_takes_no_socket_is_an_error_of_the_system() {
        let socket = new_socket(Buffers::default()).unwrap();
        assert!(bind_in(&socket, Path::new("/no/such/directory")).is_err());
        assert!(bind_in(&socket, Path::new(&format!("/tmp/{}", "d".repeat(100)))).is_err());
        drop(bind_in(&socket, &std::env::temp_dir()).unwrap());
    }
}
