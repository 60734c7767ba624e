//! Handlers: what a server does with a message or a session.
//!
//! A handler knows the session, the reply and the names it is given; nothing in this crate knows handlers.

mod handler_fn;
mod message;
mod session;

use tower_layer::Layer;

pub use handler_fn::{AsyncHandlerFn, HandlerFn, handler_fn, handler_fn_async};
pub use message::{Handler, Input, Request};
pub use session::SessionHandler;

/// What can be done with every handler.
pub trait HandlerExt: Sized {
    /// Wraps this handler in `layer`; the last one added runs first.
    fn with_layer<L: Layer<Self>>(self, layer: L) -> L::Service {
        layer.layer(self)
    }
}

impl<H> HandlerExt for H {}
