//! Where connections come in: room first, or a refusal.

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt as _;
use swapwire_core::server::without_line_end;
use swapwire_core::{FrameError, Framing, Incoming, Link, Listener};
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use crate::group::Member;
use crate::room::{Arrival, Refusal, Room};

/// How long one who is turned away may hold up those behind, who wait to be turned away too.
const FAREWELL: Duration = Duration::from_millis(10);

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

/// The text that a byte stream with this framing is turned away with: `farewell` as one message.
///
/// # Errors
/// The framing cannot carry it.
pub(crate) fn framed(farewell: &[u8], framing: &Framing) -> Result<Vec<u8>, FrameError> {
    let farewell = match framing {
        // As whoever writes a line may end it.
        Framing::Lines => without_line_end(farewell),
        _ => farewell,
    };
    let mut bytes = Vec::new();
    let mut encoder = framing.encoder(farewell.len());
    encoder.begin(&mut bytes);
    bytes.extend_from_slice(farewell);
    encoder.finish(&mut bytes, 0)?;
    Ok(bytes)
}

/// Says `farewell`, as one message, and closes. The reactor may not know yet that a new connection can be written to, so it
/// waits for that, at most [`FAREWELL`].
pub(crate) async fn turn_away(incoming: Incoming, farewell: &[u8], framing: &Framing) {
    if farewell.is_empty() {
        return;
    }
    // Whoever would have to be waited for first is closed without a word.
    let Some(Ok(link)) = incoming.establish().now_or_never() else { return };
    let said = async {
        match link {
            Link::Bytes { mut io, .. } => {
                if let Ok(bytes) = framed(farewell, framing) {
                    io.write_all(&bytes).await?;
                    io.shutdown().await?;
                }
            }
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
