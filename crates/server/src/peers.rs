//! One datagram socket, one session handler: a bounded session for each peer, and one common writer.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures::FutureExt as _;
use swapwire_core::{
    Addr, ConnInfo, DatagramSocket, ErrorClass, Link, MessageStream, Peer, RecvBatch, RecvError, SendError,
    SessionHandler,
};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::PollSender;

use crate::context::{DrainWatch, LastCall};
use crate::datagram_loop::{BATCH, DRAIN_TURNS};
use crate::outlet::Outlet;
use crate::runner::{is_own, local_addr};
use crate::session_loop::serve_session;
use crate::stats::Stats;
use crate::{ServeContext, SessionEnd};

/// Messages of all sessions that wait for the writer.
const OUTGOING: usize = 256;
/// Batches handled before other tasks run.
const TURNS: usize = 8;

struct Outgoing {
    message: Bytes,
    to: Addr,
    local: Option<IpAddr>,
}

/// Serves one socket until the drain. Returns how many sessions were cut.
pub(crate) async fn serve_peers<H: SessionHandler>(
    handler: Arc<H>,
    socket: Box<dyn DatagramSocket>,
    cx: &ServeContext,
) -> io::Result<u64> {
    let (sender, outgoing) = mpsc::channel(OUTGOING);
    let own = socket.local_addr();
    let mut this = Loop {
        batch: RecvBatch::new(BATCH, socket.slot_size()),
        max_message: socket.max_message(),
        own,
        socket,
        handler,
        peers: HashMap::new(),
        sessions: JoinSet::new(),
        begun: 0,
        sender,
        outgoing,
        outlet: Outlet::new(&cx.limits),
        drain: cx.drain.watch(),
        last_call: LastCall::default(),
        drain_turns: 0,
        closing: false,
        cx: Arc::new(cx.clone()),
    };
    tokio::select! {
        biased;
        result = poll_fn(|task| this.poll(task)) => result.map(|()| 0),
        () = cx.abort.cancelled() => Ok(this.sessions.len() as u64),
    }
}

struct Loop<H> {
    socket: Box<dyn DatagramSocket>,
    handler: Arc<H>,
    batch: RecvBatch,
    max_message: usize,
    own: Option<Addr>,
    /// At most `max_peers`.
    peers: HashMap<Addr, (u64, mpsc::Sender<Bytes>)>,
    sessions: JoinSet<(Addr, u64, SessionEnd)>,
    /// Sessions begun so far: the newest one's number.
    begun: u64,
    sender: mpsc::Sender<Outgoing>,
    outgoing: mpsc::Receiver<Outgoing>,
    outlet: Outlet,
    drain: DrainWatch,
    last_call: LastCall,
    drain_turns: usize,
    /// The drain has begun and what was waiting in the system has been received: no new sessions.
    closing: bool,
    cx: Arc<ServeContext>,
}

