//! What the unit test of a handler or a layer needs, without a server and without sockets.
//!
//! * [`replies`]: one message to a [`Handler`], and what it replies.
//! * [`conversation`]: messages to a [`SessionHandler`], and all that it sends.
//! * [`session`]: both ends of a session, for a test that talks step by step, or drains.
//! * [`assert_passes_on`] and [`assert_session_passes_on`]: whether a layer passes on what the handler inside declares.
//!
//! A layer is tested as the handlers that it makes. None of them needs a runtime of its own; with a paused clock of tokio a test
//! decides how time passes.

mod layers;
mod wire;

use bytes::Bytes;
use futures::future;

use crate::server::Replies;
use crate::{Framing, Handler, HandlerError, Peer, Request, SendError, SessionConfig, SessionHandler};

pub use layers::{Probe, assert_passes_on, assert_session_passes_on};
pub use wire::session;

use wire::addr;

/// As a server's default.
const MAX_REPLY: usize = 1 << 20;

/// What `handler` replies to `message`: the messages, without framing, in order.
///
/// The peer and the local address are named `test:peer` and `test:local`. The replies of the call are bounded to 1 MiB, as
/// a server's are by default. It needs no runtime of its own, and a handler that waits is waited for. For a bound of your
/// own, or a request without a return address, call [`Handler::handle`] with a [`Reply`](crate::Reply).
///
/// ```
/// use swapwire_core::{handler_fn, testing};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), swapwire_core::HandlerError> {
/// let shout = handler_fn(|request, reply| Ok(reply.send(request.message().to_ascii_uppercase())?));
/// assert_eq!(testing::replies(&shout, "hello").await?, ["HELLO"]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The error of the handler; [`Replaced`](crate::server::Replaced) if it puts another reply in the place of the one
/// it is lent, as a server fails that call.
///
/// # Cancel safety
/// Dropping it drops the call half-way, as a server does when a session ends.
pub async fn replies(handler: &impl Handler, message: impl AsRef<[u8]>) -> Result<Vec<Bytes>, HandlerError> {
    let (peer, local) = (Peer::new(addr("peer")), addr("local"));
    let mut replies = Replies::new(Framing::Chunks.encoder(usize::MAX));
    let mut call = replies.call(MAX_REPLY, true);
    let result = handler.handle(Request::new(message.as_ref(), Some(&peer), &local), call.reply()).await;
    call.end(result)?;
    Ok(replies.messages().map(Bytes::copy_from_slice).collect())
}

