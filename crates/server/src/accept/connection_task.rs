//! One connection, from its handshake to its end.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use swapwire_core::{Incoming, Link};

use super::accept_balancing::CountedConnection;
use super::admission::Arrival;
use crate::limits::ConnectionPermit;
use crate::metrics::Incident;
use crate::sync::OwnedSemaphorePermit;
use crate::time::within;
use crate::{ServeContext, Service, SessionEnd};

/// A connection from its handshake to its end. A future written by hand: it keeps no memory for the handshake, and adds
/// nothing to a message.
pub(crate) struct ConnectionTask {
    stage: Stage,
    // Last: the permit is free when the connection is closed.
    _permit: ConnectionPermit,
    _counted: Option<CountedConnection>,
}

enum Stage {
    Handshake {
        established: Pin<Box<dyn Future<Output = Option<Link>> + Send>>,
        service: Arc<dyn Service>,
        cx: Arc<ServeContext>,
    },
    Session(Pin<Box<dyn Future<Output = SessionEnd> + Send>>),
}

impl ConnectionTask {
    pub(crate) fn new(
        Arrival { incoming, permit, handshake }: Arrival,
        counted: Option<CountedConnection>,
        service: Arc<dyn Service>,
        cx: Arc<ServeContext>,
    ) -> Self {
        let established = Box::pin(establish(incoming, handshake, Arc::clone(&cx)));
        Self { stage: Stage::Handshake { established, service, cx }, _permit: permit, _counted: counted }
    }
}

impl Future for ConnectionTask {
    type Output = SessionEnd;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<SessionEnd> {
        loop {
            match &mut self.stage {
                Stage::Session(session) => return session.as_mut().poll(task),
                Stage::Handshake { established, service, cx } => match ready!(established.as_mut().poll(task)) {
                    Some(link) => {
                        self.stage = Stage::Session(Arc::clone(service).serve_link(link, Arc::clone(cx)));
                    }
                    None => return Poll::Ready(SessionEnd::Handshake),
                },
            }
        }
    }
}

/// Runs the handshake under its deadline, and holds its permit for so long.
async fn establish(incoming: Incoming, _permit: Option<OwnedSemaphorePermit>, cx: Arc<ServeContext>) -> Option<Link> {
    let peer = incoming.peer().clone();
    let established = match cx.limits.handshake_timeout {
        Some(limit) => {
            let established = within(limit, &cx.stats, incoming.establish()).await;
            established.unwrap_or(Err(io::ErrorKind::TimedOut.into()))
        }
        None => incoming.establish().await,
    };
    established.inspect_err(|error| cx.incidents.tell(Incident::Handshake, Some(peer.addr()), error)).ok()
}

#[cfg(all(test, target_pointer_width = "64"))]
mod tests {
    use super::*;

    #[test]
    fn a_connection_takes_little_beside_its_session() {
        let size = size_of::<ConnectionTask>();
        assert!(size <= 96, "{size} bytes");
    }
}
