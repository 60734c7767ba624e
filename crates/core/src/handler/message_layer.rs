//! Layers over messages: the same for handlers of messages and of sessions.

use std::sync::Arc;

use super::session::SessionCalls;
use super::{Handler, HandlerLayer, HandlerProperties, SessionHandler};
use crate::session::{Inner, MessageFilter, Verdict};
use crate::{HandlerError, Reply, Request, Session};

/// Sees each message before the handler inside, of either kind and on every wire: a limit, a log, a gate.
///
/// [`EachMessage`] makes a [`HandlerLayer`] of it. Around a [`Handler`] it runs at the beginning of each call; around a
/// [`SessionHandler`] whenever the session is about to give out a message, so a handler that never receives sees none, and
/// bytes of a session that was [taken as a byte stream](Session::into_byte_stream) pass by. Where a byte stream has no framing, a
/// message is what one read gave.
///
/// What it replies goes to the peer in its place among the handler's replies, with the framing and the limits of a reply of the
/// handler. In a session it does not wait: replies that find the queue full (`out_queue`) are dropped.
///
/// ```
/// use swapwire_core::{
///     EachMessage, HandlerExt, LayerFn, MessageLayer, Reply, Request, handler_fn, stateful_fn, testing,
/// };
///
/// /// Answers pings itself.
/// struct Pong;
///
/// impl MessageLayer for Pong {
///     fn admit(&self, request: Request<'_>, reply: &mut Reply<'_>) -> bool {
///         let is_ping = request.message() == b"ping";
///         if is_ping {
///             // One that does not fit is dropped.
///             let _ = reply.send("pong");
///         }
///         !is_ping
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), swapwire_core::HandlerError> {
/// let layer = || LayerFn::new(|| EachMessage::new(Pong));
/// let echo = handler_fn(|request, reply| Ok(reply.send(request.message())?)).with_layer(layer());
/// assert_eq!(testing::replies(&echo, "ping").await?, ["pong"]);
/// assert_eq!(testing::replies(&echo, "hello").await?, ["hello"]);
///
/// let count = |count: &mut u32, _: Request<'_>, reply: &mut Reply<'_>| {
///     *count += 1;
///     Ok(reply.send(count.to_string())?)
/// };
/// let counts = stateful_fn(|_| 0, count).with_layer(layer());
/// assert_eq!(testing::conversation(&counts, ["a", "ping", "b"]).await?, ["1", "pong", "2"]);
/// # Ok(())
/// # }
/// ```
pub trait MessageLayer: Send + Sync + 'static {
    /// Whether `request` goes on to the handler inside. What this puts into `reply` goes to the peer in either case;
    /// [`Reply::close`] ends the session behind it.
    fn admit(&self, request: Request<'_>, reply: &mut Reply<'_>) -> bool;
}

/// A [`MessageLayer`] as a [`HandlerLayer`]. Clones share it.
#[derive(Debug)]
pub struct EachMessage<L>(Arc<L>);

impl<L> EachMessage<L> {
    /// Shows `layer` each message.
    pub fn new(layer: L) -> Self {
        Self(Arc::new(layer))
    }
}

impl<L> Clone for EachMessage<L> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<L: MessageLayer> HandlerLayer for EachMessage<L> {
    fn properties(&self, inner: HandlerProperties) -> HandlerProperties {
        inner
    }

    async fn handle<H: Handler>(
        &self,
        inner: &H,
        request: Request<'_>,
        reply: &mut Reply<'_>,
    ) -> Result<(), HandlerError> {
        if self.0.admit(request, reply) && !reply.closes() { inner.handle(request, reply).await } else { Ok(()) }
    }

    async fn run<H: SessionHandler>(&self, inner: &H, mut session: Session) -> Result<(), HandlerError> {
        let filter = SessionFilter { layer: Arc::clone(&self.0), calls: SessionCalls::new(&session) };
        session.add_filter(Box::new(filter));
        inner.run(session).await
    }
}

/// A layer and what it replies in one session.
struct SessionFilter<L> {
    layer: Arc<L>,
    calls: SessionCalls,
}

