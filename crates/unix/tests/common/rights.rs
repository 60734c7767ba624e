//! Descriptors that nobody asked for, and whether they stay open.

#![allow(dead_code, reason = "each test uses a part")]

use std::io::{ErrorKind, IoSlice, PipeReader, Read as _};
use std::os::fd::{AsFd as _, AsRawFd, OwnedFd};
use std::path::Path;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, bind, sendmsg, socket};

/// A socket for datagrams, bound to `name` if there is one.
pub(crate) fn sender(name: Option<&Path>) -> OwnedFd {
    let fd = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).unwrap();
    if let Some(name) = name {
        bind(fd.as_raw_fd(), &UnixAddr::new(name).unwrap()).unwrap();
    }
    fd
}

/// Sends `message` with `count` descriptors, and what the receiver cannot refuse to be told: our credentials. They are
/// the writing ends of a pipe that no others have, so that the reading end tells when all are closed.
pub(crate) fn send(socket: &impl AsRawFd, message: &[u8], to: Option<&Path>, count: usize) -> PipeReader {
    let (reader, writer) = std::io::pipe().unwrap();
    let descriptors = vec![writer.as_raw_fd(); count];
    let mut control = vec![ControlMessage::ScmRights(&descriptors)];
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let credentials = nix::sys::socket::UnixCredentials::new();
    #[cfg(any(target_os = "linux", target_os = "android"))]
    control.push(ControlMessage::ScmCredentials(&credentials));
    let to = to.map(|path| UnixAddr::new(path).unwrap());
    let sent = sendmsg(socket.as_raw_fd(), &[IoSlice::new(message)], &control, MsgFlags::empty(), to.as_ref());
    assert_eq!(sent, Ok(message.len()));
    reader
}

/// Whether nobody has any of the descriptors that came with a message.
pub(crate) fn are_closed(mut pipe: &PipeReader) -> bool {
    fcntl(pipe.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    match pipe.read(&mut [0]) {
        Ok(0) => true,
        Err(error) if error.kind() == ErrorKind::WouldBlock => false,
        other => panic!("{other:?}"),
    }
}
