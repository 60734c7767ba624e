//! How much memory the limits allow.

use crate::Limits;
use crate::datagram::{BATCH, LENT, WAITING_BYTES};
use crate::memory::{LARGEST_SLOT, MOST_TOGETHER, READ, TOGETHER};
use crate::peers::OUTGOING;

/// A session without any message: its future, its entries in tables, its socket's registration. The handler's own state is
/// beside it.
const SESSION: usize = 4 << 10;
/// A session of a datagram socket without any message, with its task and its queues.
const PEER: usize = 10 << 10;
/// What a session reads into.
const SESSION_READ: usize = 8 << 10;
/// A call that waits, without its messages.
const CALL: usize = 4 << 10;

impl Limits {
    /// The most memory that a session on a byte stream or a message stream takes, in bytes, but for what its handler
    /// keeps itself:
    ///
    /// * with a message handler, 4 KiB + 2 × (`max_message` + the larger of `max_message` and `max_reply` + `out_queue` +
    ///   128 KiB): one message that is not whole, the replies of one call, what was queued before, and what was read together
    ///   with the message at hand; buffers grow by doubling. With the defaults: 4.8 MiB.
    /// * the same on a wire with boundaries: of messages of at most 256 KiB, up to 64 and 4 MiB are received together, in the place
    ///   of the 128 KiB. With the defaults: 7.0 MiB.
    /// * with a session handler, 4 KiB + 4 × (`max_message` + 8 KiB) + 3 × (`max_message` + `out_queue`): one message that
    ///   is not whole, and the queue, of which the last message may reach beyond `out_queue`
    ///   ([`Session`](swapwire_core::Session)). With the defaults: 7.8 MiB.
    ///
    /// This is the largest of these. An idle session takes about 1.2 KiB, and a handshake that waits for its peer 2 KiB, with what
    /// its layers keep besides. Beside the sessions, a thread keeps at most five idle
    /// buffers, of 128 KiB for input and twice 256 KiB for replies each, and for message streams as many of 4 MiB for input, of
    /// which only what was used is resident, and three times 256 KiB.
    pub fn session_memory(&self) -> usize {
        let max = self.max_message;
        let slot = max.min(LARGEST_SLOT);
        let together = product(slot, 2) + TOGETHER.min(product(slot, MOST_TOGETHER));
        let input = product(max.saturating_add(READ), 2).max(together);
        let calls = sum(&[product(self.max_reply.max(max).saturating_add(self.out_queue), 2), input]);
        let partial = product(max.saturating_add(SESSION_READ), 4);
        let queue = product(max.saturating_add(self.out_queue), 3);
        calls.max(partial.saturating_add(queue)).saturating_add(SESSION)
    }

    /// The most memory that a datagram socket takes with all its sessions or calls, in bytes, where messages have at most
    /// `largest` bytes, a slot for one receive has `slot`
    /// ([`DatagramSocket::slot_size`](swapwire_core::DatagramSocket::slot_size)), and the system keeps `queue` of what was not
    /// received yet ([`DatagramSocket::queue_memory`](swapwire_core::DatagramSocket::queue_memory)), but for what handlers
    /// keep themselves. It is `queue` and the larger of
    ///
    /// * with a message handler, 320 × (`slot` + 128) + 8 × (`out_queue` + `max_reply`) + 1 MiB
    ///   + `max_waiting` × (`largest` + 2 × `max_reply` + 4 KiB);
    /// * with a session handler, 64 × (`slot` + 128) + 768 × `largest` + `peer_bytes`
    ///   + `max_peers` × (10 KiB + 2 × (2 × `largest` + `out_queue`));
    ///
    /// and 2 MiB more: what waits for full peers, and the table of `source_rate`. Of slots, only what is used is resident.
    pub fn socket_memory(&self, largest: usize, slot: usize, queue: usize) -> usize {
        let batch = product(slot.saturating_add(128), BATCH);
        let replies = product(self.out_queue.saturating_add(self.max_reply), 8);
        let call = sum(&[largest, product(self.max_reply, 2), CALL]);
        let calls = sum(&[product(batch, LENT + 1), replies, product(call, self.max_waiting)]);
        let session = sum(&[PEER, product(sum(&[product(largest, 2), self.out_queue]), 2)]);
        let outgoing = product(largest, 3 * OUTGOING);
        let sessions = sum(&[batch, outgoing, self.peer_bytes, product(session, self.max_peers)]);
        sum(&[queue, calls.max(sessions), product(WAITING_BYTES, 2)])
    }
}

fn sum(parts: &[usize]) -> usize {
    parts.iter().fold(0, |sum, part| sum.saturating_add(*part))
}

fn product(one: usize, count: usize) -> usize {
    one.saturating_mul(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers that the documentation gives.
    #[test]
    fn the_formulas_are_those_of_the_documentation() {
        let limits = Limits::default();
        let (k, m) = (1_usize << 10, 1_usize << 20);
        let (calls, session) = (2 * (m + 256 * k) + 2 * LARGEST_SLOT + 4 * m, 4 * (m + 8 * k) + 3 * (m + 256 * k));
        assert_eq!(limits.session_memory(), calls.max(session) + 4 * k);
        let small = Limits { max_message: k, ..Limits::default() };
        assert_eq!(small.session_memory(), 2 * (k + m + 256 * k + 128 * k) + 4 * k);
        let (largest, slot) = (65_507, 65_536);
        let calls = 320 * (slot + 128) + 8 * (256 * k + m) + 1024 * (largest + 2 * m + 4 * k);
        let sessions = 64 * (slot + 128) + 768 * largest + 64 * m + 65_536 * (10 * k + 2 * (2 * largest + 256 * k));
        assert_eq!(limits.socket_memory(largest, slot, 8 * m), 8 * m + calls.max(sessions) + 2 * m);
        let few = Limits { max_peers: 1, ..Limits::default() };
        assert_eq!(few.socket_memory(largest, slot, 0), calls + 2 * m);
        let huge = Limits { max_peers: usize::MAX, max_message: usize::MAX, ..Limits::default() };
        assert_eq!((huge.socket_memory(largest, slot, 1), huge.session_memory()), (usize::MAX, usize::MAX));
    }
}
