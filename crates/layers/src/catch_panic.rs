//! Panics as errors.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;
use swapwire_core::{
    Handler, HandlerError, HandlerLayer, HandlerProperties, Layer, Layered, Printable, Reply, Request, Session,
    SessionHandler,
};

/// Makes a [`CatchPanic`] of every handler.
#[derive(Clone, Copy, Debug, Default)]
pub struct CatchPanicLayer;

impl<H> Layer<H> for CatchPanicLayer {
    type Service = CatchPanic<H>;

    fn layer(&self, inner: H) -> CatchPanic<H> {
        Layered::new(*self, inner)
    }
}

/// Turns a panic of a call (of a [`Handler`]) or of a session (of a [`SessionHandler`]) into the error [`Panicked`].
///
/// The replies of a call that panicked are dropped. The handler is used again: the state that its calls share must stay
/// valid after a panic in the middle of a call (a `Mutex` is then poisoned). The panic hook still runs and prints. The
/// layer has no effect in a program that is built with `panic = "abort"`.
///
/// # Errors
/// [`Panicked`], else those of the inner handler.
///
/// # Example
/// ```
/// use swapwire_core::{Addr, Handler, HandlerExt, Reply, Request, handler_fn};
/// use swapwire_layers::{CatchPanicLayer, Panicked};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let local = Addr::named("test", "here").unwrap();
/// let handler = handler_fn(|_, _| panic!("a bug")).with_layer(CatchPanicLayer);
///
/// let mut reply = Reply::new(1024);
/// let error = handler.handle(Request::new(b"hello", None, &local), &mut reply).await.unwrap_err();
/// assert_eq!(error.to_string(), "handle: the handler panicked: a bug");
/// assert!(error.downcast_ref::<Panicked>().is_some());
/// # }
/// ```
pub type CatchPanic<H> = Layered<CatchPanicLayer, H>;

swapwire_core::debug_as_text!(Panicked);

/// The handler panicked.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("handle: the handler panicked: {}", Printable::new(.message))]
#[non_exhaustive]
pub struct Panicked {
    /// What the panic said, if it was text. It may have several lines; the error shows them escaped.
    pub message: String,
}

impl Panicked {
    fn new(payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        Self { message: text.unwrap_or("without a message").to_owned() }
    }
}

impl HandlerLayer for CatchPanicLayer {
    fn properties(&self, inner: HandlerProperties) -> HandlerProperties {
        inner
    }

    async fn handle<H: Handler>(
        &self,
        inner: &H,
        request: Request<'_>,
        reply: &mut Reply<'_>,
    ) -> Result<(), HandlerError> {
        let call = async { inner.handle(request, reply).await };
        match AssertUnwindSafe(call).catch_unwind().await {
            Ok(result) => result,
            Err(payload) => {
                reply.clear();
                Err(Panicked::new(&*payload).into())
            }
        }
    }

    async fn run<H: SessionHandler>(&self, inner: &H, session: Session) -> Result<(), HandlerError> {
        let whole = async { inner.run(session).await };
        AssertUnwindSafe(whole).catch_unwind().await.map_err(|payload| Panicked::new(&*payload))?
    }
}

#[cfg(test)]
mod tests {
    use swapwire_core::{HandlerExt as _, handler_fn};

    use async_trait::async_trait;

    use super::*;
    use crate::testing::{Both, call, request, session};

    struct Panics;

    #[async_trait]
    impl SessionHandler for Panics {
        async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
            session.recv().await?;
            panic!("session");
        }
    }

    /// Panics before it has a future at all.
    struct PanicsEarly;

    impl Handler for PanicsEarly {
        fn handle(&self, _: Request<'_>, _: &mut Reply<'_>) -> impl Future<Output = Result<(), HandlerError>> + Send {
            if true {
                std::panic::panic_any(1);
            }
            async { Ok(()) }
        }
    }

    #[tokio::test]
    async fn a_panic_of_a_call_is_an_error_and_the_handler_goes_on() {
        let handler = handler_fn(|request, reply| {
            reply.send(request.message())?;
            if request.message() == b"bad" {
                let _ = reply.write(|out| {
                    out.put(b"half");
                    panic!("two\nlines {}", 2);
                });
            }
            Ok(())
        });
        let handler = handler.with_layer(CatchPanicLayer);
        let mut reply = Reply::new(10);
        let error = handler.handle(request(b"bad"), &mut reply).await.unwrap_err();
        assert_eq!(error.to_string(), r"handle: the handler panicked: two\nlines 2");
        assert!(reply.is_empty());
        reply.send(b"0123456789").unwrap();
        assert_eq!(reply.messages().collect::<Vec<_>>(), [b"0123456789"]);
        assert_eq!(call(&handler, b"good").await.unwrap(), [b"good"]);
    }

    #[tokio::test]
    async fn a_panic_before_the_future_is_caught_too() {
        let error = call(&PanicsEarly.with_layer(CatchPanicLayer), b"x").await.unwrap_err();
        assert_eq!(error.to_string(), "handle: the handler panicked: without a message");
    }

    #[tokio::test]
    async fn a_panic_of_a_session_is_its_error() {
        let (session, mut peer) = session();
        peer.send("x").await.unwrap();
        peer.flush().await.unwrap();
        let error = Panics.with_layer(CatchPanicLayer).run(session).await.unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Panicked { message: "session".to_owned() }));
        assert_eq!(peer.recv().await.unwrap(), None);
    }

    #[tokio::test]
    async fn without_a_panic_nothing_changes() {
        let handler = Both::default().with_layer(CatchPanicLayer);
        assert_eq!(call(&handler, b"x").await.unwrap(), [b"x"]);
        let (session, peer) = session();
        drop(peer);
        handler.run(session).await.unwrap();
    }
}