impl<L: MessageLayer> MessageFilter for SessionFilter<L> {
    fn look_at(&mut self, message: &[u8], inner: &Inner) -> Verdict {
        let limit = self.calls.begin(inner);
        let mut call = self.calls.replies.call(limit, true);
        let request = Request::new(message, Some(&inner.info.peer), &inner.info.local);
        let admitted = self.layer.admit(request, call.reply());
        let result = call.end(Ok(()));
        if !inner.has_room() {
            self.calls.replies.clear_messages();
        }
        if !self.calls.replies.is_empty() {
            inner.wake_driver();
        }
        match self.calls.end(inner, limit, result) {
            Ok(false) if admitted => Verdict::GivenOut,
            Ok(false) => Verdict::Dropped,
            Ok(true) | Err(_) => Verdict::Ends,
        }
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;
    use crate::{Addr, ConnInfo, Framing, HandlerExt as _, LayerFn, Link, Peer, SessionConfig, handler_fn, testing};

    /// Answers `ping` and `two` itself, and ends at `bye`.
    struct Pong;

    impl MessageLayer for Pong {
        fn admit(&self, request: Request<'_>, reply: &mut Reply<'_>) -> bool {
            match request.message() {
                b"ping" => drop(reply.send("pong")),
                b"two" => drop(reply.send("two\nlines").or_else(|_| reply.send("no line feeds here"))),
                b"bye" => {
                    let _ = reply.send("farewell");
                    reply.close();
                }
                _ => return true,
            }
            false
        }
    }

    fn layer() -> LayerFn<impl Fn() -> EachMessage<Pong>> {
        LayerFn::new(|| EachMessage::new(Pong))
    }

    /// Echoes with its halves in two places.
    struct Halves;

    #[async_trait]
    impl SessionHandler for Halves {
        async fn run(&self, session: Session) -> Result<(), HandlerError> {
            let (mut reader, mut writer) = session.split();
            let sender = writer.sender();
            let echo = async {
                while let Some(message) = reader.recv().await? {
                    sender.send(message).await?;
                }
                Ok::<_, HandlerError>(())
            };
            tokio::select! {
                biased;
                result = echo => result,
                result = writer.drive() => Ok(result?),
            }
        }
    }

    #[tokio::test]
    async fn calls_and_sessions_are_answered_alike() {
        let echo = || handler_fn(|request, reply| Ok(reply.send(request.message())?));
        let probe = testing::Probe::default().with_layer(layer());
        for message in ["ping", "hello", "two", "bye"] {
            let replies = testing::replies(&echo().with_layer(layer()), message).await.unwrap();
            assert_eq!(testing::conversation(&probe, [message]).await.unwrap(), replies, "{message}");
            assert_eq!(
                testing::conversation(&Halves.with_layer(layer()), [message]).await.unwrap(),
                replies,
                "{message}"
            );
        }
        let many = ["a", "ping", "b", "ping", "bye", "never"];
        assert_eq!(testing::conversation(&probe, many).await.unwrap(), ["a", "pong", "b", "pong", "farewell"]);
    }

    #[tokio::test]
    async fn the_outer_layer_sees_a_message_first() {
        struct Deaf;
        impl MessageLayer for Deaf {
            fn admit(&self, _: Request<'_>, _: &mut Reply<'_>) -> bool {
                false
            }
        }
        let deaf = || LayerFn::new(|| EachMessage::new(Deaf));
        let outside = testing::Probe::default().with_layer(layer()).with_layer(deaf());
        assert!(testing::conversation(&outside, ["ping"]).await.unwrap().is_empty());
        let inside = testing::Probe::default().with_layer(deaf()).with_layer(layer());
        assert_eq!(testing::conversation(&inside, ["ping", "x"]).await.unwrap(), ["pong"]);
    }

    /// Nothing else happens that would write them.
    #[tokio::test]
    async fn answers_are_framed_and_leave_by_themselves() {
        let (ours, mut theirs) = duplex(1024);
        let addr = Addr::named("test", "here").unwrap();
        let link = Link::bytes(ours, ConnInfo::new(Peer::new(addr), addr));
        let session = Session::new(link, SessionConfig::framed(Framing::Lines));
        let handler = testing::Probe::default().with_layer(layer());
        let talk = async {
            for (message, answer) in
                [("ping\n", "pong\n"), ("two\n", "no line feeds here\n"), ("x\nping\n", "x\npong\n")]
            {
                theirs.write_all(message.as_bytes()).await.unwrap();
                let mut heard = vec![0; answer.len()];
                theirs.read_exact(&mut heard).await.unwrap();
                assert_eq!(heard, answer.as_bytes());
            }
            drop(theirs);
        };
        let (result, ()) = tokio::join!(handler.run(session), talk);
        result.unwrap();
    }
}
