//! Receiving.

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;

use swapwire_core::RecvBatch;

use crate::again::Again;
use crate::headers::Headers;
use crate::{Peers, control, name};

/// Receives many datagrams by one `recvmmsg(2)`.
///
/// One serves any sockets of its kind of peers, one call after the other. Memory: 256 bytes for each of as many datagrams,
/// up to [`BATCH`](crate::BATCH), as a call was ever asked for; none before the first.
pub struct Receiver {
    headers: Headers,
    max_message: usize,
    again: Again,
}

impl Receiver {
    /// For sockets that talk to `peers`, with messages of at most `max_message` bytes: longer ones are marked truncated.
    pub const fn new(peers: Peers, max_message: usize) -> Self {
        Self { headers: Headers::new(peers), max_message, again: Again::new() }
    }

    /// Receives what waits into free slots of `batch`, at most `count` and [`BATCH`](crate::BATCH), and never waits.
    /// Returns whether it took all that waited.
    ///
    /// Where the socket's options say so, [`RecvMeta::local`](swapwire_core::RecvMeta::local) is the address that was asked (`IP_PKTINFO`,
    /// `IPV6_RECVPKTINFO`) and [`RecvMeta::segment`](swapwire_core::RecvMeta::segment) the size of a train's datagrams (`UDP_GRO`). A connected socket's
    /// datagrams carry no peer. Of a Unix socket's datagrams, those whose descriptors were refused are counted
    /// ([`RecvBatch::with_descriptors`](swapwire_core::RecvBatch::with_descriptors)).
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing waits. `batch` is unchanged.
    pub fn recv(&mut self, socket: BorrowedFd<'_>, batch: &mut RecvBatch, count: usize) -> io::Result<bool> {
        let count = count.min(batch.slots() - batch.len()).min(crate::BATCH);
        let received = self.headers.receive(socket, batch, count)?;
        let (slot_size, max_message) = (batch.slot_size(), self.max_message);
        let refused = self.headers.take(received, |one| {
            batch.push_with(one.len.min(slot_size), |meta| {
                meta.truncated = one.truncated || one.len > max_message;
                if !one.control.is_empty() {
                    let told = control::read(one.control);
                    (meta.local, meta.segment) = (told.local, told.segment);
                    meta.truncated = one.truncated || (one.len > max_message && told.segment.is_none());
                }
                name::read(one.name, |peer| meta.peer = peer);
            });
        });
        if refused > 0 {
            batch.note_descriptors(refused);
        }
        Ok(received < count)
    }

    /// Receives what waits at the socket of a server into the free slots of `batch`. `Ok` if they are filled, or if it is worth
    /// calling this again before the reactor is asked: under load more has come by the time a batch is answered. It
    /// learns from call to call, so it guesses best for one socket.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if the reactor is to be asked first. The system's. What was received before an
    /// error is in `batch`.
    pub fn recv_waiting(&mut self, socket: BorrowedFd<'_>, batch: &mut RecvBatch) -> io::Result<()> {
        let before = batch.len();
        while !batch.is_full() {
            let drained = match self.recv(socket, batch, usize::MAX) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => true,
                drained => drained?,
            };
            if drained {
                let again = self.again.after(batch.len() - before);
                return if again { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) };
            }
        }
        Ok(())
    }
}

/// What was found behind the messages that [`Receiver::recv_messages`] took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// Perhaps more: as many came as were asked for.
    More,
    /// Nothing waits.
    Nothing,
    /// The end of what the peer sends.
    End,
}

impl Receiver {
    /// Receives what waits at a seqpacket socket with [`Peers::SeqUnix`] into free slots of `batch`, at most `count` and
    /// [`BATCH`](crate::BATCH), and never waits. A message of more than `max_message` bytes is marked truncated.
    ///
    /// An empty message and the end are both received as no bytes. Where the socket has the option `SO_PASSCRED`
    /// (`unix(7)`), each message has a control message, for which there is no room here, and the system says so
    /// (`MSG_CTRUNC`, `recvmsg(2)`); the end has none. So descriptors that come with messages are closed and are not counted.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing waits. `batch` is unchanged.
    pub fn recv_messages(
        &mut self,
        socket: BorrowedFd<'_>,
        batch: &mut RecvBatch,
        count: usize,
        max_message: usize,
    ) -> io::Result<Behind> {
        let count = count.min(batch.slots() - batch.len()).min(crate::BATCH);
        let received = self.headers.receive(socket, batch, count)?;
        let slot_size = batch.slot_size();
        let mut ended = false;
        self.headers.take(received, |one| {
            // Behind the end, each header of the call has it again.
            ended |= one.len == 0 && !one.marked;
            if !ended {
                let truncated = one.truncated || one.len > max_message;
                batch.push_with(one.len.min(slot_size), |meta| meta.truncated = truncated);
            }
        });
        Ok(match ended {
            true => Behind::End,
            false if received < count => Behind::Nothing,
            false => Behind::More,
        })
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("max_message", &self.max_message).finish_non_exhaustive()
    }
}
