//! Handlers of one message at a time that keep something for each session.

use std::fmt;
use std::future::{Future, poll_fn, ready};
use std::marker::PhantomData;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use async_trait::async_trait;

use super::session::SessionCalls;
use super::{HandlerProperties, SessionHandler};
use crate::{HandlerError, Peer, Reply, Request, Session};

/// Answers one message at a time, with a state of its own for each session.
///
/// Between a [`Handler`](crate::Handler), which knows nothing of earlier messages, and a [`SessionHandler`], which receives
/// and sends as it likes: calls and replies are those of the first, the cost and the bounds those of the second. A server
/// takes it as it takes the other two; layers go around a [`Stateful`] of it, which is a session handler.
///
/// # Contract
/// 1. The server calls `begin` once for each session, and `handle` once for each message of it, one after the other, in order.
/// 2. Replies leave in the order of the messages; those of earlier messages leave while a call waits. They have the framing
///    and the limit (`max_reply`) of a message handler's.
/// 3. An error or a panic ends the session. The replies of that call are dropped, those of earlier calls are sent.
/// 4. The state is dropped when its session ends: that is where to say good-bye.
///
/// # Where the state lives
/// * On a byte stream or a message stream, in the session: from the first moment of the connection to its end.
/// * On a datagram socket, in the table of peers, with a session for each address that has sent something. The table is
///   bounded (the server's `max_peers`, `max_unvalidated_peers`, `max_per_source`), and a session ends when its peer has been quiet
///   (`idle_timeout`), or is the oldest whose address may be forged and another peer needs its place. Then the state is
///   dropped, and the next message from that address begins a new one. So does the message behind one that failed; what
///   waits meanwhile in the peer's queue is lost. Messages without an address are dropped and counted.
///
/// # Amplification
/// As for every session on a datagram socket, a peer that may be forged is sent three times what it sent, or 64 bytes for each
/// message, in all: what one call leaves, a later one may use. A reply above that is refused
/// ([`ReplyError::Full`](crate::ReplyError::Full)), counted and logged, unless the handler
/// [amplifies](HandlerProperties::amplifies).
///
/// # Cancel safety
/// A call is dropped half-way when its session ends, at a deadline, or when a drain runs out of time.
///
/// # Implementing
/// ```
/// use swapwire_core::{HandlerError, Peer, Reply, Request, Stateful, StatefulHandler, testing};
///
/// /// Adds up the numbers that each peer sends.
/// struct Sum;
///
/// impl StatefulHandler for Sum {
///     type State = i64;
///
///     fn begin(&self, _: &Peer) -> i64 {
///         0
///     }
///
///     async fn handle(
///         &self,
///         sum: &mut i64,
///         request: Request<'_>,
///         reply: &mut Reply<'_>,
///     ) -> Result<(), HandlerError> {
///         *sum += std::str::from_utf8(request.message())?.trim().parse::<i64>()?;
///         Ok(reply.send(sum.to_string())?)
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), HandlerError> {
/// assert_eq!(testing::conversation(&Stateful::new(Sum), ["1", "2", "39"]).await?, ["1", "3", "42"]);
/// # Ok(())
/// # }
/// ```
pub trait StatefulHandler: Send + Sync + 'static {
    /// What is kept for each session.
    type State: Send + 'static;

    /// The state of a session that begins.
    fn begin(&self, peer: &Peer) -> Self::State;

    /// Answers `request` with none, one or many messages.
    fn handle(
        &self,
        state: &mut Self::State,
        request: Request<'_>,
        reply: &mut Reply<'_>,
    ) -> impl Future<Output = Result<(), HandlerError>> + Send;

    /// What it declares of itself; the default is [`HandlerProperties::new`].
    fn properties(&self) -> HandlerProperties {
        HandlerProperties::new()
    }
}

impl<H: StatefulHandler> StatefulHandler for Arc<H> {
    type State = H::State;

    fn begin(&self, peer: &Peer) -> H::State {
        (**self).begin(peer)
    }

    fn handle(
        &self,
        state: &mut H::State,
        request: Request<'_>,
        reply: &mut Reply<'_>,
    ) -> impl Future<Output = Result<(), HandlerError>> + Send {
        (**self).handle(state, request, reply)
    }

    fn properties(&self) -> HandlerProperties {
        (**self).properties()
    }
}

/// A [`StatefulHandler`] as a [`SessionHandler`].
#[derive(Clone, Copy, Debug)]
pub struct Stateful<H>(H);

impl<H> Stateful<H> {
    /// Wraps `handler`.
    pub const fn new(handler: H) -> Self {
        Self(handler)
    }
}

