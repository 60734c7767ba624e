//! A datagram socket with faults.

use std::io;
use std::net::IpAddr;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use swapwire_core::{
    Addr, Arrivals, DatagramSocket, Endpoint, ErrorClass, Offload, RecvBatch, RecvMeta, SendBatch, Upkeep,
};

use super::FaultKind;
use super::queue::Delayed;
use super::turn::{Turn, Way};
use super::wire::Wire;

/// Datagrams on their way to the socket, at the most; besides what the socket itself holds.
const ON_THE_WAY: usize = 256;
/// Datagrams that are taken from the socket at once.
const BATCH: usize = 8;

struct Arrival {
    peer: Option<Addr>,
    local: Option<IpAddr>,
    truncated: bool,
    bytes: Bytes,
}

pub(super) struct FaultySocket {
    io: Box<dyn DatagramSocket>,
    reads: Turn,
    writes: Turn,
    arriving: Delayed<Arrival>,
    batch: RecvBatch,
    /// Of those that the socket gave since this was last told.
    with_descriptors: usize,
    /// The socket gave its last one.
    has_ended: bool,
    one: SendBatch,
}

impl FaultySocket {
    pub(super) fn new(io: Box<dyn DatagramSocket>, mut wire: Wire) -> Self {
        let writes = Turn::new(wire.fork(), Way::Loose);
        let arriving = Delayed::new(ON_THE_WAY, wire.faults().reordering);
        let batch = RecvBatch::new(BATCH, io.slot_size());
        Self {
            io,
            reads: Turn::new(wire, Way::Loose),
            writes,
            arriving,
            batch,
            with_descriptors: 0,
            has_ended: false,
            one: SendBatch::new(),
        }
    }

    /// Takes from the socket what it has, as long as there is room for it on the way.
    fn fetch(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while !self.has_ended && self.arriving.has_room() {
            self.batch.clear();
            match self.io.poll_recv(cx, &mut self.batch) {
                Poll::Pending => return Ok(()),
                Poll::Ready(received) => received?,
            }
            if self.batch.is_empty() {
                self.has_ended = true;
                return Ok(());
            }
            self.with_descriptors += self.batch.with_descriptors();
            for (meta, bytes) in self.batch.datagrams() {
                arrive(&mut self.arriving, &mut self.reads.wire, meta, bytes);
            }
        }
        Ok(())
    }
}

fn arrive(arriving: &mut Delayed<Arrival>, wire: &mut Wire, meta: &RecvMeta, bytes: &[u8]) {
    if wire.happens(|faults| faults.loss) {
        wire.tell_of(meta.peer, FaultKind::LostIn);
        return;
    }
    let bytes = Bytes::copy_from_slice(bytes);
    let arrival = |bytes| Arrival { peer: meta.peer, local: meta.local, truncated: meta.truncated, bytes };
    if wire.happens(|faults| faults.duplication) {
        wire.tell_of(meta.peer, FaultKind::DoubledIn);
        arriving.push(arrival(bytes.clone()), 1, wire);
    }
    arriving.push(arrival(bytes), 1, wire);
}

impl DatagramSocket for FaultySocket {
    fn local(&self) -> Endpoint {
        self.io.local()
    }

    fn local_addr(&self) -> Option<Addr> {
        self.io.local_addr()
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, batch: &mut RecvBatch) -> Poll<io::Result<()>> {
        ready!(self.reads.poll(cx));
        self.fetch(cx)?;
        batch.note_descriptors(std::mem::take(&mut self.with_descriptors));
        let before = batch.len();
        while !batch.is_full() {
            let Poll::Ready(arrival) = self.arriving.poll_pop(cx) else { break };
            let mut meta = RecvMeta::new(arrival.peer, arrival.bytes.len());
            (meta.local, meta.truncated) = (arrival.local, arrival.truncated);
            if let Some(slot) = batch.next_slot() {
                slot[..meta.len].copy_from_slice(&arrival.bytes);
            }
            batch.push(meta);
            self.reads.wire.tell_of(meta.peer, FaultKind::Received(meta.len));
        }
        if batch.len() == before && !(self.has_ended && self.arriving.is_empty()) {
            return Poll::Pending;
        }
        self.reads.is_done();
        Poll::Ready(Ok(()))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, batch: &SendBatch, from: usize) -> Poll<io::Result<usize>> {
        ready!(self.writes.poll(cx));
        let mut sent = 0;
        for entry in batch.iter_from(from) {
            let (wire, peer) = (&mut self.writes.wire, Some(*entry.to));
            let fits = entry.message.len() <= self.io.max_message();
            if fits && wire.happens(|faults| faults.loss) {
                wire.tell_of(peer, FaultKind::LostOut);
                sent += 1;
                continue;
            }
            self.one.clear();
            self.one.push(entry.message, *entry.to, entry.local);
            if fits
                && wire.happens(|faults| faults.duplication)
                && let Poll::Ready(Ok(_)) = self.io.poll_send(cx, &self.one, 0)
            {
                wire.tell_of(peer, FaultKind::DoubledOut);
                wire.tell_of(peer, FaultKind::Sent(entry.message.len()));
            }
            match self.io.poll_send(cx, &self.one, 0) {
                Poll::Ready(Ok(_)) => {
                    wire.tell_of(peer, FaultKind::Sent(entry.message.len()));
                    sent += 1;
                }
                Poll::Ready(Err(error)) if sent == 0 => return Poll::Ready(Err(error)),
                Poll::Pending if sent == 0 => return Poll::Pending,
                _ => break,
            }
        }
        self.writes.is_done();
        Poll::Ready(Ok(sent))
    }

