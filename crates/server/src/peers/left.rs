//! What the loop of one socket leaves to the next: the sessions that it began.

use std::sync::Arc;

use swapwire_core::Addr;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::peer_table::PeerTable;
use super::peer_wire::Outgoing;
use super::session_loop::OUTGOING;
use crate::ServeContext;
use crate::datagram::DatagramSender;

/// All that a loop has of its sessions.
pub(super) struct Left {
    pub(super) sender: DatagramSender,
    pub(super) peers: PeerTable,
    pub(super) sessions: JoinSet<(Addr, u64)>,
    pub(super) going: usize,
    pub(super) outgoing_sender: mpsc::Sender<Outgoing>,
    pub(super) outgoing: mpsc::Receiver<Outgoing>,
    /// In which they were begun.
    pub(super) contexts: Vec<Arc<ServeContext>>,
}

impl Left {
    /// Of no loop.
    pub(super) fn none(cx: &ServeContext) -> Self {
        let (outgoing_sender, outgoing) = mpsc::channel(OUTGOING);
        Self {
            sender: DatagramSender::default(),
            peers: PeerTable::new(&cx.limits, cx.capabilities.spoofable),
            sessions: JoinSet::new(),
            going: 0,
            outgoing_sender,
            outgoing,
            contexts: Vec::new(),
        }
    }

    /// What a loop with `cx` takes over.
    pub(super) fn followed_by(mut self: Box<Self>, cx: &ServeContext) -> Self {
        self.peers.set_limits(&cx.limits);
        *self
    }
}

/// The contexts of sessions that earlier loops began. Their deadlines go on, and they learn of the drain. As many as earlier loops
/// still have sessions.
pub(super) struct EarlierContexts {
    contexts: Vec<Arc<ServeContext>>,
    _driven: JoinSet<()>,
}

impl EarlierContexts {
    /// Those that any session is in, for as long as this is there.
    pub(super) fn new(mut contexts: Vec<Arc<ServeContext>>, now: &Arc<ServeContext>) -> Self {
        contexts.retain(|cx| Arc::strong_count(cx) > 1);
        let mut driven = JoinSet::new();
        for earlier in &contexts {
            let (earlier, now) = (ServeContext::clone(earlier), Arc::clone(now));
            driven.spawn(async move {
                tokio::select! {
                    never = earlier.drive_clock() => match never {},
                    () = pass_on(&now, &earlier) => {}
                }
            });
        }
        Self { contexts, _driven: driven }
    }

    pub(super) fn take(&mut self) -> Vec<Arc<ServeContext>> {
        std::mem::take(&mut self.contexts)
    }
}

/// Tells the sessions of an earlier loop what those of this one are told.
async fn pass_on(now: &ServeContext, earlier: &ServeContext) {
    now.drain.token.cancelled().await;
    earlier.drain.begin();
    tokio::select! {
        biased;
        () = now.abort.cancelled() => earlier.abort.cancel(),
        () = now.drain.sessions.begun() => {}
    }
    earlier.drain.sessions.begin();
    now.abort.cancelled().await;
    earlier.abort.cancel();
    std::future::pending().await
}
