//! Every number of an error that the system may give: its class is right, and the server lives. Those of `accept` are in
//! `accept.rs`.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "../common/mod.rs"]
mod common;
mod datagrams;
mod streams;

use std::io::Error;

use swapwire_core::{
    ErrorClass, HandlerError, Session, SessionHandler, async_trait, classify_datagram, classify_stream,
};

/// All of Linux's (`errno(3)`).
const ALL: std::ops::RangeInclusive<i32> = 1..=133;

struct EchoSession;

#[async_trait]
impl SessionHandler for EchoSession {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        while let Some(message) = session.recv().await? {
            session.send(message).await?;
        }
        Ok(())
    }
}

#[test]
fn the_classes_are_those_of_the_manual() {
    for errno in ALL {
        let error = Error::from_raw_os_error(errno);
        let stream = match errno {
            libc::EAGAIN | libc::EINTR | libc::ENOMEM | libc::ENOBUFS => ErrorClass::Retryable,
            _ => ErrorClass::ConnectionFatal,
        };
        let datagram = match errno {
            libc::EAGAIN | libc::EINTR | libc::ENOMEM | libc::ENOBUFS => ErrorClass::Retryable,
            libc::EBADF | libc::ENOTSOCK => ErrorClass::ListenerFatal,
            _ => ErrorClass::PeerNoise,
        };
        assert_eq!((classify_stream(&error), classify_datagram(&error)), (stream, datagram), "{error}");
    }
}