impl<H: SessionHandler> Loop<H> {
    fn poll(&mut self, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        for _ in 0..TURNS {
            while let Poll::Ready(Some(ended)) = self.sessions.poll_join_next(task) {
                self.reap(ended);
            }
            let sent = self.outlet.poll(task, &mut *self.socket, &self.cx);
            if sent.is_ready() && self.gather(task) {
                continue;
            }
            match self.receive(task) {
                Poll::Ready(Ok(())) => self.dispatch(),
                Poll::Ready(Err(error)) => match self.socket.classify(&error) {
                    ErrorClass::ListenerFatal => return Poll::Ready(Err(error)),
                    _ => Stats::one(&self.cx.stats.peer_noise),
                },
                Poll::Pending if self.drain.poll(task) => {
                    self.closing = self.last_call.poll(task).is_ready();
                    let done =
                        self.closing && self.sessions.is_empty() && self.outgoing.is_empty() && self.outlet.is_empty();
                    return if done { Poll::Ready(Ok(())) } else { Poll::Pending };
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        task.waker().wake_by_ref();
        Poll::Pending
    }

    fn receive(&mut self, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.drain_turns > DRAIN_TURNS {
            return Poll::Pending;
        }
        self.drain_turns += usize::from(self.cx.drain.has_begun());
        self.batch.clear();
        self.socket.poll_recv(task, &mut self.batch)
    }

    fn reap(&mut self, ended: Result<(Addr, u64, SessionEnd), tokio::task::JoinError>) {
        let Ok((addr, number, end)) = ended else { return };
        self.cx.ended(end);
        if let Entry::Occupied(entry) = self.peers.entry(addr)
            && entry.get().0 == number
        {
            entry.remove();
        }
    }

    /// Takes what the sessions send, until the batch is full. Whether there was anything.
    fn gather(&mut self, task: &mut Context<'_>) -> bool {
        let batch = &mut self.outlet.batch;
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
            let stats = &self.cx.stats;
            if meta.truncated {
                Stats::one(&stats.truncated);
                continue;
            }
            let Some(peer) = meta.peer.filter(|_| !is_own(meta, self.own.as_ref())) else {
                Stats::one(&stats.dropped_requests);
                continue;
            };
            let segment = meta.segment.map_or(bytes.len().max(1), |segment| segment.get());
            let empty = bytes.is_empty().then_some(bytes);
            for message in bytes.chunks(segment).chain(empty) {
                if !self.deliver(peer, meta.local, Bytes::copy_from_slice(message)) {
                    Stats::one(&self.cx.stats.dropped_requests);
                }
            }
        }
        self.batch = batch;
    }

    fn deliver(&mut self, peer: Addr, local: Option<IpAddr>, message: Bytes) -> bool {
        let message = match self.peers.get(&peer) {
            None => message,
            Some((_, queue)) => match queue.try_send(message) {
                Ok(()) => return true,
                Err(mpsc::error::TrySendError::Full(_)) => return false,
                // The session has just ended: this datagram begins the next one.
                Err(mpsc::error::TrySendError::Closed(message)) => message,
            },
        };
        if self.closing || self.sessions.len() >= self.cx.limits.max_peers {
            return false;
        }
        let queue = self.begin(peer, local);
        queue.try_send(message).is_ok()
    }

    fn begin(&mut self, peer: Addr, local: Option<IpAddr>) -> mpsc::Sender<Bytes> {
        let (queue, incoming) = mpsc::channel(self.cx.limits.peer_queue);
        self.begun += 1;
        let number = self.begun;
        self.peers.insert(peer, (number, queue.clone()));
        Stats::one(&self.cx.stats.sessions);
        let wire = PeerWire {
            incoming,
            outgoing: PollSender::new(self.sender.clone()),
            to: peer,
            local,
            max_message: self.max_message,
        };
        let info = ConnInfo::new(Peer::new(peer), local_addr(self.own, local).unwrap_or(peer));
        let (handler, cx) = (Arc::clone(&self.handler), Arc::clone(&self.cx));
        self.sessions.spawn(async move {
            let link = Link::messages(wire, info);
            let serve = std::panic::AssertUnwindSafe(serve_session(&*handler, link, &cx));
            (peer, number, serve.catch_unwind().await.unwrap_or(SessionEnd::Panicked))
        });
        queue
    }
}

/// One peer of a shared socket, as its session sees it.
struct PeerWire {
    incoming: mpsc::Receiver<Bytes>,
    outgoing: PollSender<Outgoing>,
    to: Addr,
    local: Option<IpAddr>,
    max_message: usize,
}

impl MessageStream for PeerWire {
    fn poll_recv(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<Result<Option<usize>, RecvError>> {
        let message = ready!(self.incoming.poll_recv(cx));
        Poll::Ready(Ok(message.map(|message| {
            into.extend_from_slice(&message);
            message.len()
        })))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, message: &[u8]) -> Poll<Result<(), SendError>> {
        if message.len() > self.max_message {
            return Poll::Ready(Err(SendError::TooLarge { len: message.len(), max: self.max_message }));
        }
        ready!(self.outgoing.poll_reserve(cx)).map_err(|_| SendError::Closed)?;
        let message = Bytes::copy_from_slice(message);
        let outgoing = Outgoing { message, to: self.to, local: self.local };
        Poll::Ready(self.outgoing.send_item(outgoing).map_err(|_| SendError::Closed))
    }

    fn max_message(&self) -> usize {
        self.max_message
    }
}
