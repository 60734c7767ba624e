//! One datagram socket, one session handler: a bounded session for each peer, and one common writer.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::FutureExt as _;
use swapwire_core::{Addr, ConnInfo, DatagramSocket, Link, Peer, RecvBatch, SessionHandler};
use tokio::sync::mpsc;
use tokio::task::coop::has_budget_remaining;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::PollSender;

use super::left::{EarlierContexts, Left};
use super::peer_table::PeerTable;
use super::peer_wire::{Outgoing, PeerState, PeerWire, QueueBudget};
use crate::ServeContext;
use crate::datagram::{BATCH, ServedSocket, SocketLoop, SourceFilter, fits, local_addr, run_socket};
use crate::drain::Succession;
use crate::limits::AmplificationBound;
use crate::metrics::{Behind, Incident, Stats};
use crate::stream::serve_session;
use crate::tasks::let_go;

/// Messages of all sessions that wait for the writer.
pub(crate) const OUTGOING: usize = 256;
/// Batches handled before other tasks run.
const BATCHES_BEFORE_YIELD: usize = 8;
/// Sessions that were ended to make room and are not dropped yet, at most: until they are, no session begins.
const GOING: usize = 1024;

/// Serves one socket until the drain. Returns how many sessions were cut.
pub(crate) async fn serve_peers<H: SessionHandler>(
    handler: Arc<H>,
    socket: Box<dyn DatagramSocket>,
    cx: &ServeContext,
) -> io::Result<u64> {
    let shared = Arc::new(cx.clone());
    let mut control = cx.control.take();
    let left = control.as_mut().and_then(|control| control.rest.take()).and_then(|left| left.downcast::<Left>().ok());
    let Left { sender, peers, sessions, going, outgoing_sender, outgoing, contexts } = match left {
        Some(left) => left.followed_by(&shared),
        None => Left::none(&shared),
    };
    let own = socket.local_addr();
    run_socket(Loop {
        batch: RecvBatch::new(BATCH, socket.slot_size()),
        max_message: socket.max_message(),
        filter: SourceFilter::new(own, &cx.ours),
        own,
        bound: AmplificationBound::new(&cx.capabilities, own, handler.properties().amplifies, cx.limits.max_reply),
        handler,
        peers,
        budget: QueueBudget::new(cx.limits.peer_bytes),
        sessions,
        going,
        outgoing_sender,
        outgoing,
        earlier: EarlierContexts::new(contexts, &shared),
        closing: false,
        behind: Behind::new(&cx.load),
        socket: ServedSocket::new(socket, sender, control, Arc::clone(&shared)),
        cx: shared,
    })
    .await
}

struct Loop<H> {
    socket: ServedSocket,
    handler: Arc<H>,
    batch: RecvBatch,
    max_message: usize,
    own: Option<Addr>,
    filter: SourceFilter,
    bound: AmplificationBound,
    peers: PeerTable,
    budget: Arc<QueueBudget>,
    /// At most `max_peers` and [`GOING`].
    sessions: JoinSet<(Addr, u64)>,
    /// Those of them that were ended to make room.
    going: usize,
    outgoing_sender: mpsc::Sender<Outgoing>,
    outgoing: mpsc::Receiver<Outgoing>,
    /// Of sessions that the loops before began.
    earlier: EarlierContexts,
    /// The drain has begun and what was waiting in the system has been received: no new sessions.
    closing: bool,
    behind: Behind,
    cx: Arc<ServeContext>,
}

impl<H: SessionHandler> SocketLoop for Loop<H> {
    fn socket(&mut self) -> &mut ServedSocket {
        &mut self.socket
    }

    fn into_socket(self) -> ServedSocket {
        self.socket
    }

    fn poll(&mut self, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.socket.is_followed(task, Succession::Sessions) {
            self.leave();
            return Poll::Ready(Ok(()));
        }
        for _ in 0..BATCHES_BEFORE_YIELD {
            while let Poll::Ready(Some(ended)) = self.sessions.poll_join_next(task) {
                self.reap(ended);
            }
            let sent = self.socket.poll_send(task);
            if sent.is_ready() && self.gather(task) {
                continue;
            }
            let received = self.socket.poll_recv(task, &mut self.batch);
            self.behind.set(received.is_ready() || !has_budget_remaining());
            match received {
                Poll::Ready(Ok(false)) => {}
                Poll::Ready(Ok(true)) => self.dispatch(),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.closing = self.socket.is_drained(task);
                    let is_empty =
                        self.sessions.is_empty() && self.outgoing.is_empty() && self.socket.sender.is_empty();
                    let is_over = self.closing && is_empty;
                    return if is_over { self.socket.poll_flush(task).map(Ok) } else { Poll::Pending };
                }
            }
        }
        self.behind.set(true);
        task.waker().wake_by_ref();
        Poll::Pending
    }

    /// Counts what is dropped at the deadline: sessions, and replies that were not sent.
    #[cold]
    fn cut(&mut self) -> u64 {
        // Those that were ended to make room are counted.
        let sessions = self.sessions.len().saturating_sub(self.going) as u64;
        let unsent = self.socket.sender.unsent() + self.outgoing.len() as u64;
        Stats::add(&self.cx.stats.cut, sessions);
        Stats::add(&self.cx.stats.cut_replies, unsent);
        sessions + unsent
    }
}

