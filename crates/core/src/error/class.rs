//! What an error of the system means for the thing it happened to.

use std::io::{Error, ErrorKind};

/// What to do after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorClass {
    /// The same call may work later; the socket stays usable.
    Retryable,
    /// About some peer of a datagram socket, not about the socket: count and go on.
    PeerNoise,
    /// This connection is over; the server goes on.
    ConnectionFatal,
    /// This accept failed, the next may work: retry at once.
    ListenerTransient,
    /// Out of a resource: back off, and wake when one of our own connections closes.
    ListenerPressure,
    /// This listening socket can never work again. Never silent.
    ListenerFatal,
    /// The composition is wrong: found before the start.
    Configuration,
}

fn errno(error: &Error) -> i32 {
    error.raw_os_error().unwrap_or(0)
}

/// The class of an error from `accept(2)`. Unknown ones are [`ErrorClass::ListenerPressure`]: a server that backs off
/// survives what a server that exits or spins does not.
pub fn classify_accept(error: &Error) -> ErrorClass {
    match error.kind() {
        ErrorKind::ConnectionAborted
        | ErrorKind::ConnectionReset
        | ErrorKind::Interrupted
        | ErrorKind::WouldBlock
        | ErrorKind::PermissionDenied
        | ErrorKind::NetworkDown
        | ErrorKind::NetworkUnreachable
        | ErrorKind::HostUnreachable
        | ErrorKind::TimedOut => return ErrorClass::ListenerTransient,
        ErrorKind::InvalidInput => return ErrorClass::ListenerFatal,
        _ => {}
    }
    #[cfg(unix)]
    match errno(error) {
        libc::EPROTO | libc::EHOSTDOWN | libc::EOPNOTSUPP | libc::ENOPROTOOPT | libc::EPERM => {
            return ErrorClass::ListenerTransient;
        }
        #[cfg(target_os = "linux")]
        libc::ENONET => return ErrorClass::ListenerTransient,
        libc::EBADF | libc::EINVAL | libc::ENOTSOCK | libc::EFAULT => return ErrorClass::ListenerFatal,
        _ => {}
    }
    let _ = errno;
    ErrorClass::ListenerPressure
}

/// The class of an error from reading or writing a connected stream. Unknown ones are [`ErrorClass::ConnectionFatal`].
pub fn classify_stream(error: &Error) -> ErrorClass {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::OutOfMemory => ErrorClass::Retryable,
        _ => match errno(error) {
            #[cfg(unix)]
            libc::ENOBUFS => ErrorClass::Retryable,
            _ => ErrorClass::ConnectionFatal,
        },
    }
}

/// The class of an error from a datagram socket. `EAGAIN`, `ENOBUFS` and `ENOMEM` are [`ErrorClass::Retryable`], a closed
/// descriptor is [`ErrorClass::ListenerFatal`], and everything else, known or not, is [`ErrorClass::PeerNoise`]: an ICMP
/// error, which any sender can provoke, must not end a socket that serves all peers.
pub fn classify_datagram(error: &Error) -> ErrorClass {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::OutOfMemory => ErrorClass::Retryable,
        _ => match errno(error) {
            #[cfg(unix)]
            libc::ENOBUFS => ErrorClass::Retryable,
            #[cfg(unix)]
            libc::EBADF | libc::ENOTSOCK => ErrorClass::ListenerFatal,
            _ => ErrorClass::PeerNoise,
        },
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn known_numbers() {
        let accept = |number| classify_accept(&Error::from_raw_os_error(number));
        for number in [libc::ECONNABORTED, libc::EINTR, libc::EPROTO, libc::ENETDOWN, libc::EPERM, libc::ENONET] {
            assert_eq!(accept(number), ErrorClass::ListenerTransient, "{number}");
        }
        for number in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM, libc::EXFULL] {
            assert_eq!(accept(number), ErrorClass::ListenerPressure, "{number}");
        }
        for number in [libc::EBADF, libc::EINVAL, libc::ENOTSOCK] {
            assert_eq!(accept(number), ErrorClass::ListenerFatal, "{number}");
        }
        let datagram = |number| classify_datagram(&Error::from_raw_os_error(number));
        for number in [libc::ECONNREFUSED, libc::EHOSTUNREACH, libc::EMSGSIZE, libc::EXFULL] {
            assert_eq!(datagram(number), ErrorClass::PeerNoise, "{number}");
        }
        assert_eq!(datagram(libc::EAGAIN), ErrorClass::Retryable);
        assert_eq!(classify_stream(&Error::from_raw_os_error(libc::EPIPE)), ErrorClass::ConnectionFatal);
    }

    #[test]
    fn every_number_has_a_class() {
        for number in 1..=133 {
            let error = Error::from_raw_os_error(number);
            let _ = (classify_accept(&error), classify_stream(&error), classify_datagram(&error));
        }
    }
}
