//! A limit on how many calls or sessions begin in a time.

use std::sync::Arc;
use std::time::Duration;

use swapwire_core::{Handler, HandlerError, HandlerLayer, Layer, Layered, Reply, Request, Session, SessionHandler};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::bucket::Bucket;

/// Makes a [`Rate`] of every handler, each with a bucket of its own.
#[derive(Clone, Copy, Debug)]
pub struct RateLayer {
    messages: u32,
    period: Duration,
    burst: u32,
    refuses: bool,
}

impl RateLayer {
    /// At most `messages` in each `period`; others wait. `messages` of 0 counts as 1.
    pub const fn wait(messages: u32, period: Duration) -> Self {
        Self { messages, period, burst: messages, refuses: false }
    }

    /// At most `messages` in each `period`; others are refused with [`RateExceeded`]. `messages` of 0 counts as 1.
    pub const fn refuse(messages: u32, period: Duration) -> Self {
        Self { messages, period, burst: messages, refuses: true }
    }

    /// How many may begin at once after a pause: the bucket's size. Default: the messages of one period; 0 counts as 1.
    #[must_use]
    pub const fn burst(mut self, messages: u32) -> Self {
        self.burst = messages;
        self
    }
}

impl<H> Layer<H> for RateLayer {
    type Service = Rate<H>;

    fn layer(&self, inner: H) -> Rate<H> {
        let bucket = Arc::new(Mutex::new(Bucket::new(self.messages, self.period, self.burst)));
        Layered::new(SharedBucket { bucket, settings: *self }, inner)
    }
}

/// Lets calls (for a [`Handler`]) or sessions (for a [`SessionHandler`]) begin at a bounded rate: a token bucket, full
/// at first.
///
/// A call or a session takes one token when it begins. Without one, it waits, first come, first served, or is refused, as
/// [`RateLayer`] sets. The server bounds how many may wait. A handler that is both kinds has one bucket for both together,
/// and clones share it; all peers share it too. A period of zero allows everything. A session that waits is not read from
/// and ends without error when the server drains.
///
/// Time is Tokio's clock, which never goes back. Its timers are exact to a millisecond: to wait at more than 1,000
/// messages a second, allow a burst of what comes in some milliseconds.
///
/// # Errors
/// [`RateExceeded`] where it refuses, else those of the inner handler.
///
/// # Cancel safety
/// A call that is dropped while it waits has taken no token.
///
/// # Example
/// ```
/// use std::time::Duration;
/// use swapwire_core::{Addr, Handler, HandlerExt, Reply, Request, handler_fn};
/// use swapwire_layers::{RateExceeded, RateLayer};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), swapwire_core::HandlerError> {
/// # let local = Addr::named("test", "here").unwrap();
/// let handler = handler_fn(|request, reply| Ok(reply.send(request.message())?))
///     .with_layer(RateLayer::refuse(10, Duration::from_secs(1)).burst(2));
///
/// let request = Request::new(b"hello", None, &local);
/// handler.handle(request, &mut Reply::new(1024)).await?;
/// handler.handle(request, &mut Reply::new(1024)).await?;
/// let error = handler.handle(request, &mut Reply::new(1024)).await.unwrap_err();
/// assert!(error.downcast_ref::<RateExceeded>().is_some());
/// # Ok(())
/// # }
/// ```
pub type Rate<H> = Layered<SharedBucket, H>;

/// The tokens that [`Rate`] lets calls and sessions take.
#[derive(Clone, Debug)]
pub struct SharedBucket {
    /// The call that waits for a token holds the lock, so that the others queue behind it, in order.
    bucket: Arc<Mutex<Bucket>>,
    settings: RateLayer,
}

swapwire_core::debug_as_text!(RateExceeded);

/// More messages (or sessions) came than the rate allows.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("handle: more than {messages} per {period:?}")]
#[non_exhaustive]
pub struct RateExceeded {
    /// The messages allowed in each period.
    pub messages: u32,
    /// The period.
    pub period: Duration,
}

impl SharedBucket {
    async fn take(&self) -> Result<(), RateExceeded> {
        let mut bucket = self.bucket.lock().await;
        let now = Instant::now();
        let wait = bucket.wait(now);
        if !wait.is_zero() {
            if self.settings.refuses {
                return Err(RateExceeded { messages: self.settings.messages.max(1), period: self.settings.period });
            }
            tokio::time::sleep(wait).await;
        }
        // A timer that fires late costs no rate: the token is taken as of the moment it was there.
        bucket.take(now + wait);
        Ok(())
    }
}

impl HandlerLayer for SharedBucket {
    async fn handle<H: Handler>(
        &self,
        inner: &H,
        request: Request<'_>,
        reply: &mut Reply<'_>,
    ) -> Result<(), HandlerError> {
        self.take().await?;
        inner.handle(request, reply).await
    }

