//! Spans around calls and sessions.

use swapwire_core::{
    Handler, HandlerError, HandlerLayer, HandlerProperties, Layer, Layered, Reply, Request, Session, SessionHandler,
    SessionSender,
};
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

/// Makes a [`Trace`] of every handler.
#[derive(Clone, Copy, Debug, Default)]
pub struct TraceLayer;

impl<H> Layer<H> for TraceLayer {
    type Service = Trace<H>;

    fn layer(&self, inner: H) -> Trace<H> {
        Layered::new(*self, inner)
    }
}

/// Runs each call and each session in a span of the `tracing` crate.
///
/// A call of a [`Handler`] is a span `call` at level debug, with the fields `peer` (an address), `bytes_in` (of the
/// request), `bytes_out` (of the replies, framing included), `messages` (how many replies) and `outcome` (`ok` or
/// `error`; none if the call was dropped). A session of a [`SessionHandler`] is a span `session` at level info with the
/// same fields, recorded at its end: `bytes_in` and `bytes_out` as on the wire (what is still queued included),
/// `messages` received. What a peer sent is never recorded, and so neither is the text of an error, which may quote it.
///
/// Where no subscriber takes a span, it costs a check of its level. Layers inside run in the span, those outside do not.
///
/// # Errors
/// Those of the inner handler.
///
/// # Example
/// ```
/// use swapwire_core::{Addr, Handler, HandlerExt, Reply, Request, handler_fn};
/// use swapwire_layers::TraceLayer;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), swapwire_core::HandlerError> {
/// # let local = Addr::named("test", "here").unwrap();
/// let handler = handler_fn(|request, reply| {
///     tracing::debug!("answering"); // in the span
///     Ok(reply.send(request.message())?)
/// });
/// let handler = handler.with_layer(TraceLayer);
/// handler.handle(Request::new(b"hello", None, &local), &mut Reply::new(1024)).await?;
/// # Ok(())
/// # }
/// ```
pub type Trace<H> = Layered<TraceLayer, H>;

impl HandlerLayer for TraceLayer {
    fn properties(&self, inner: HandlerProperties) -> HandlerProperties {
        inner
    }

    async fn handle<H: Handler>(
        &self,
        inner: &H,
        request: Request<'_>,
        reply: &mut Reply<'_>,
    ) -> Result<(), HandlerError> {
        let span = tracing::debug_span!(
            "call",
            peer = request.peer().map(tracing::field::display),
            bytes_in = request.message().len(),
            bytes_out = Empty,
            messages = Empty,
            outcome = Empty,
        );
        if span.is_disabled() {
            return inner.handle(request, reply).await;
        }
        let (messages, bytes) = (reply.len(), bytes(reply));
        let result = inner.handle(request, reply).instrument(span.clone()).await;
        span.record("messages", reply.len().saturating_sub(messages));
        span.record("bytes_out", self::bytes(reply).saturating_sub(bytes));
        record_outcome(&span, &result);
        result
    }

    async fn run<H: SessionHandler>(&self, inner: &H, session: Session) -> Result<(), HandlerError> {
        let span = tracing::info_span!(
            "session",
            peer = %session.peer(),
            bytes_in = Empty,
            bytes_out = Empty,
            messages = Empty,
            outcome = Empty,
        );
        if span.is_disabled() {
            return inner.run(session).await;
        }
        let _sizes = RecordSizes { span: span.clone(), session: session.sender() };
        let result = inner.run(session).instrument(span.clone()).await;
        record_outcome(&span, &result);
        result
    }
}

/// The bytes of all replies so far.
fn bytes(reply: &Reply<'_>) -> usize {
    reply.messages().map(<[u8]>::len).sum()
}

/// Records what a session moved, also when it is dropped.
struct RecordSizes {
    span: Span,
    session: SessionSender,
}

impl Drop for RecordSizes {
    fn drop(&mut self) {
        let progress = self.session.progress();
        self.span.record("bytes_in", progress.received);
        self.span.record("bytes_out", progress.sent + progress.unsent as u64);
        self.span.record("messages", progress.messages);
    }
}

fn record_outcome(span: &Span, result: &Result<(), HandlerError>) {
    span.record("outcome", if result.is_ok() { "ok" } else { "error" });
}

#[cfg(test)]
mod tests;
