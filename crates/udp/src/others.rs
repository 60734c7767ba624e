//! The addresses of a name that a client has not tried.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::dial::connect;
use crate::engine::Engine;
use crate::options::Options;
use crate::wire::Wire;

/// What is kept of what was sent before the first answer, to be sent again to the next address.
const MOST_MESSAGES: usize = 64;
const MOST_BYTES: usize = 64 << 10;

/// A refusal comes sooner, that of a host that does not answer ARP as well (`arp(7)`, three tries of one second each).
const REFUSED_WITHIN: Duration = Duration::from_secs(5);

/// The addresses of a name behind the one that is talked to, as long as nothing was received from it and it may still refuse
/// what was sent first. Memory: what was sent, up to 64 messages of together 64 KiB.
#[derive(Debug)]
pub(crate) struct Others {
    addrs: VecDeque<SocketAddr>,
    options: Options,
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// More was sent than can be kept, so nothing is.
    is_short: bool,
    /// When the present address was sent something for the first time.
    pub(crate) since: Option<Instant>,
    /// The tasks that wait to receive and to send, on the socket that may be replaced.
    pub(crate) receiver: Option<Waker>,
    pub(crate) sender: Option<Waker>,
}

impl Others {
    pub(crate) fn new(addrs: Vec<SocketAddr>, options: Options) -> Self {
        Self {
            addrs: addrs.into(),
            options,
            bytes: Vec::new(),
            ends: Vec::new(),
            is_short: false,
            since: None,
            receiver: None,
            sender: None,
        }
    }

    /// Notes messages that were sent. Whether the address stays: the system reports a refusal at the next send, and would
    /// have done so now.
    pub(crate) fn note<'a>(&mut self, messages: impl Iterator<Item = &'a [u8]>) -> bool {
        if self.since.get_or_insert_with(Instant::now).elapsed() >= REFUSED_WITHIN {
            return true;
        }
        for message in messages {
            self.is_short |= self.ends.len() >= MOST_MESSAGES || self.bytes.len() + message.len() > MOST_BYTES;
            if self.is_short {
                (self.bytes, self.ends) = (Vec::new(), Vec::new());
                break;
            }
            self.bytes.extend_from_slice(message);
            self.ends.push(self.bytes.len());
        }
        false
    }

    /// A wire to the next address to which there is a route, over which was sent again what is kept; and whether that is all
    /// that was sent.
    pub(crate) fn next<E: Engine>(&mut self) -> Option<(Wire<E>, bool)> {
        while let Some(addr) = self.addrs.pop_front() {
            if let Ok(wire) = self.go_on_with(addr) {
                // tokio wakes no task when the socket is dropped.
                self.receiver.take().into_iter().chain(self.sender.take()).for_each(Waker::wake);
                self.since = None;
                return Some((wire, !std::mem::take(&mut self.is_short)));
            }
        }
        None
    }

    fn go_on_with<E: Engine>(&self, addr: SocketAddr) -> io::Result<Wire<E>> {
        let socket = connect(addr, &self.options)?;
        let mut start = 0;
        for end in &self.ends {
            // Like all datagrams, these may be lost; that no server is there either shows later.
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
