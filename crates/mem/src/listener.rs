//! Listeners of the byte stream and the message stream.

use std::io;
use std::sync::Arc;

use swapwire_core::{Endpoint, Incoming, Link, Listener, async_trait};
use tokio::sync::mpsc;

use crate::hub::{Claim, Held, Hub};
use crate::names::Name;

/// A bound name with its queue of connections.
pub(crate) struct MemListener {
    claim: Claim,
    local: Endpoint,
    queue: mpsc::Receiver<Link>,
    /// Whether new connections are refused.
    refuses: bool,
}

impl MemListener {
    /// A listener that is bound to `name`; `None` if it is taken.
    pub(crate) fn bind(hub: &Arc<Hub>, name: Name, local: Endpoint, backlog: usize) -> Option<Self> {
        let (sender, queue) = mpsc::channel(backlog);
        Some(Self { claim: hub.take(name, Held::Listener(sender))?, local, queue, refuses: false })
    }
}

#[async_trait]
impl Listener for MemListener {
    fn local(&self) -> Endpoint {
        self.local.clone()
    }

    async fn accept(&mut self) -> io::Result<Incoming> {
        match self.queue.recv().await {
            Some(link) => Ok(Incoming::ready(link)),
            None if self.refuses => std::future::pending().await,
            // The network keeps a sender for as long as the name is held, and it is held by this listener.
            None => {
                Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{} is not bound", self.claim.name.addr())))
            }
        }
    }

    fn refuse_arrivals(&mut self) -> io::Result<()> {
        self.refuses = true;
        self.queue.close();
        Ok(())
    }
}
