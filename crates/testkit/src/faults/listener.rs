//! A listener with faults: accepts that fail, handshakes that stall.

use std::io;
use std::sync::Arc;

use swapwire_core::{Endpoint, ErrorClass, Incoming, Link, Listener, Side, Upkeep, async_trait};
use tokio::time::sleep;

use super::FaultKind;
use super::messages::FaultyMessages;
use super::stream::FaultyBytes;
use super::wire::{Shared, Wire};

pub(super) struct FaultyListener {
    io: Box<dyn Listener>,
    wire: Wire,
    shared: Arc<Shared>,
}

impl FaultyListener {
    pub(super) fn new(io: Box<dyn Listener>, shared: Arc<Shared>) -> Self {
        let local = swapwire_core::Addr::of_endpoint(&io.local());
        let wire = shared.wire(Side::Bind, local, None);
        Self { io, wire, shared }
    }
}

#[async_trait]
impl Listener for FaultyListener {
    fn local(&self) -> Endpoint {
        self.io.local()
    }

    async fn accept(&mut self) -> io::Result<Incoming> {
        if self.wire.happens(|faults| faults.accept_failure) {
            self.wire.tell(FaultKind::AcceptFailed);
            let pressure = self.wire.dice.chance(0.5);
            return Err(match pressure {
                true => io::Error::other("too many open files, as the dice say"),
                false => io::ErrorKind::ConnectionAborted.into(),
            });
        }
        let incoming = self.io.accept().await?;
        let peer = incoming.peer().clone();
        let wire = self.shared.wire(Side::Bind, None, Some(*peer.addr()));
        Ok(Incoming::pending(peer, shake_hands(incoming, wire, Arc::clone(&self.shared))))
    }

    fn refuse_arrivals(&mut self) -> io::Result<()> {
        self.io.refuse_arrivals()
    }

    fn upkeep(&mut self) -> Option<Upkeep> {
        self.io.upkeep()
    }

    fn classify(&self, error: &io::Error) -> ErrorClass {
        self.io.classify(error)
    }

    fn shares_queue(&self) -> bool {
        self.io.shares_queue()
    }
}

async fn shake_hands(incoming: Incoming, mut wire: Wire, shared: Arc<Shared>) -> io::Result<Link> {
    if wire.happens(|faults| faults.stall) {
        let range = wire.faults().stall_for.clone();
        let time = wire.dice.time(&range);
        wire.tell(FaultKind::Stalled(time));
        sleep(time).await;
    }
    if wire.happens(|faults| faults.reset) {
        wire.tell(FaultKind::Reset);
        return Err(io::ErrorKind::ConnectionReset.into());
    }
    Ok(link(incoming.establish().await?, Side::Bind, &shared, false))
}

/// `link` with faults; `loose`: its messages are datagrams.
pub(super) fn link(link: Link, side: Side, shared: &Arc<Shared>, loose: bool) -> Link {
    match link {
        Link::Bytes { io, info, .. } => {
            let wire = shared.link(side, &info);
            Link::bytes(FaultyBytes::new(io, wire), info)
        }
        Link::Messages { io, info, .. } => {
            let wire = shared.link(side, &info);
            Link::messages(FaultyMessages::new(io, wire, loose), info)
        }
        Link::Framed { io, framing, info, .. } => {
            let wire = shared.link(side, &info);
            Link::framed(Box::new(FaultyBytes::new(io, wire)), framing, info)
        }
        other => other,
    }
}
