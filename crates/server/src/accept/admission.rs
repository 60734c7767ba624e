//! Which connections a listener takes: a permit first, or a refusal.

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt as _;
use swapwire_core::server::without_line_end;
use swapwire_core::{ByteStream, FrameError, Framing, Goodbye, Incoming, Link, Listener};
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use super::accept_balancing::{AcceptBalance, CountedConnection};
use crate::drain::Member;
use crate::limits::{ConnectionPermit, ConnectionPermits, Refusal};

/// How long the refusal of one connection may delay the refusal of the next.
const FAREWELL: Duration = Duration::from_millis(10);

/// A connection with its permit.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) incoming: Incoming,
    pub(crate) permit: ConnectionPermit,
}

/// What became of a connection.
#[derive(Debug)]
pub(crate) enum Accepted {
    /// This member is to serve it, and counts it where the load is balanced.
    Serve(Arrival, Option<CountedConnection>),
    /// Another member serves it.
    PassedOn,
    /// No member serves it.
    Refused(Incoming, Refusal),
}

pub(crate) struct Admission {
    pub(crate) listener: Box<dyn Listener>,
    pub(crate) member: Member,
    pub(crate) balance: AcceptBalance<Arrival>,
    /// Whether all members accept from one queue, so that the load is to be balanced.
    pub(crate) balances: bool,
    /// Whether connections are refused when there is no permit, rather than left in the system's queue.
    pub(crate) refuses: bool,
    /// A connection that was accepted and waits for a permit: at most one for each listener, when others took the last one
    /// between the look and the accept.
    pub(crate) pending: Option<Incoming>,
}

impl Admission {
    /// The next connection. Cancel safe.
    pub(crate) async fn next(&mut self, permits: &ConnectionPermits) -> io::Result<Accepted> {
        let take = take(&mut *self.listener, &mut self.pending, self.refuses, permits);
        if !self.balances {
            return take.await;
        }
        let taken = tokio::select! {
            biased;
            Some((arrival, counted)) = self.balance.passed_here() => return Ok(Accepted::Serve(arrival, Some(counted))),
            taken = take => taken?,
        };
        Ok(match taken {
            Accepted::Serve(arrival, _) => match self.balance.pass_on(arrival) {
                Some((arrival, counted)) => Accepted::Serve(arrival, Some(counted)),
                None => Accepted::PassedOn,
            },
            other => other,
        })
    }
}

/// Waits for a free permit before it accepts, so that what is over the limit stays in the system's queue; or accepts and
/// refuses. No permit is held while no connection comes: it belongs to whichever listener has one. Cancel safe: `pending`
/// keeps what was accepted.
async fn take(
    listener: &mut dyn Listener,
    pending: &mut Option<Incoming>,
    refuses: bool,
    permits: &ConnectionPermits,
) -> io::Result<Accepted> {
    let incoming = match pending {
        Some(incoming) => incoming,
        None => {
            if !refuses && !permits.is_free() {
                permits.free().await;
            }
            pending.insert(listener.accept().await?)
        }
    };
    // Whom a connection is for may be known behind its handshake only.
    let peer = (!incoming.renames()).then(|| incoming.peer());
    let found = if refuses { permits.try_take(peer) } else { permits.wait(peer).await };
    match (pending.take(), found) {
        (Some(incoming), Ok(permit)) => Ok(Accepted::Serve(Arrival { incoming, permit }, None)),
        (Some(incoming), Err(refusal)) => Ok(Accepted::Refused(incoming, refusal)),
        (None, _) => Err(io::ErrorKind::Interrupted.into()),
    }
}

/// The text that a byte stream with this framing is turned away with: `farewell` as one message.
///
/// # Errors
/// The framing cannot carry it.
pub(crate) fn framed(farewell: &[u8], framing: &Framing) -> Result<Vec<u8>, FrameError> {
    let farewell = match framing {
        // A line may be written with its end.
        Framing::Lines => without_line_end(farewell),
        _ => farewell,
    };
    let mut bytes = Vec::new();
    let mut encoder = framing.encoder(farewell.len());
    encoder.begin(&mut bytes);
    bytes.extend_from_slice(farewell);
    encoder.finish(&mut bytes, 0)?;
    encoder.goodbye(Goodbye::GoingAway, &mut bytes);
    Ok(bytes)
}

async fn say(mut io: Box<dyn ByteStream>, farewell: &[u8], framing: &Framing) -> io::Result<()> {
    if let Ok(bytes) = framed(farewell, framing) {
        io.write_all(&bytes).await?;
        io.shutdown().await?;
    }
    Ok(())
}

/// Says `farewell` to a connection without a handshake, and closes it. One whose handshake takes time is closed without a
/// message.
pub(crate) async fn turn_away(incoming: Incoming, farewell: &[u8], framing: &Framing) {
    if farewell.is_empty() {
        return;
    }
    if let Some(Ok(link)) = incoming.establish().now_or_never() {
        dismiss(link, farewell, framing).await;
    }
}

/// Says `farewell`, as one message, and closes. The reactor may not know yet that a new connection can be written to, so it
/// waits for that, at most [`FAREWELL`].
pub(crate) async fn dismiss(link: Link, farewell: &[u8], framing: &Framing) {
    if farewell.is_empty() {
        return;
    }
    let said = async {
        match link {
            Link::Bytes { io, .. } => say(io, farewell, framing).await?,
            Link::Framed { io, framing, .. } => say(io, farewell, &framing).await?,
            Link::Messages { mut io, .. } => {
                let sent = poll_fn(|task| io.poll_send(task, farewell)).await;
                let _ = poll_fn(|task| if sent.is_ok() { io.poll_flush(task) } else { Poll::Ready(Ok(())) }).await;
            }
            _ => {}
        }
        io::Result::Ok(())
    };
    // The message may be lost, as its documentation says.
    let _ = timeout(FAREWELL, said).await;
}
