//! One connection, from its handshake to its end.

use std::future::{Future, pending, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use swapwire_core::{Incoming, Link};

use super::accept_balancing::CountedConnection;
use super::admission::{Arrival, dismiss};
use crate::limits::{ConnectionPermit, ConnectionPermits, HandshakePermit, SourcePermit};
use crate::metrics::{Incident, Stats};
use crate::session_record::SessionRecord;
use crate::time::over;
use crate::{ServeContext, Service, SessionEnd, WhenFull};

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

/// Runs the handshake under its deadline. What comes to nothing is told.
///
/// One that waits for its peer holds a permit for so long, unless another needs that more.
async fn establish(incoming: Incoming, permits: Arc<ConnectionPermits>, cx: Arc<ServeContext>) -> Option<Established> {
    let (peer, renames) = (*incoming.peer().addr(), incoming.renames());
    let mut record = SessionRecord::begin(&cx, &peer, cx.bound.as_ref());
    if let Some(record) = &mut record {
        record.ended(SessionEnd::Handshake, false);
    }
    let mut established = pin!(incoming.establish());
    // Nothing of this where it does not wait, as on a wire without a handshake.
    let mut waits: Option<(HandshakePermit, Pin<Box<_>>)> = None;
    let established = poll_fn(|task| {
        if let Poll::Ready(established) = established.as_mut().poll(task) {
            count(&established, &cx.stats);
            return Poll::Ready(Some(established));
        }
        if waits.as_mut().is_some_and(|(permit, _)| !permit.advance(task.waker())) {
            return Poll::Ready(None);
        }
        let (_, late) = waits.get_or_insert_with(|| (permits.handshake(task.waker()), Box::pin(too_late(&cx))));
        late.as_mut().poll(task).map(|late| {
            Stats::one(&cx.stats.handshakes_timed_out);
            Some(Err(late))
        })
    });
    let Some(established) = established.await else {
        Stats::one(&cx.stats.handshakes_broken);
        cx.incidents.note(Incident::HandshakeEvicted, 1, Some(&peer), "");
        return None;
    };
    drop(waits);
    let failed = |error: &io::Error| cx.incidents.tell(Incident::of_handshake(error), Some(&peer), error);
    let link = established.inspect_err(failed).ok()?;
    if !renames {
        record.into_iter().for_each(SessionRecord::goes_on);
        return Some((link, None));
    }
    match permits.source(&link.info().peer) {
        Ok(source) => {
            record.into_iter().for_each(SessionRecord::goes_on);
            Some((link, source))
        }
        Err(_) => {
            cx.incidents.note(Incident::Refused, 1, Some(link.info().peer.addr()), "");
            if let WhenFull::Refuse(farewell) = &cx.limits.when_full {
                Box::pin(dismiss(link, farewell, &cx.framing)).await;
            }
            None
        }
    }
}

fn count(established: &io::Result<Link>, stats: &Stats) {
    Stats::one(match established {
        Ok(_) => &stats.handshakes_done,
        Err(error) if error.kind() == io::ErrorKind::TimedOut => &stats.handshakes_timed_out,
        Err(_) => &stats.handshakes_broken,
    });
}

/// Ready when a handshake has had its time, or the grace of a drain.
async fn too_late(cx: &ServeContext) -> io::Error {
    let text = tokio::select! {
        biased;
        text = async {
            let Some(limit) = cx.limits.handshake_timeout else { return pending().await };
            over(limit, &cx.load).await;
            format!("it was not done within {limit:?}: handshake_timeout is the limit")
        } => text,
        text = async {
            cx.drain.token.cancelled().await;
            over(cx.limits.drain_grace, &cx.load).await;
            "it was not done when the server drained".to_owned()
        } => text,
    };
    io::Error::new(io::ErrorKind::TimedOut, text)
}

#[cfg(all(test, target_pointer_width = "64"))]
mod tests {
    use swapwire_core::{Addr, Peer};

    use super::*;

    #[test]
    fn a_connection_takes_little_beside_its_session() {
        let size = size_of::<ConnectionTask>();
        assert!(size <= 96, "{size} bytes");
    }

    /// `SECURITY.md` says 2 KiB, with its entry in the table.
    #[test]
    fn a_handshake_takes_little_beside_what_its_wire_keeps() {
        let cx = Arc::new(ServeContext::for_test());
        let peer = Peer::new(Addr::named("test", "here").expect("short"));
        let incoming = Incoming::pending(peer, pending());
        let permits = Arc::new(ConnectionPermits::new(&cx.limits));
        let late = size_of_val(&too_late(&cx));
        let handshake = size_of_val(&establish(incoming, permits, cx));
        assert!(handshake + late <= 1600, "{handshake} + {late} bytes");
    }
}
