//! A limit on how long a call or a session takes.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use swapwire_core::{Handler, HandlerError, HandlerLayer, Layer, Layered, Reply, Request, Session, SessionHandler};

/// Makes a [`Timeout`] of every handler.
#[derive(Clone, Copy, Debug)]
pub struct TimeoutLayer {
    limit: Duration,
}

impl TimeoutLayer {
    /// A limit for each call, and for each session as a whole.
    pub const fn new(limit: Duration) -> Self {
        Self { limit }
    }
}

impl<H> Layer<H> for TimeoutLayer {
    type Service = Timeout<H>;

    fn layer(&self, inner: H) -> Timeout<H> {
        Layered::new(*self, inner)
    }
}

/// Drops a call or a session that takes longer than the limit.
///
/// For a [`Handler`] the limit is for each call, for a [`SessionHandler`] for the whole session. The inner future is
/// dropped, so that its cancel safety matters; a handler that blocks its thread cannot be stopped. A call that is ready
/// at once reads no clock. Tokio's timers are exact to a millisecond.
///
/// # Errors
/// [`TimedOut`] at the limit, else those of the inner handler.
///
/// # Example
/// ```
/// use std::time::Duration;
/// use swapwire_core::{Addr, Handler, HandlerExt, Reply, Request, handler_fn_async};
/// use swapwire_layers::{TimedOut, TimeoutLayer};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// # let local = Addr::named("test", "here").unwrap();
/// let handler = handler_fn_async(|message| async {
///     tokio::time::sleep(Duration::from_secs(60)).await;
///     Ok(message)
/// });
/// let handler = handler.with_layer(TimeoutLayer::new(Duration::from_secs(5)));
///
/// let mut reply = Reply::new(1024);
/// let error = handler.handle(Request::new(b"hello", None, &local), &mut reply).await.unwrap_err();
/// assert_eq!(error.to_string(), "handle: not done within 5s");
/// assert!(error.downcast_ref::<TimedOut>().is_some());
/// # }
/// ```
pub type Timeout<H> = Layered<TimeoutLayer, H>;

swapwire_core::debug_as_text!(TimedOut);

/// A call or a session took longer than its limit.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("handle: not done within {limit:?}")]
#[non_exhaustive]
pub struct TimedOut {
    /// The limit.
    pub limit: Duration,
}

impl HandlerLayer for TimeoutLayer {
    async fn handle<H: Handler>(
        &self,
        inner: &H,
        request: Request<'_>,
        reply: &mut Reply<'_>,
    ) -> Result<(), HandlerError> {
        let mut call = pin!(inner.handle(request, reply));
        // Most calls are ready at once and need no timer.
        if let Poll::Ready(result) = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await {
            return result;
        }
        tokio::time::timeout(self.limit, call).await.map_err(|_| TimedOut { limit: self.limit })?
    }

    async fn run<H: SessionHandler>(&self, inner: &H, session: Session) -> Result<(), HandlerError> {
        tokio::time::timeout(self.limit, inner.run(session)).await.map_err(|_| TimedOut { limit: self.limit })?
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    use swapwire_core::HandlerExt as _;
    use tokio::time::Instant;

    use super::*;
    use crate::testing::{Both, call, session};

    const LIMIT: Duration = Duration::from_secs(5);

    struct Dropped(Arc<AtomicBool>);

    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.store(true, Relaxed);
        }
    }

    struct Never(Arc<AtomicBool>);

    impl Handler for Never {
        async fn handle(&self, _: Request<'_>, _: &mut Reply<'_>) -> Result<(), HandlerError> {
            let _dropped = Dropped(Arc::clone(&self.0));
            std::future::pending().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_ends_at_the_limit_and_is_dropped() {
        let dropped = Arc::new(AtomicBool::new(false));
        let handler = Never(Arc::clone(&dropped)).with_layer(TimeoutLayer::new(LIMIT));
        let begun = Instant::now();
        let error = call(&handler, b"x").await.unwrap_err();
        assert_eq!(begun.elapsed(), LIMIT);
        assert_eq!(error.downcast_ref(), Some(&TimedOut { limit: LIMIT }));
        assert_eq!(error.to_string(), "handle: not done within 5s");
        assert!(dropped.load(Relaxed));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_within_the_limit_is_as_without() {
        for delay in [Duration::ZERO, LIMIT - Duration::from_millis(1)] {
            let handler = Both::after(delay).with_layer(TimeoutLayer::new(LIMIT));
            assert_eq!(call(&handler, b"x").await.unwrap(), [b"x"]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_ends_at_the_limit_as_a_whole() {
        let handler = Both::default().with_layer(TimeoutLayer::new(LIMIT));
        let (session, mut peer) = session();
        let begun = Instant::now();
        let run = tokio::spawn(async move { handler.run(session).await });
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            peer.send("x").await.unwrap();
            assert_eq!(peer.recv().await.unwrap().unwrap(), "x");
        }
        let error = run.await.unwrap().unwrap_err();
        assert_eq!(begun.elapsed(), LIMIT);
        assert_eq!(error.downcast_ref(), Some(&TimedOut { limit: LIMIT }));
        assert_eq!(peer.recv().await.unwrap(), None);
    }
}
