//! A limit on how many calls or sessions run at once.

use std::sync::Arc;

use swapwire_core::{Handler, HandlerError, HandlerLayer, Layer, Layered, Reply, Request, Session, SessionHandler};
use tokio::sync::Semaphore;

/// Makes a [`Concurrency`] of every handler, each with a limit of its own.
#[derive(Clone, Copy, Debug)]
pub struct ConcurrencyLayer {
    limit: usize,
}

impl ConcurrencyLayer {
    /// At most `limit` calls or sessions at once; 0 counts as 1.
    pub const fn new(limit: usize) -> Self {
        Self { limit }
    }
}

impl<H> Layer<H> for ConcurrencyLayer {
    type Service = Concurrency<H>;

    fn layer(&self, inner: H) -> Concurrency<H> {
        let limit = self.limit.clamp(1, Semaphore::MAX_PERMITS);
        Layered::new(Places(Arc::new(Semaphore::new(limit))), inner)
    }
}

/// Runs at most a number of calls (for a [`Handler`]) or sessions (for a [`SessionHandler`]) at once.
///
/// Others wait in the order in which they came; how many may wait is for the server to bound. A handler that is both
/// kinds has one limit for both together. Clones share the limit. A session that waits is not read from and ends
/// without error when the server drains.
///
/// # Errors
/// Those of the inner handler.
///
/// # Cancel safety
/// A call that is dropped gives its place to the next.
///
/// # Example
/// ```
/// use std::time::Duration;
/// use swapwire_core::{Addr, Handler, HandlerExt, Reply, Request, handler_fn_async};
/// use swapwire_layers::ConcurrencyLayer;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), swapwire_core::HandlerError> {
/// # let local = Addr::named("test", "here").unwrap();
/// let handler = handler_fn_async(|message| async {
///     tokio::time::sleep(Duration::from_secs(1)).await;
///     Ok(message)
/// });
/// let handler = handler.with_layer(ConcurrencyLayer::new(1));
///
/// let begun = tokio::time::Instant::now();
/// let (mut first, mut second) = (Reply::new(1024), Reply::new(1024));
/// tokio::try_join!(
///     handler.handle(Request::new(b"1", None, &local), &mut first),
///     handler.handle(Request::new(b"2", None, &local), &mut second),
/// )?;
/// assert!(begun.elapsed() >= Duration::from_secs(2));
/// # Ok(())
/// # }
/// ```
pub type Concurrency<H> = Layered<Places, H>;

/// The calls and sessions that [`Concurrency`] lets run at once.
#[derive(Clone, Debug)]
pub struct Places(Arc<Semaphore>);

impl HandlerLayer for Places {
    async fn handle<H: Handler>(
        &self,
        inner: &H,
        request: Request<'_>,
        reply: &mut Reply<'_>,
    ) -> Result<(), HandlerError> {
        let _place = self.0.acquire().await?;
        inner.handle(request, reply).await
    }

    async fn run<H: SessionHandler>(&self, inner: &H, session: Session) -> Result<(), HandlerError> {
        let _place = tokio::select! {
            biased;
            place = self.0.acquire() => place?,
            () = session.draining() => return Ok(()),
        };
        inner.run(session).await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt as _;
    use futures::future::{join, join_all};
    use swapwire_core::HandlerExt as _;
    use tokio::time::Instant;

    use super::*;
    use crate::testing::{Both, call, draining_session, session};

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn calls_above_the_limit_wait_in_order() {
        let handler = Both::after(SECOND).with_layer(ConcurrencyLayer::new(2));
        let begun = Instant::now();
        let ended = join_all((0..5).map(|_| async {
            call(&handler, b"x").await.unwrap();
            begun.elapsed().as_secs()
        }));
        assert_eq!(ended.await, [1, 1, 2, 2, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_call_gives_its_place_to_the_next() {
        let handler = Both::after(SECOND).with_layer(ConcurrencyLayer::new(1));
        {
            let running = call(&handler, b"x");
            let waiting = call(&handler, b"x");
            assert!(join(running, waiting).now_or_never().is_none());
        }
        let begun = Instant::now();
        call(&handler, b"x").await.unwrap();
        assert_eq!(begun.elapsed(), SECOND);
    }

    #[tokio::test]
    async fn a_limit_out_of_range_is_brought_into_it() {
        for limit in [0, usize::MAX] {
            let handler = Both::default().with_layer(ConcurrencyLayer::new(limit));
            assert_eq!(call(&handler, b"x").await.unwrap(), [b"x"]);
        }
    }

    #[tokio::test]
    async fn sessions_and_calls_share_the_limit_and_clones_too() {
        let handler = Both::default().with_layer(ConcurrencyLayer::new(1));
        let (first, mut peer) = session();
        let run = tokio::spawn({
            let handler = handler.clone();
            async move { handler.run(first).await }
        });
        peer.send("x").await.unwrap();
        assert_eq!(peer.recv().await.unwrap().unwrap(), "x");
        let (second, _peer) = session();
        assert!(handler.run(second).now_or_never().is_none());
        assert!(call(&handler, b"x").now_or_never().is_none());
        drop(peer);
        run.await.unwrap().unwrap();
        call(&handler, b"x").await.unwrap();
    }

    #[tokio::test]
    async fn a_waiting_session_ends_when_the_server_drains() {
        let handler = Both::default().with_layer(ConcurrencyLayer::new(1));
        let (first, _client) = session();
        let mut busy = handler.run(first);
        assert!((&mut busy).now_or_never().is_none());
        let (session, _peer, drain) = draining_session();
        let mut run = handler.run(session);
        assert!((&mut run).now_or_never().is_none());
        drain.begin();
        run.await.unwrap();
    }
}
