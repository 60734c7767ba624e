//! Groups of several members over one listener in memory, with one fault.

use std::io;
use std::sync::Arc;

use swapwire_core::{Bound, Endpoint, Incoming, Listener, async_trait};
use tokio::sync::Mutex;

use crate::Fault;

/// So many members that take from one queue.
pub(crate) fn share(listener: Box<dyn Listener>, members: usize, fault: Fault) -> Vec<Bound> {
    let (local, listener) = (listener.local(), Arc::new(Mutex::new(listener)));
    let member = |number: usize| {
        let elsewhere = number > 0 && fault == Fault::MembersAreElsewhere;
        let local = if elsewhere { "mem:elsewhere".parse().expect("an endpoint") } else { local.clone() };
        let deaf = number > 0 && fault == Fault::MembersAreDeaf;
        Bound::Listener(Box::new(Member { listener: Arc::clone(&listener), local, deaf }))
    };
    (0..members).map(member).collect()
}

struct Member {
    listener: Arc<Mutex<Box<dyn Listener>>>,
    local: Endpoint,
    deaf: bool,
}

#[async_trait]
impl Listener for Member {
    fn local(&self) -> Endpoint {
        self.local.clone()
    }

    async fn accept(&mut self) -> io::Result<Incoming> {
        if self.deaf {
            return std::future::pending().await;
        }
        self.listener.lock().await.accept().await
    }

    fn shares_queue(&self) -> bool {
        true
    }
}
