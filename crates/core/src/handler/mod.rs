//! Handlers: what a server does with a message or a session.
//!
//! A handler uses sessions, replies and names; nothing else in this crate uses handlers.

mod handler_fn;
mod layered;
mod message;
mod message_layer;
mod properties;
mod session;
mod stateful;

use tower_layer::Layer;

pub use handler_fn::{AsyncHandlerFn, HandlerFn, handler_fn, handler_fn_async};
pub use layered::{HandlerLayer, LayerFn, Layered};
pub use message::{Handler, Request};
pub use message_layer::{EachMessage, MessageLayer};
pub use properties::{HandlerProperties, Input};
pub use session::SessionHandler;
pub use stateful::{Stateful, StatefulFn, StatefulHandler, stateful_fn};

/// What can be done with every handler.
pub trait HandlerExt: Sized {
    /// Wraps this handler in `layer`; the last one added runs first.
    fn with_layer<L: Layer<Self>>(self, layer: L) -> L::Service {
        layer.layer(self)
    }
}

impl<H> HandlerExt for H {}
