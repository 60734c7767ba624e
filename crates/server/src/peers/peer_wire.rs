//! One peer of a shared datagram socket, as its session sees it.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use swapwire_core::{Addr, MessageStream, RecvError, SendError};
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;

use crate::ServeContext;
use crate::limits::earned;
use crate::metrics::Incident;

/// What a message costs in a queue beside its bytes.
const COST: usize = 64;
/// What one session may have of the bytes that wait for all.
const SESSION_FRACTION: usize = 16;

/// A message for the socket's writer.
pub(crate) struct Outgoing {
    pub(crate) message: Bytes,
    pub(crate) to: Addr,
    pub(crate) local: Option<IpAddr>,
}

/// What the socket's loop and one session both know of each other.
#[derive(Debug)]
pub(crate) struct PeerState {
    /// The peer was sent something.
    pub(crate) answered: AtomicBool,
    /// The handler trusts the peer.
    pub(crate) trusted: AtomicBool,
    /// What waits for the session.
    waiting: AtomicUsize,
    budget: Arc<QueueBudget>,
}

/// What waits for all sessions of a socket.
#[derive(Debug)]
pub(crate) struct QueueBudget {
    waiting: AtomicUsize,
    most: usize,
}

/// A message that waits for a session; it counts until it is dropped.
#[derive(Debug)]
pub(crate) struct QueuedMessage {
    message: Bytes,
    state: Arc<PeerState>,
}

impl QueueBudget {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { waiting: AtomicUsize::new(0), most })
    }
}

impl PeerState {
    pub(crate) fn new(budget: &Arc<QueueBudget>) -> Arc<Self> {
        let (answered, trusted) = (AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Self { answered, trusted, waiting: AtomicUsize::new(0), budget: Arc::clone(budget) })
    }

    /// Lets a message wait as well; `None` if too much waits. One message may always wait for a session that has none.
    pub(crate) fn charge(self: &Arc<Self>, message: Bytes) -> Option<QueuedMessage> {
        let cost = message.len() + COST;
        let (all, one) = (self.budget.waiting.load(Relaxed) + cost, self.waiting.load(Relaxed) + cost);
        // Only the socket's loop adds; what others take meanwhile makes it less.
        if all > self.budget.most || (one > self.budget.most / SESSION_FRACTION && one > cost) {
            return None;
        }
        self.budget.waiting.fetch_add(cost, Relaxed);
        self.waiting.fetch_add(cost, Relaxed);
        Some(QueuedMessage { message, state: Arc::clone(self) })
    }
}

impl QueuedMessage {
    pub(crate) fn message(&self) -> &Bytes {
        &self.message
    }
}

impl Drop for QueuedMessage {
    fn drop(&mut self) {
        let cost = self.message.len() + COST;
        self.state.waiting.fetch_sub(cost, Relaxed);
        self.state.budget.waiting.fetch_sub(cost, Relaxed);
    }
}

/// One peer's messages from the socket's loop, and to its writer.
///
/// A peer that may be forged is sent at most three times what it sent, or 64 bytes for each of its messages, until the
/// handler trusts it: further datagrams prove nothing, because a sender that forges one datagram can forge two.
pub(crate) struct PeerWire {
    pub(crate) incoming: mpsc::Receiver<QueuedMessage>,
    pub(crate) outgoing: PollSender<Outgoing>,
    pub(crate) state: Arc<PeerState>,
    pub(crate) to: Addr,
    pub(crate) local: Option<IpAddr>,
    pub(crate) max_message: usize,
    /// What the peer may still be sent; `None` if that is not bounded.
    pub(crate) left: Option<usize>,
    pub(crate) answered: bool,
    pub(crate) cx: Arc<ServeContext>,
}

impl MessageStream for PeerWire {
    fn poll_recv(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<Result<Option<usize>, RecvError>> {
        let message = ready!(self.incoming.poll_recv(cx));
        Poll::Ready(Ok(message.map(|waiting| {
            let message = &waiting.message;
            if let Some(left) = &mut self.left {
                *left = left.saturating_add(earned(message.len()));
            }
            into.extend_from_slice(message);
            message.len()
        })))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, message: &[u8]) -> Poll<Result<(), SendError>> {
        let len = message.len();
        if len > self.max_message {
            return Poll::Ready(Err(SendError::TooLarge { len, max: self.max_message }));
        }
        ready!(self.outgoing.poll_reserve(cx)).map_err(|_| SendError::Closed)?;
        if let Some(left) = &mut self.left {
            // An empty one is a packet too.
            let Some(rest) = left.checked_sub(len.max(1)) else {
                self.outgoing.abort_send();
                let error = SendError::Unvalidated { len, left: *left };
                self.note_withheld(1, len);
                return Poll::Ready(Err(error));
            };
            *left = rest;
        }
        if !self.answered {
            self.answered = true;
            self.state.answered.store(true, Relaxed);
        }
        let outgoing = Outgoing { message: Bytes::copy_from_slice(message), to: self.to, local: self.local };
        Poll::Ready(self.outgoing.send_item(outgoing).map_err(|_| SendError::Closed))
    }

    fn max_message(&self) -> usize {
        self.max_message
    }

    fn allowance(&self) -> Option<usize> {
        self.left
    }

    fn note_withheld(&mut self, count: u64, len: usize) {
        let left = self.left.unwrap_or(usize::MAX);
        let text = format_args!("{len} bytes, {left} allowed");
        self.cx.incidents.note(Incident::Withheld, count, Some(&self.to), text);
    }

    fn trust_peer(&mut self) {
        self.left = None;
        self.state.trusted.store(true, Relaxed);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_for_one_and_for_all() {
        let budget = QueueBudget::new(16 * 1000);
        let message = |len| Bytes::from(vec![0; len]);
        let one = PeerState::new(&budget);
        let mut waiting: Vec<_> = (0..9).filter_map(|_| one.charge(message(100))).collect();
        assert_eq!(waiting.len(), 6);
        assert!(one.charge(message(0)).is_none(), "an empty one counts too: 6 × 164 and 64 are more than 1,000");
        waiting.pop();
        waiting.extend(one.charge(message(0)));
        let others: Vec<_> = (0..30).map(|_| PeerState::new(&budget)).collect();
        // One that is larger than its fraction may wait where nothing does.
        waiting.push(others[0].charge(message(3000)).unwrap());
        let more: Vec<_> = others[1..].iter().filter_map(|other| other.charge(message(900))).collect();
        assert_eq!(more.len(), (16_000 - 5 * 164 - 64 - 3064) / 964);
        drop((waiting, more));
        assert_eq!(budget.waiting.load(Relaxed), 0);
    }
}