/// What `handler` sends in a session whose peer sends `messages` and then ends: all of it, in order, without framing.
///
/// The session is that of [`session`] with the default configuration. When the handler has returned, what it queued is sent,
/// as by a server.
///
/// ```
/// use swapwire_core::{HandlerError, Session, SessionHandler, async_trait, testing};
///
/// struct Count;
///
/// #[async_trait]
/// impl SessionHandler for Count {
///     async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
///         let mut count = 0;
///         while session.recv().await?.is_some() {
///             count += 1;
///         }
///         Ok(session.send(format!("{count} messages")).await?)
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), HandlerError> {
/// assert_eq!(testing::conversation(&Count, ["a", "b", "c"]).await?, ["3 messages"]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The error of the handler; what it sent before is lost.
///
/// # Cancel safety
/// Dropping it drops the session.
pub async fn conversation(
    handler: &impl SessionHandler,
    messages: impl IntoIterator<Item: AsRef<[u8]>>,
) -> Result<Vec<Bytes>, HandlerError> {
    let (session, peer) = session(SessionConfig::default());
    let (mut reader, mut writer) = peer.split();
    let guard = session.guard();
    let run = async {
        let result = handler.run(session).await;
        let _ = guard.flush().await;
        drop(guard);
        result
    };
    let talk = async {
        for message in messages {
            // A handler that has ended hears no more.
            if let Err(SendError::Closed) = writer.send(message).await {
                break;
            }
        }
        let _ = writer.shutdown().await;
    };
    let listen = async {
        let mut heard = Vec::new();
        while let Ok(Some(message)) = reader.recv().await {
            heard.push(message);
        }
        heard
    };
    let (result, (), heard) = future::join3(run, talk, listen).await;
    result.map(|()| heard)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Replaced;
    use crate::{
        DrainToken, HandlerLayer, HandlerProperties, LayerFn, Reply, Session, async_trait, handler_fn, handler_fn_async,
    };

    #[tokio::test]
    async fn a_handler_that_waits_is_waited_for() {
        let slow = handler_fn_async(|message| async move {
            tokio::task::yield_now().await;
            Ok(message)
        });
        assert_eq!(replies(&slow, [0, 255]).await.unwrap(), [[0, 255].as_slice()]);
    }

    #[tokio::test]
    async fn an_error_is_told_and_nothing_is_no_reply() {
        let silent = handler_fn(|_, _| Ok(()));
        assert_eq!(replies(&silent, "").await.unwrap(), Vec::<Bytes>::new());
        let fails = handler_fn(|request, _| Err(format!("from {}", request.peer().unwrap()).into()));
        assert_eq!(replies(&fails, "x").await.unwrap_err().to_string(), "from test:peer");
        let floods = handler_fn(|_, reply| Ok(reply.send(vec![0; MAX_REPLY + 1])?));
        assert!(replies(&floods, "x").await.is_err());
        let replaces = handler_fn(|_, reply| {
            *reply = Reply::new(9);
            Ok(reply.send("lost")?)
        });
        let error = replies(&replaces, "x").await.unwrap_err();
        assert!(error.downcast_ref::<Replaced>().is_some(), "{error}");
    }

    struct Counts;

    #[async_trait]
    impl SessionHandler for Counts {
        async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
            let mut count = 0;
            while let Some(message) = session.recv().await? {
                count += 1;
                match &message[..] {
                    b"fail" => return Err(format!("from {}", session.peer()).into()),
                    b"end" => break,
                    _ => session.send(count.to_string()).await?,
                }
            }
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_conversation_is_heard_to_its_end() {
        assert_eq!(conversation(&Counts, [""; 0]).await.unwrap(), Vec::<Bytes>::new());
        assert_eq!(conversation(&Counts, ["a", "", "end", "never heard"]).await.unwrap(), ["1", "2"]);
        // More than is in flight at once, each way.
        assert_eq!(conversation(&Counts, ["x"; 1000]).await.unwrap().len(), 1000);
        assert_eq!(conversation(&Counts, ["a", "fail"]).await.unwrap_err().to_string(), "from test:peer");
    }

    #[tokio::test]
    async fn a_session_drains_as_the_test_says() {
        let mut config = SessionConfig::default();
        let drain = DrainToken::new();
        config.draining = Some(drain.clone());
        let (session, mut peer) = session(config);
        peer.send("a").await.unwrap();
        peer.flush().await.unwrap();
        drain.begin();
        Counts.run(session).await.unwrap();
        assert_eq!(peer.recv().await.unwrap().unwrap(), "1");
        assert!(peer.recv().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn layers_that_pass_on_too_much_or_too_little_are_found() {
        let declares = |properties| LayerFn::new(move || Fixed(properties));
        let fails = |layer: fn() -> HandlerProperties| {
            let layer = declares(layer());
            std::panic::catch_unwind(|| assert_passes_on(&layer)).is_err()
                && std::panic::catch_unwind(|| assert_session_passes_on(&layer)).is_err()
        };
        assert!(fails(HandlerProperties::new));
        assert!(fails(|| HandlerProperties::new().any_slicing().with_amplifies(true).with_ready_at_once(true)));
        assert_passes_on(&LayerFn::new(|| Through));
        assert_session_passes_on(&LayerFn::new(|| Through));
    }

    /// Declares the same of every handler.
    struct Fixed(HandlerProperties);

    struct Through;

    macro_rules! layer {
        ($layer:ty, $self:ident, $inner:ident => $properties:expr) => {
            impl HandlerLayer for $layer {
                fn properties(&$self, $inner: HandlerProperties) -> HandlerProperties {
                    $properties
                }

                async fn handle<H: Handler>(
                    &self,
                    inner: &H,
                    request: Request<'_>,
                    reply: &mut Reply<'_>,
                ) -> Result<(), HandlerError> {
                    inner.handle(request, reply).await
                }

                async fn run<H: SessionHandler>(&self, inner: &H, session: Session) -> Result<(), HandlerError> {
                    inner.run(session).await
                }
            }
        };
    }

    layer!(Fixed, self, _inner => self.0);
    layer!(Through, self, inner => inner);
}