#[async_trait]
impl<H: StatefulHandler> SessionHandler for Stateful<H> {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        let mut state = self.0.begin(session.peer());
        let mut calls = SessionCalls::new(&session);
        while let Some(message) = session.next_message().await? {
            let inner = session.inner();
            let limit = calls.begin(inner);
            let mut lent = calls.replies.call(limit, true);
            let called = {
                let request = Request::new(&message, Some(&inner.info.peer), &inner.info.local);
                let mut call = pin!(self.0.handle(&mut state, request, lent.reply()));
                poll_fn(|cx| match call.as_mut().poll(cx) {
                    Poll::Ready(result) => Poll::Ready(result),
                    Poll::Pending => inner.poll_write_meanwhile(cx).map(|error| Err(error.into())),
                })
                .await
            };
            let result = lent.end(called);
            if calls.end(inner, limit, result)? {
                break;
            }
            session.ready_for_more().await?;
        }
        Ok(())
    }

    fn properties(&self) -> HandlerProperties {
        self.0.properties()
    }
}

/// A [`StatefulHandler`] from two closures, that answers at once: the first makes the state of a session, the second answers
/// its messages.
///
/// ```
/// use swapwire_core::{stateful_fn, testing};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), swapwire_core::HandlerError> {
/// let numbered = stateful_fn(
///     |_peer| 0_u64,
///     |count, request, reply| {
///         *count += 1;
///         reply.send([count.to_string().as_bytes(), b" ", request.message()].concat())?;
///         Ok(())
///     },
/// );
/// assert_eq!(testing::conversation(&numbered, ["a", "b"]).await?, ["1 a", "2 b"]);
/// # Ok(())
/// # }
/// ```
pub fn stateful_fn<S, B, F>(begin: B, handle: F) -> Stateful<StatefulFn<S, B, F>>
where
    S: Send + 'static,
    B: Fn(&Peer) -> S + Send + Sync + 'static,
    F: Fn(&mut S, Request<'_>, &mut Reply<'_>) -> Result<(), HandlerError> + Send + Sync + 'static,
{
    Stateful(StatefulFn { begin, handle, properties: HandlerProperties::new(), state: PhantomData })
}

/// The handler inside what [`stateful_fn`] makes.
pub struct StatefulFn<S, B, F> {
    begin: B,
    handle: F,
    properties: HandlerProperties,
    state: PhantomData<fn() -> S>,
}

impl<S, B, F> Stateful<StatefulFn<S, B, F>> {
    /// Declares that any slicing of a byte stream gives the same result.
    #[must_use]
    pub fn any_slicing(mut self) -> Self {
        self.0.properties = self.0.properties.any_slicing();
        self
    }
}

impl<S, B, F> StatefulHandler for StatefulFn<S, B, F>
where
    S: Send + 'static,
    B: Fn(&Peer) -> S + Send + Sync + 'static,
    F: Fn(&mut S, Request<'_>, &mut Reply<'_>) -> Result<(), HandlerError> + Send + Sync + 'static,
{
    type State = S;

    fn begin(&self, peer: &Peer) -> S {
        (self.begin)(peer)
    }

    fn handle(
        &self,
        state: &mut S,
        request: Request<'_>,
        reply: &mut Reply<'_>,
    ) -> impl Future<Output = Result<(), HandlerError>> + Send {
        ready((self.handle)(state, request, reply))
    }

    fn properties(&self) -> HandlerProperties {
        self.properties
    }
}

impl<S, B, F> fmt::Debug for StatefulFn<S, B, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StatefulFn")
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::pin::Pin;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::task::Context;

    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    use super::*;
    use crate::{Addr, ConnInfo, Framing, Link, SessionConfig};

    /// Gives its bytes in one read and then ends, and counts what is written.
    struct Burst {
        bytes: Vec<u8>,
        writes: Arc<AtomicUsize>,
    }

    impl AsyncRead for Burst {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            into.put_slice(&std::mem::take(&mut self.bytes));
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Burst {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.writes.fetch_add(1, Relaxed);
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn the_replies_to_what_was_read_at_once_are_written_at_once() {
        let (writes, addr) = (Arc::<AtomicUsize>::default(), Addr::named("test", "here").unwrap());
        let burst = Burst { bytes: b"x\n".repeat(1000), writes: Arc::clone(&writes) };
        let link = Link::bytes(burst, ConnInfo::new(Peer::new(addr), addr));
        let counts = stateful_fn(
            |_| 0,
            |count: &mut usize, _, reply| {
                *count += 1;
                Ok(reply.send(count.to_string())?)
            },
        );
        let session = Session::new(link, SessionConfig::framed(Framing::Lines));
        let guard = session.guard();
        counts.run(session).await.unwrap();
        assert_eq!((guard.progress().messages, writes.load(Relaxed)), (1000, 1));
    }
}
