//! Where connections come in: room first, or a refusal.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures::FutureExt as _;
use swapwire_core::{Framing, Incoming, Link, Listener};
use tokio::io::AsyncWrite as _;

use crate::group::Member;
use crate::room::{Arrival, Refusal, Room};

/// What came through the door.
#[derive(Debug)]
pub(crate) enum Next {
    /// A connection that this member is to serve.
    Serve(Arrival),
    /// One that another member serves.
    PassedOn,
    /// One that nobody serves.
    Refused(Incoming, Refusal),
}

pub(crate) struct Door {
    pub(crate) listener: Box<dyn Listener>,
    pub(crate) member: Member,
    /// Whether all members take from one queue.
    pub(crate) shares: bool,
    /// Whether connections are refused when there is no room, rather than left in the system's queue.
    pub(crate) refuses: bool,
    /// A connection that was accepted and waits for room: at most one for each listener, when others took the last room
    /// between the look and the accept.
    pub(crate) pending: Option<Incoming>,
}

impl Door {
    /// The next connection. Cancel safe.
    pub(crate) async fn next(&mut self, room: &Room) -> io::Result<Next> {
        let take = take(&mut *self.listener, &mut self.pending, self.refuses, room);
        if !self.shares {
            return take.await;
        }
        let taken = tokio::select! {
            biased;
            Some(arrival) = self.member.share.passed_here() => return Ok(Next::Serve(arrival)),
            taken = take => taken?,
        };
        Ok(match taken {
            Next::Serve(arrival) => self.member.share.pass_on(arrival).map_or(Next::PassedOn, Next::Serve),
            other => other,
        })
    }
}

/// Waits for room before it accepts, so that what is over the limit stays in the system's queue; or accepts and refuses. No
/// room is kept while nobody comes: it belongs to whichever listener has a connection. Cancel safe: `pending` keeps what
/// was accepted.
async fn take(
    listener: &mut dyn Listener,
    pending: &mut Option<Incoming>,
    refuses: bool,
    room: &Room,
) -> io::Result<Next> {
    let incoming = match pending {
        Some(incoming) => incoming,
        None => {
            if !refuses && !room.is_free() {
                room.free().await;
            }
            pending.insert(listener.accept().await?)
        }
    };
    let found = if refuses { room.try_take(incoming.peer()) } else { room.wait(incoming.peer()).await };
    match (pending.take(), found) {
        (Some(incoming), Ok((place, handshake))) => Ok(Next::Serve(Arrival { incoming, place, handshake })),
        (Some(incoming), Err(refusal)) => Ok(Next::Refused(incoming, refusal)),
        (None, _) => Err(io::ErrorKind::Interrupted.into()),
    }
}

/// Says `farewell`, as one message, as far as the wire takes it at once, and closes.
pub(crate) fn turn_away(incoming: Incoming, farewell: &[u8], framing: &Framing) {
    if farewell.is_empty() {
        return;
    }
    // Whoever would have to be waited for first is closed without a word.
    let Some(Ok(link)) = incoming.establish().now_or_never() else { return };
    let mut task = Context::from_waker(Waker::noop());
    match link {
        Link::Bytes { mut io, .. } => {
            let mut bytes = Vec::new();
            let mut encoder = framing.encoder(farewell.len());
            encoder.begin(&mut bytes);
            bytes.extend_from_slice(farewell);
            if encoder.finish(&mut bytes, 0).is_ok()
                && let Poll::Ready(Ok(_)) = Pin::new(&mut io).poll_write(&mut task, &bytes)
            {
                let _ = Pin::new(&mut io).poll_shutdown(&mut task);
            }
        }
        Link::Messages { mut io, .. } => {
            if let Poll::Ready(Ok(())) = io.poll_send(&mut task, farewell) {
                let _ = io.poll_flush(&mut task);
            }
        }
        _ => {}
    }
}
