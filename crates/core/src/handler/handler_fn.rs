//! Closures as handlers.

use std::fmt;
use std::future::{Future, ready};

use bytes::Bytes;

use super::HandlerProperties;
use crate::{Handler, HandlerError, Reply, Request};

/// A handler from a closure that answers at once and borrows the message.
///
/// ```
/// use swapwire_core::handler_fn;
/// let reverse = handler_fn(|request, reply| {
///     let mut message = request.message().to_vec();
///     message.reverse();
///     reply.send(message)?;
///     Ok(())
/// });
/// # let _ = reverse;
/// ```
pub fn handler_fn<F>(f: F) -> HandlerFn<F>
where
    F: Fn(Request<'_>, &mut Reply<'_>) -> Result<(), HandlerError> + Send + Sync + 'static,
{
    HandlerFn { f, properties: HandlerProperties::new().with_ready_at_once(true) }
}

/// The handler that [`handler_fn`] makes.
#[derive(Clone, Copy)]
pub struct HandlerFn<F> {
    f: F,
    properties: HandlerProperties,
}

impl<F> HandlerFn<F> {
    /// Declares that any slicing of a byte stream gives the same result.
    #[must_use]
    pub fn any_slicing(mut self) -> Self {
        self.properties = self.properties.any_slicing();
        self
    }
}

impl<F> Handler for HandlerFn<F>
where
    F: Fn(Request<'_>, &mut Reply<'_>) -> Result<(), HandlerError> + Send + Sync + 'static,
{
    #[inline]
    fn handle(
        &self,
        request: Request<'_>,
        reply: &mut Reply<'_>,
    ) -> impl Future<Output = Result<(), HandlerError>> + Send {
        ready((self.f)(request, reply))
    }

    fn properties(&self) -> HandlerProperties {
        self.properties
    }
}

impl<F> fmt::Debug for HandlerFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HandlerFn")
    }
}

/// A handler from a closure that owns the message, may wait, and gives one reply. Costs a copy of each message: an async
/// closure that borrows cannot promise to be `Send` in today's Rust.
///
/// ```
/// use swapwire_core::handler_fn_async;
/// let slow_echo = handler_fn_async(|message| async move {
///     // wait for something here
///     Ok(message)
/// });
/// # let _ = slow_echo;
/// ```
pub fn handler_fn_async<F, Fut, R>(f: F) -> AsyncHandlerFn<F>
where
    F: Fn(Bytes) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, HandlerError>> + Send,
    R: AsRef<[u8]> + Send,
{
    AsyncHandlerFn { f }
}

/// The handler that [`handler_fn_async`] makes.
#[derive(Clone, Copy)]
pub struct AsyncHandlerFn<F> {
    f: F,
}

impl<F, Fut, R> Handler for AsyncHandlerFn<F>
where
    F: Fn(Bytes) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, HandlerError>> + Send,
    R: AsRef<[u8]> + Send,
{
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        let answer = (self.f)(Bytes::copy_from_slice(request.message())).await?;
        reply.send(answer.as_ref())?;
        Ok(())
    }
}

impl<F> fmt::Debug for AsyncHandlerFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AsyncHandlerFn")
    }
}
