//! One connection, from its handshake to its end.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use swapwire_core::{Incoming, Link};

use super::accept_balancing::CountedConnection;
use super::admission::Arrival;
use crate::limits::{ConnectionPermit, ConnectionPermits, SourcePermit};
use crate::metrics::{Incident, Stats};
use crate::time::within;
use crate::{ServeContext, Service, SessionEnd};

/// A connection from its handshake to its end. A future written by hand: it keeps no memory for the handshake, and adds
/// nothing to a message.
pub(crate) struct ConnectionTask {
    stage: Stage,
    // Last: the permit is free when the connection is closed.
    permit: ConnectionPermit,
    _counted: Option<CountedConnection>,
}

enum Stage {
    Handshake {
        established: Pin<Box<dyn Future<Output = Option<Established>> + Send>>,
        service: Arc<dyn Service>,
        cx: Arc<ServeContext>,
    },
    Session(Pin<Box<dyn Future<Output = SessionEnd> + Send>>),
}

impl ConnectionTask {
    pub(crate) fn new(
        Arrival { incoming, permit }: Arrival,
        counted: Option<CountedConnection>,
        service: Arc<dyn Service>,
        cx: Arc<ServeContext>,
        permits: Arc<ConnectionPermits>,
    ) -> Self {
        let established = Box::pin(establish(incoming, permits, Arc::clone(&cx)));
        Self { stage: Stage::Handshake { established, service, cx }, permit, _counted: counted }
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
                    Some((link, source)) => {
                        let session = Arc::clone(service).serve_link(link, Arc::clone(cx));
                        self.stage = Stage::Session(session);
                        self.permit.add(source);
                    }
                    None => return Poll::Ready(SessionEnd::Handshake),
                },
            }
        }
    }
}

/// A link, and the permit of a source that only the handshake told.
type Established = (Link, Option<Box<SourcePermit>>);

/// Runs the handshake under its deadline.
async fn establish(incoming: Incoming, permits: Arc<ConnectionPermits>, cx: Arc<ServeContext>) -> Option<Established> {
    let (peer, renames) = (incoming.peer().clone(), incoming.renames());
    let established = match cx.limits.handshake_timeout {
        Some(limit) => {
            let established = within(limit, &cx.stats, shake_hands(incoming, &permits, &cx)).await;
            established.unwrap_or(Err(io::ErrorKind::TimedOut.into()))
        }
        None => shake_hands(incoming, &permits, &cx).await,
    };
    let permitted = established.and_then(|link| {
        let source = if renames { permits.source(&link.info().peer) } else { Ok(None) };
        source.map(|source| (link, source)).map_err(|_| {
            Stats::one(&cx.stats.refused);
            io::Error::other("its source has as many connections as max_per_source allows")
        })
    });
    permitted.inspect_err(|error| cx.incidents.tell(Incident::Handshake, Some(peer.addr()), error)).ok()
}

/// One that waits for its peer holds a permit for so long, unless another needs that more.
async fn shake_hands(incoming: Incoming, permits: &ConnectionPermits, cx: &ServeContext) -> io::Result<Link> {
    let (mut established, mut permit) = (pin!(incoming.establish()), None);
    poll_fn(|task| {
        let polled = established.as_mut().poll(task);
        if polled.is_ready() {
            return polled;
        }
        match &mut permit {
            None => permit = Some(permits.handshake(task.waker())),
            Some(permit) => {
                if !permit.advance(task.waker()) {
                    Stats::one(&cx.stats.handshakes_evicted);
                    let text = "it made room for another, as max_handshakes are under way";
                    return Poll::Ready(Err(io::Error::other(text)));
                }
            }
        }
        Poll::Pending
    })
    .await
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
