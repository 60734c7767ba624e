//! Sending.

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;

use swapwire_core::{SendBatch, Train, TrainLimits};

use crate::headers::{Headers, Outgoing, Slot};
use crate::merging::{Merging, forbids};
use crate::{BATCH, Peers, control, name};

/// Sends many datagrams by one `sendmmsg(2)`.
///
/// One serves any sockets of its kind of peers, one call after the other. Memory: 256 bytes for each of as many datagrams,
/// up to [`BATCH`](crate::BATCH), as ever were there for a call; none before the first.
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
        Self { headers: Headers::new(peers), peers, max_message, counts: [1; BATCH] }
    }

    /// Sends entries of `batch` from `from` on, in order, and never waits; returns how many left, which is 0 only if there
    /// is none. At most [`BATCH`](crate::BATCH) messages leave by one call; with `merging`, a train of up to 64
    /// adjacent ones of one size, of which the last may be shorter, that go the same way, is one message.
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
            match self.send_some(socket, batch, from, merging.limits()) {
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
    fn send_some(
        &mut self,
        socket: BorrowedFd<'_>,
        batch: &SendBatch,
        from: usize,
        limits: TrainLimits,
    ) -> io::Result<usize> {
        let (peers, max) = (self.peers, self.max_message);
        self.counts[0] = 1;
        let mut trains = batch.trains(from, limits).zip(&mut self.counts);
        let sent = self.headers.send(socket, batch.len().saturating_sub(from), |slot| {
            let Some((train, count)) = trains.next() else { return Ok(None) };
            *count = train.count as u8;
            address(slot, &train, peers, max).map(Some)
        })?;
        Ok(self.counts[..sent].iter().copied().map(usize::from).sum())
    }
}

/// Writes where the train goes, what it leaves from, and of which size its segments are.
#[inline]
fn address<'a>(slot: &mut Slot, train: &Train<'a>, peers: Peers, max: usize) -> io::Result<Outgoing<'a>> {
    if train.segment > max {
        return Err(too_long(train.segment, max));
    }
    let name = name::write(&mut slot.name, train.to, peers)?;
    let mut control = match (train.local, peers) {
        (Some(ip), Peers::Inet | Peers::Inet6) => control::write_source(&mut slot.control, *ip, peers == Peers::Inet6)?,
        _ => 0,
    };
    if train.count > 1 {
        control = control::write_segment(&mut slot.control, control, train.segment);
    }
    Ok(Outgoing { message: train.bytes, name, control })
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
