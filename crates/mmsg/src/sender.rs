//! Sending.

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;

use swapwire_core::{SendBatch, SendEntry};

use crate::headers::{Headers, Slot};
use crate::merging::{Merging, forbids, train};
use crate::{BATCH, Peers, control, name};

/// Sends many datagrams by one `sendmmsg(2)`.
///
/// One serves any sockets of its kind of peers, one call after the other. Memory: 256 bytes for each of as many datagrams or
/// trains, up to [`BATCH`](crate::BATCH), as ever left by a call; none before the first.
pub struct Sender {
    headers: Headers,
    peers: Peers,
    max_message: usize,
    /// How many entries each message of the last call was: more than one are a train.
    counts: [u8; BATCH],
}

impl Sender {
    /// For sockets that talk to `peers`, with messages of at most `max_message` bytes: longer ones are refused.
    pub const fn new(peers: Peers, max_message: usize) -> Self {
        Self { headers: Headers::new(!matches!(peers, Peers::One)), peers, max_message, counts: [1; BATCH] }
    }

    /// Sends entries of `batch` from `from` on, in order, and never waits; returns how many left, which is 0 only if there
    /// is none. At most [`BATCH`](crate::BATCH) messages leave by one call; with `merging`, a train of up to 64
    /// neighbours of one size, of which the last may be shorter, that go the same way, is one message.
    ///
    /// # Errors
    /// About the entry at `from` alone: it does not fit ([`InvalidInput`](io::ErrorKind::InvalidInput)), or the system
    /// refuses it. A train that the system refuses leaves one by one.
    pub fn send(
        &mut self,
        socket: BorrowedFd<'_>,
        batch: &SendBatch,
        from: usize,
        merging: &mut Merging,
    ) -> io::Result<usize> {
        loop {
            match self.send_some(socket, batch, from, merging.is_on()) {
                Err(error) if self.counts[0] > 1 && forbids(&error) => merging.pause(),
                Err(error) => return Err(error),
                Ok(count) => {
                    merging.sent(count);
                    return Ok(count);
                }
            }
        }
    }

    /// One system call.
    fn send_some(&mut self, socket: BorrowedFd<'_>, batch: &SendBatch, from: usize, merge: bool) -> io::Result<usize> {
        let (peers, max) = (self.peers, self.max_message);
        let mut out = self.headers.outgoing(batch.contents());
        let (mut next, mut start) = (from, batch.offset(from));
        self.counts[0] = 1;
        while out.len() < BATCH {
            let Some(entry) = batch.get(next) else { break };
            let (index, len) = (out.len(), entry.message.len());
            let count = if merge { train(batch, next, &entry) } else { 1 };
            let end = if count > 1 { batch.offset(next + count) } else { start + len };
            match out.push(start..end, |slot| address(slot, &entry, peers, max, count)) {
                Err(error) if index == 0 => return Err(error),
                Err(_) => break,
                Ok(()) => self.counts[index] = count as u8,
            }
            (next, start) = (next + count, end);
        }
        let messages = out.len();
        if messages == 0 {
            return Ok(0);
        }
        let sent = out.send(socket)?;
        if sent == messages {
            return Ok(next - from);
        }
        Ok(self.counts[..sent].iter().copied().map(usize::from).sum())
    }
}

/// Writes where `entry` goes, what it leaves from, and of which size the `count` segments are; gives how long the name and
/// the control messages are.
#[inline]
fn address(
    slot: &mut Slot,
    entry: &SendEntry<'_>,
    peers: Peers,
    max: usize,
    count: usize,
) -> io::Result<(usize, usize)> {
    if entry.message.len() > max {
        return Err(too_long(entry.message.len(), max));
    }
    let name = name::write(&mut slot.name, entry.to, peers)?;
    let mut control = match (entry.local, peers) {
        (Some(ip), Peers::Inet | Peers::Inet6) => control::write_source(&mut slot.control, ip, peers == Peers::Inet6)?,
        _ => 0,
    };
    if count > 1 {
        control = control::write_segment(&mut slot.control, control, entry.message.len());
    }
    Ok((name, control))
}

#[cold]
fn too_long(len: usize, max: usize) -> io::Error {
    let text = format!("a datagram of {len} bytes is longer than the limit of {max}");
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("peers", &self.peers).finish_non_exhaustive()
    }
}
