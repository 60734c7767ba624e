//! Connected Unix messages (`SOCK_SEQPACKET`, unix(7)): one recvmsg(2) and one send(2) for each.

use std::io::IoSliceMut;
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::cmsg_space;
use nix::sys::socket::{MsgFlags, UnixCredentials, recvmsg};

use super::streams::Echo;

/// The messages of one connection, in upper case.
pub(super) struct Messages {
    /// Room for the credentials that come with each message, where they are asked for: they tell an empty message from the end.
    control: Option<Vec<u8>>,
}

impl Messages {
    pub(super) fn new(credentials: bool) -> Self {
        Self { control: credentials.then(|| cmsg_space!(UnixCredentials)) }
    }
}

impl Echo for Messages {
    const MESSAGES: bool = true;

    fn receive(&mut self, socket: &OwnedFd, buffer: &mut [u8]) -> nix::Result<Option<usize>> {
        let mut parts = [IoSliceMut::new(buffer)];
        let received = recvmsg::<()>(socket.as_raw_fd(), &mut parts, self.control.as_deref_mut(), MsgFlags::empty())?;
        let is_message = received.bytes > 0 || received.cmsgs()?.next().is_some();
        Ok(is_message.then_some(received.bytes))
    }

    fn answer<'a>(&mut self, bytes: &'a mut [u8], _: &'a mut Vec<u8>) -> nix::Result<&'a [u8]> {
        bytes.make_ascii_uppercase();
        Ok(bytes)
    }
}
