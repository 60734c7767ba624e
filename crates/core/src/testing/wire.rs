//! A wire of messages in memory, for tests.

use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;

use crate::{Addr, ConnInfo, Link, MessageStream, Peer, RecvError, SendError, Session, SessionConfig};

/// Messages in flight each way, at most.
const IN_FLIGHT: usize = 16;
const MAX_MESSAGE: usize = 1 << 20;

struct TestWire {
    incoming: mpsc::Receiver<Bytes>,
    /// `None` once it was shut down.
    outgoing: Option<PollSender<Bytes>>,
}

impl MessageStream for TestWire {
    fn poll_recv(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<Result<Option<usize>, RecvError>> {
        let message = ready!(self.incoming.poll_recv(cx));
        Poll::Ready(Ok(message.map(|message| {
            into.extend_from_slice(&message);
            message.len()
        })))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, message: &[u8]) -> Poll<Result<(), SendError>> {
        let (len, max) = (message.len(), MAX_MESSAGE);
        if len > max {
            return Poll::Ready(Err(SendError::TooLarge { len, max }));
        }
        let Some(outgoing) = &mut self.outgoing else { return Poll::Ready(Err(SendError::Closed)) };
        ready!(outgoing.poll_reserve(cx)).map_err(|_| SendError::Closed)?;
        Poll::Ready(outgoing.send_item(Bytes::copy_from_slice(message)).map_err(|_| SendError::Closed))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.outgoing = None;
        Poll::Ready(Ok(()))
    }

    fn max_message(&self) -> usize {
        MAX_MESSAGE
    }
}

/// The two ends of a session in memory: the first, with `config`, for a handler, the second for the test that is its peer.
///
/// The wire has boundaries, so messages need no framing; at most 16 of them, of at most 1 MiB, are in flight each way. The
/// handler's peer is `test:peer`, its own end `test:local`. Both ends are sessions: what is sent goes out while its end is
/// awaited, and dropping one ends the other. A [`DrainToken`](crate::DrainToken) in `config` begins a drain.
///
/// ```
/// use swapwire_core::{HandlerError, Session, SessionConfig, SessionHandler, async_trait, testing};
///
/// struct Greeter;
///
/// #[async_trait]
/// impl SessionHandler for Greeter {
///     async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
///         session.send("who is there?").await?;
///         let Some(name) = session.recv().await? else { return Ok(()) };
///         session.send([b"hello ", &name[..]].concat()).await?;
///         Ok(session.flush().await?)
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), HandlerError> {
/// let (session, mut peer) = testing::session(SessionConfig::default());
/// let talk = async {
///     assert_eq!(peer.recv().await?.unwrap(), "who is there?");
///     peer.send("world").await?;
///     assert_eq!(peer.recv().await?.unwrap(), "hello world");
///     Ok(())
/// };
/// tokio::try_join!(Greeter.run(session), talk)?;
/// # Ok(())
/// # }
/// ```
pub fn session(config: SessionConfig) -> (Session, Session) {
    let (to_peer, from_local) = mpsc::channel(IN_FLIGHT);
    let (to_local, from_peer) = mpsc::channel(IN_FLIGHT);
    let end = |incoming, outgoing, peer, local, config| {
        let wire = TestWire { incoming, outgoing: Some(PollSender::new(outgoing)) };
        Session::new(Link::messages(wire, ConnInfo::new(Peer::new(addr(peer)), addr(local))), config)
    };
    let ours = end(from_peer, to_peer, "peer", "local", config);
    (ours, end(from_local, to_local, "local", "peer", SessionConfig::default()))
}

pub(super) fn addr(name: &str) -> Addr {
    Addr::named("test", name).expect("a short name is an address")
}
