//! A message stream with faults: one that is reliable, or a client's end of datagrams.

use std::io;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use swapwire_core::{MessageStream, RecvError, SendError};

use super::FaultKind;
use super::queue::Delayed;
use super::turn::{Fate, Turn, Way};
use super::wire::Wire;

/// Messages on their way to the receiver, at the most; besides what the wire itself holds.
const ON_THE_WAY: usize = 64;

enum Arrival {
    Message(Bytes),
    End,
    Error(RecvError),
}

pub(super) struct FaultyMessages {
    /// `None` once it was reset.
    io: Option<Box<dyn MessageStream>>,
    max_message: usize,
    reads: Turn,
    writes: Turn,
    receiver: Option<Waker>,
    sender: Option<Waker>,
    arriving: Delayed<Arrival>,
    has_ended: bool,
    was_cut: bool,
    /// Messages may be lost and doubled, and the connection cannot be cut.
    loose: bool,
}

impl FaultyMessages {
    pub(super) fn new(io: Box<dyn MessageStream>, mut wire: Wire, loose: bool) -> Self {
        let way = |way| if loose { Way::Loose } else { way };
        let writes = Turn::new(wire.fork(), way(Way::Out));
        let reorders = loose && wire.faults().reordering;
        Self {
            max_message: io.max_message(),
            io: Some(io),
            reads: Turn::new(wire, way(Way::In)),
            writes,
            receiver: None,
            sender: None,
            arriving: Delayed::new(ON_THE_WAY, reorders),
            has_ended: false,
            was_cut: false,
            loose,
        }
    }

    fn reset(&mut self) -> io::Error {
        self.io = None;
        self.arriving = Delayed::new(ON_THE_WAY, false);
        self.reads.wire.tell(FaultKind::Reset);
        [self.receiver.take(), self.sender.take()].into_iter().flatten().for_each(Waker::wake);
        io::ErrorKind::ConnectionReset.into()
    }

    /// Takes from the wire what it has, as long as there is room for it on the way.
    fn fetch(&mut self, cx: &mut Context<'_>) {
        let Some(io) = &mut self.io else { return };
        let wire = &mut self.reads.wire;
        while !self.has_ended && self.arriving.has_room() {
            let mut message = BytesMut::new();
            let arrival = match io.poll_recv(cx, &mut message) {
                Poll::Pending => return,
                Poll::Ready(Ok(Some(_))) => Arrival::Message(message.freeze()),
                Poll::Ready(Ok(None)) => Arrival::End,
                Poll::Ready(Err(error)) => Arrival::Error(error),
            };
            self.has_ended = matches!(arrival, Arrival::End | Arrival::Error(RecvError::Io(_) | RecvError::Frame(_)));
            if let (Arrival::Message(message), true) = (&arrival, self.loose) {
                if wire.happens(|faults| faults.loss) {
                    wire.tell(FaultKind::LostIn);
                    continue;
                }
                if wire.happens(|faults| faults.duplication) {
                    wire.tell(FaultKind::DoubledIn);
                    self.arriving.push(Arrival::Message(message.clone()), 1, wire);
                }
            }
            self.arriving.push(arrival, 1, wire);
        }
    }
}

fn keep(kept: &mut Option<Waker>, cx: &Context<'_>) {
    match kept {
        Some(kept) => kept.clone_from(cx.waker()),
        None => *kept = Some(cx.waker().clone()),
    }
}

impl MessageStream for FaultyMessages {
    fn poll_recv(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<Result<Option<usize>, RecvError>> {
        keep(&mut self.receiver, cx);
        let next = ready!(self.reads.poll(cx));
        if self.io.is_none() {
            return Poll::Ready(Err(io::Error::from(io::ErrorKind::ConnectionReset).into()));
        }
        match next.fate {
            Fate::Resets => return Poll::Ready(Err(self.reset().into())),
            Fate::Ends => {
                if !std::mem::replace(&mut self.was_cut, true) {
                    self.reads.wire.tell(FaultKind::EndedEarly);
                }
                return Poll::Ready(Ok(None));
            }
            Fate::Goes => {}
        }
        self.fetch(cx);
        let arrival = ready!(self.arriving.poll_pop(cx));
        self.reads.is_done();
        match arrival {
            Arrival::Message(message) => {
                into.extend_from_slice(&message);
                self.reads.wire.tell(FaultKind::Received(message.len()));
                Poll::Ready(Ok(Some(message.len())))
            }
            Arrival::End => {
                self.arriving.push_front(Arrival::End, 1);
                self.reads.wire.tell(FaultKind::PeerEnded);
                Poll::Ready(Ok(None))
            }
            Arrival::Error(error) => {
                if self.has_ended {
                    self.arriving.push_front(Arrival::End, 1);
                }
                Poll::Ready(Err(error))
            }
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, message: &[u8]) -> Poll<Result<(), SendError>> {
        keep(&mut self.sender, cx);
        let next = ready!(self.writes.poll(cx));
        if self.io.is_some() && next.fate == Fate::Resets {
            return Poll::Ready(Err(SendError::Io(self.reset())));
        }
        let Some(io) = &mut self.io else {
            return Poll::Ready(Err(SendError::Io(io::ErrorKind::ConnectionReset.into())));
        };
        let wire = &mut self.writes.wire;
        if self.loose && message.len() <= self.max_message {
            if wire.happens(|faults| faults.loss) {
                wire.tell(FaultKind::LostOut);
                self.writes.is_done();
                return Poll::Ready(Ok(()));
            }
            if wire.happens(|faults| faults.duplication)
                && let Poll::Ready(Ok(())) = io.poll_send(cx, message)
            {
                wire.tell(FaultKind::DoubledOut);
                wire.tell(FaultKind::Sent(message.len()));
            }
        }
        ready!(io.poll_send(cx, message))?;
        wire.tell(FaultKind::Sent(message.len()));
        self.writes.is_done();
        Poll::Ready(Ok(()))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        match &mut self.io {
            Some(io) => io.poll_flush(cx),
            None => Poll::Ready(Err(SendError::Io(io::ErrorKind::ConnectionReset.into()))),
        }
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.io.as_mut().map_or(Poll::Ready(Ok(())), |io| io.poll_shutdown(cx))
    }

    fn max_message(&self) -> usize {
        self.max_message
    }

    fn drops(&self) -> Option<u32> {
        self.io.as_ref().and_then(|io| io.drops())
    }

    fn partial(&self) -> Option<usize> {
        self.io.as_ref().and_then(|io| io.partial())
    }

    fn allowance(&self) -> Option<usize> {
        self.io.as_ref().and_then(|io| io.allowance())
    }

    fn note_withheld(&mut self, count: u64, len: usize) {
        if let Some(io) = &mut self.io {
            io.note_withheld(count, len);
        }
    }

    fn trust_peer(&mut self) {
        if let Some(io) = &mut self.io {
            io.trust_peer();
        }
    }
}
