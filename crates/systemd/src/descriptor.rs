//! Descriptors by number.

use std::fs;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixDatagram;

use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

/// `O_CLOEXEC` in `/proc/self/fdinfo`.
const CLOSED_ON_EXEC: u32 = nix::libc::O_CLOEXEC.cast_unsigned();

/// Another descriptor of the open file that was passed as `number`, closed on exec. `number` stays open.
///
/// # Errors
/// It is not open, or this program opened it itself.
pub(crate) fn passed(number: RawFd) -> Result<OwnedFd, String> {
    if is_own(number) {
        return Err(format!("descriptor {number} was not passed to this process; start it with a socket there"));
    }
    duplicate(number).map_err(|error| match error.raw_os_error() {
        Some(code) if code == Errno::EBADF as i32 => {
            format!("descriptor {number} is not open; start this process with a socket there")
        }
        _ => format!("descriptor {number} cannot be taken: {error}"),
    })
}

/// What was passed has survived an exec. Where there is no `/proc`, nothing is known, and nothing is taken for its own.
fn is_own(number: RawFd) -> bool {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap_or_default();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
    flags.is_some_and(|flags| flags & CLOSED_ON_EXEC != 0)
}

/// To own a descriptor by its number is `unsafe`; sent over a socket to this
/// process itself (`unix(7)`, `SCM_RIGHTS`), it arrives as one that is owned, and the system checks the number.
fn duplicate(number: RawFd) -> io::Result<OwnedFd> {
    let (from, to) = UnixDatagram::pair()?;
    let numbers = [number];
    let rights = [ControlMessage::ScmRights(&numbers)];
    sendmsg::<()>(from.as_raw_fd(), &[IoSlice::new(b"d")], &rights, MsgFlags::empty(), None)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    recvmsg(&to, &mut [IoSliceMut::new(&mut [0])], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let received = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut received) => received.next(),
        _ => None,
    });
    received.ok_or_else(|| io::Error::other("the system did not give it"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn what_this_program_opened_stays_its_own() {
        let own = TcpListener::bind("127.0.0.1:0").unwrap();
        let number = own.as_raw_fd();
        let error = passed(number).unwrap_err();
        assert_eq!(error, format!("descriptor {number} was not passed to this process; start it with a socket there"));
        own.local_addr().unwrap();
    }

    #[test]
    fn a_number_that_is_not_open_is_told() {
        let error = passed(99_999).unwrap_err();
        assert_eq!(error, "descriptor 99999 is not open; start this process with a socket there");
    }

    #[test]
    fn a_duplicate_is_of_the_same_socket_and_closed_on_exec() {
        let own = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = duplicate(own.as_raw_fd()).unwrap();
        assert!(is_own(taken.as_raw_fd()));
        assert_eq!(TcpListener::from(taken).local_addr().unwrap(), own.local_addr().unwrap());
    }
}
