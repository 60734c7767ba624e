//! The addresses of a name that a client has not tried.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::task::Waker;

use crate::dial::connect;
use crate::engine::Engine;
use crate::options::Options;
use crate::wire::Wire;

/// What is kept of what was sent before the first answer, to be sent again to the next address.
const MOST_MESSAGES: usize = 64;
const MOST_BYTES: usize = 64 << 10;

/// The addresses of a name behind the one that is talked to, as long as nothing was received from it. Memory: what was sent,
/// up to 64 messages of together 64 KiB.
#[derive(Debug)]
pub(crate) struct Others {
    addrs: VecDeque<SocketAddr>,
    options: Options,
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// More was sent than is kept.
    is_short: bool,
    /// Who waits to receive, on the socket that may be replaced.
    pub(crate) receiver: Option<Waker>,
}

impl Others {
    pub(crate) fn new(addrs: Vec<SocketAddr>, options: Options) -> Self {
        Self { addrs: addrs.into(), options, bytes: Vec::new(), ends: Vec::new(), is_short: false, receiver: None }
    }

    /// Notes a message that was sent.
    pub(crate) fn note(&mut self, message: &[u8]) {
        self.is_short |= self.ends.len() >= MOST_MESSAGES || self.bytes.len() + message.len() > MOST_BYTES;
        if !self.is_short {
            self.bytes.extend_from_slice(message);
            self.ends.push(self.bytes.len());
        }
    }

    /// A wire to the next address to which there is a route, over which was sent again what is kept; and whether that is all
    /// that was sent.
    pub(crate) fn next<E: Engine>(&mut self) -> Option<(Wire<E>, bool)> {
        while let Some(addr) = self.addrs.pop_front() {
            if let Ok(wire) = self.go_on_with(addr) {
                if let Some(receiver) = self.receiver.take() {
                    receiver.wake();
                }
                return Some((wire, !self.is_short));
            }
        }
        None
    }

    fn go_on_with<E: Engine>(&self, addr: SocketAddr) -> io::Result<Wire<E>> {
        let socket = connect(addr, &self.options)?;
        let mut start = 0;
        for end in &self.ends {
            // Like all datagrams, these may be lost; that nobody is there either shows later.
            let _ = socket.send(&self.bytes[start..*end]);
            start = *end;
        }
        Wire::new(socket, &self.options)
    }
}

/// Whether the error says that what was sent did not reach a server.
pub(crate) fn is_refusal(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
    matches!(error.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable)
}