    async fn run<H: SessionHandler>(&self, inner: &H, session: Session) -> Result<(), HandlerError> {
        tokio::select! {
            biased;
            taken = self.take() => taken?,
            () = session.draining() => return Ok(()),
        }
        inner.run(session).await
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use futures::future::join_all;
    use swapwire_core::HandlerExt as _;

    use super::*;
    use crate::testing::{Both, call, draining_session, session};

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn calls_wait_for_their_turn_in_order() {
        let handler = Both::default().with_layer(RateLayer::wait(10, SECOND).burst(3));
        let begun = Instant::now();
        let ended = join_all((0..8).map(|_| async {
            call(&handler, b"x").await.unwrap();
            begun.elapsed().as_millis()
        }));
        assert_eq!(ended.await, [0, 0, 0, 100, 200, 300, 400, 500]);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_are_refused_until_there_is_a_token() {
        let handler = Both::default().with_layer(RateLayer::refuse(2, SECOND));
        for _ in 0..3 {
            call(&handler, b"x").await.unwrap();
            call(&handler, b"x").await.unwrap();
            let error = call(&handler, b"x").await.unwrap_err();
            assert_eq!(error.downcast_ref(), Some(&RateExceeded { messages: 2, period: SECOND }));
            assert_eq!(error.to_string(), "handle: more than 2 per 1s");
            tokio::time::advance(SECOND / 2).await;
            call(&handler, b"x").await.unwrap();
            call(&handler, b"x").await.unwrap_err();
            tokio::time::advance(SECOND * 60).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_the_rate_and_one_burst_pass() {
        let handler = Both::default().with_layer(RateLayer::refuse(7, SECOND).burst(3));
        let mut passed = 0;
        for _ in 0..10_000 {
            passed += u32::from(call(&handler, b"x").await.is_ok());
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert_eq!(passed, 7 * 10 + 3 - 1);
    }

    #[tokio::test(start_paused = true)]
    async fn late_timers_cost_no_rate() {
        let handler = Both::default().with_layer(RateLayer::wait(3000, SECOND).burst(30));
        let begun = Instant::now();
        for _ in 0..6030 {
            call(&handler, b"x").await.unwrap();
        }
        assert!(begun.elapsed() >= SECOND * 2 - Duration::from_millis(1), "{:?}", begun.elapsed());
        assert!(begun.elapsed() <= SECOND * 2 + Duration::from_millis(2), "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_dropped_while_it_waits_took_no_token() {
        let handler = Both::default().with_layer(RateLayer::wait(1, SECOND));
        call(&handler, b"x").await.unwrap();
        for _ in 0..100 {
            assert!(call(&handler, b"x").now_or_never().is_none());
        }
        let begun = Instant::now();
        call(&handler, b"x").await.unwrap();
        assert_eq!(begun.elapsed(), SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn sessions_take_a_token_when_they_begin() {
        let waits = Both::default().with_layer(RateLayer::wait(1, SECOND));
        let (begun, mut peers) = (Instant::now(), Vec::new());
        for _ in 0..2 {
            let (session, mut peer) = session();
            let handler = waits.clone();
            tokio::spawn(async move { handler.run(session).await });
            peer.send("x").await.unwrap();
            assert_eq!(peer.recv().await.unwrap().unwrap(), "x");
            peers.push(peer);
        }
        assert_eq!(begun.elapsed(), SECOND);

        let refuses = Both::default().with_layer(RateLayer::refuse(1, SECOND));
        call(&refuses, b"x").await.unwrap();
        let (session, mut peer) = session();
        let error = refuses.run(session).await.unwrap_err();
        assert!(error.downcast_ref::<RateExceeded>().is_some());
        assert_eq!(peer.recv().await.unwrap(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_session_ends_when_the_server_drains() {
        let handler = Both::default().with_layer(RateLayer::wait(1, SECOND));
        call(&handler, b"x").await.unwrap();
        let (session, _peer, drain) = draining_session();
        let mut run = handler.run(session);
        assert!((&mut run).now_or_never().is_none());
        drain.begin();
        assert!(run.now_or_never().unwrap().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn extreme_settings_do_not_overflow() {
        for messages in [0, 1, u32::MAX] {
            for burst in [0, 1, u32::MAX] {
                let layer = RateLayer::refuse(messages, Duration::MAX).burst(burst);
                let handler = Both::default().with_layer(layer);
                call(&handler, b"x").await.unwrap();
                assert_eq!(call(&handler, b"x").await.is_err(), burst <= 1 || messages <= 1, "{messages} {burst}");
            }
        }
        let handler = Both::default().with_layer(RateLayer::refuse(1, Duration::ZERO));
        for _ in 0..100 {
            call(&handler, b"x").await.unwrap();
        }
    }
}