impl<H: SessionHandler> Loop<H> {
    /// Leaves the sessions to the loop that follows. They go on with the handler and the limits that they began with.
    #[cold]
    fn leave(&mut self) {
        let (outgoing_sender, none) = mpsc::channel(1);
        let mut contexts = self.earlier.take();
        contexts.push(Arc::clone(&self.cx));
        let left = Left {
            sender: std::mem::take(&mut self.socket.sender),
            peers: std::mem::replace(&mut self.peers, PeerTable::new(&self.cx.limits, false)),
            sessions: std::mem::take(&mut self.sessions),
            going: self.going,
            outgoing_sender: std::mem::replace(&mut self.outgoing_sender, outgoing_sender),
            outgoing: std::mem::replace(&mut self.outgoing, none),
            contexts,
        };
        self.socket.leave(left);
    }

    fn reap(&mut self, ended: Result<(Addr, u64), JoinError>) {
        match ended.map_err(JoinError::try_into_panic) {
            Ok((addr, number)) => self.peers.leave(addr, number),
            // One that was evicted has been counted, and has left the table; it may have panicked when it was dropped.
            Err(Ok(payload)) => {
                self.going = self.going.saturating_sub(1);
                let_go(payload);
                self.cx.incidents.panicked();
                Stats::one(&self.cx.stats.panics);
            }
            Err(Err(_)) => self.going = self.going.saturating_sub(1),
        }
    }

    /// Takes what the sessions send, until the batch is full. Whether there was anything.
    fn gather(&mut self, task: &mut Context<'_>) -> bool {
        let batch = &mut self.socket.sender.batch;
        while batch.bytes() < self.cx.limits.out_queue && batch.len() < OUTGOING {
            let Poll::Ready(Some(outgoing)) = self.outgoing.poll_recv(task) else { break };
            batch.push(&outgoing.message, outgoing.to, outgoing.local);
        }
        !batch.is_empty()
    }

    /// Gives each datagram to its peer's session. A full queue drops and counts, it never stalls the others.
    fn dispatch(&mut self) {
        let batch = std::mem::replace(&mut self.batch, RecvBatch::new(1, 1));
        for (meta, bytes) in batch.iter() {
            if !self.filter.admits(meta, &self.cx) {
                continue;
            }
            let Some(peer) = meta.peer else {
                self.cx.incidents.note(Incident::Nameless, meta.count() as u64, None, "");
                continue;
            };
            for message in meta.datagrams(bytes) {
                if fits(message.len(), meta, &self.cx)
                    && let Err(incident) = self.deliver(peer, meta.local, Bytes::copy_from_slice(message))
                {
                    self.cx.incidents.note(incident, 1, Some(&peer), "");
                }
            }
        }
        self.batch = batch;
    }

    /// Puts a message into its peer's queue, or says why it is dropped.
    fn deliver(&mut self, peer: Addr, local: Option<IpAddr>, message: Bytes) -> Result<(), Incident> {
        let mut message = message;
        if let Some(known) = self.peers.heard(&peer) {
            let waiting = known.state.charge(message).ok_or(Incident::QueueFull)?;
            message = match known.queue.try_send(waiting) {
                Ok(()) => return Ok(()),
                Err(mpsc::error::TrySendError::Full(_)) => return Err(Incident::QueueFull),
                // The session has just ended: this datagram begins the next one.
                Err(mpsc::error::TrySendError::Closed(waiting)) => waiting.message().clone(),
            };
        }
        if self.closing {
            return Err(Incident::Draining);
        }
        if self.sessions.len() >= self.cx.limits.max_peers.saturating_add(GOING) {
            return Err(Incident::TableFull);
        }
        self.begin(peer, local, message)
    }

    fn begin(&mut self, peer: Addr, local: Option<IpAddr>, message: Bytes) -> Result<(), Incident> {
        let cx = &self.cx;
        let slot = self.peers.slot(&peer, |evicted| {
            self.going += 1;
            cx.incidents.note(Incident::Evicted, 1, Some(evicted), "");
        });
        let slot = slot.ok_or(Incident::TableFull)?;
        let number = slot.number;
        let (queue, incoming) = mpsc::channel(self.cx.limits.peer_queue);
        let state = PeerState::new(&self.budget);
        if state.charge(message).is_none_or(|waiting| queue.try_send(waiting).is_err()) {
            return Err(Incident::QueueFull);
        }
        Stats::one(&self.cx.stats.sessions);
        let wire = PeerWire {
            incoming,
            outgoing: PollSender::new(self.outgoing_sender.clone()),
            state: Arc::clone(&state),
            to: peer,
            local,
            max_message: self.max_message,
            left: self.bound.holds.then_some(0),
            answered: false,
            cx: Arc::clone(&self.cx),
        };
        let info = ConnInfo::new(Peer::new(peer), local_addr(self.own, local).unwrap_or(peer));
        let (handler, cx) = (Arc::clone(&self.handler), Arc::clone(&self.cx));
        let task = self.sessions.spawn(async move {
            let link = Link::messages(wire, info);
            let serve = std::panic::AssertUnwindSafe(serve_session(&*handler, link, &cx));
            let end = serve.catch_unwind().await.map_err(let_go);
            cx.stats.ended(end.unwrap_or_else(|()| cx.incidents.panicked()));
            (peer, number)
        });
        self.peers.insert(peer, slot, queue, state, task);
        Ok(())
    }
}