    fn max_message(&self) -> usize {
        self.io.max_message()
    }

    fn slot_size(&self) -> usize {
        self.io.slot_size()
    }

    fn offload(&self) -> Offload {
        self.io.offload()
    }

    fn refuse_arrivals(&mut self) -> Arrivals {
        self.io.refuse_arrivals()
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_flush(cx)
    }

    fn drops(&self) -> Option<u32> {
        self.io.drops()
    }

    fn queue_memory(&self) -> usize {
        self.io.queue_memory()
    }

    fn upkeep(&mut self) -> Option<Upkeep> {
        self.io.upkeep()
    }

    fn classify(&self, error: &io::Error) -> ErrorClass {
        self.io.classify(error)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::time::Duration;

    use swapwire_core::Side;
    use tokio::time::Instant;

    use super::*;
    use crate::Faults;
    use crate::faults::wire::Shared;

    /// Tells what a socket can be asked.
    struct Telling;

    impl DatagramSocket for Telling {
        fn local(&self) -> Endpoint {
            "mem-dgram:a".parse().unwrap()
        }

        fn poll_recv(&mut self, _: &mut Context<'_>, _: &mut RecvBatch) -> Poll<io::Result<()>> {
            Poll::Pending
        }

        fn poll_send(&mut self, _: &mut Context<'_>, _: &SendBatch, _: usize) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn max_message(&self) -> usize {
            11
        }

        fn slot_size(&self) -> usize {
            22
        }

        fn drops(&self) -> Option<u32> {
            Some(33)
        }

        fn queue_memory(&self) -> usize {
            44
        }

        fn classify(&self, _: &io::Error) -> ErrorClass {
            ErrorClass::ListenerFatal
        }
    }

    /// Gives three datagrams, and then, once arrivals are refused, the end.
    struct Three {
        given: u8,
        refuses: bool,
    }

    impl DatagramSocket for Three {
        fn local(&self) -> Endpoint {
            "mem-dgram:a".parse().unwrap()
        }

        fn poll_recv(&mut self, _: &mut Context<'_>, batch: &mut RecvBatch) -> Poll<io::Result<()>> {
            if self.given < 3 {
                self.given += 1;
                batch.push_message(None, &[self.given]);
            }
            if batch.is_empty() && !self.refuses { Poll::Pending } else { Poll::Ready(Ok(())) }
        }

        fn poll_send(&mut self, _: &mut Context<'_>, _: &SendBatch, _: usize) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn max_message(&self) -> usize {
            11
        }

        fn refuse_arrivals(&mut self) -> Arrivals {
            self.refuses = true;
            Arrivals::Fenced
        }

        fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_delayed_comes_before_the_end() {
        let faults = Faults { latency: Duration::from_secs(1)..Duration::from_secs(2), ..Faults::default() };
        let shared = Arc::new(Shared::new(faults, 7, None));
        let three = Box::new(Three { given: 0, refuses: false });
        let mut faulty = FaultySocket::new(three, shared.wire(Side::Bind, None, None));
        let (begun, mut batch, mut received) = (Instant::now(), RecvBatch::new(1, 12), Vec::new());
        assert_eq!(faulty.refuse_arrivals(), Arrivals::Fenced);
        loop {
            batch.clear();
            poll_fn(|cx| faulty.poll_recv(cx, &mut batch)).await.unwrap();
            let Some((_, bytes)) = batch.iter().next() else { break };
            received.extend_from_slice(bytes);
        }
        assert_eq!(received, [1, 2, 3]);
        assert!(begun.elapsed() >= Duration::from_secs(1));
        batch.clear();
        poll_fn(|cx| faulty.poll_recv(cx, &mut batch)).await.unwrap();
        assert!(batch.is_empty());
        assert_eq!(poll_fn(|cx| faulty.poll_flush(cx)).await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[tokio::test]
    async fn what_the_socket_tells_is_told() {
        let shared = Arc::new(Shared::new(Faults::rough(), 7, None));
        let faulty = FaultySocket::new(Box::new(Telling), shared.wire(Side::Bind, None, None));
        assert_eq!((faulty.max_message(), faulty.slot_size()), (11, 22));
        assert_eq!((faulty.drops(), faulty.queue_memory()), (Some(33), 44));
        assert_eq!(faulty.classify(&io::ErrorKind::Other.into()), ErrorClass::ListenerFatal);
    }
}
