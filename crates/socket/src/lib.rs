//! What swapwire's socket transports share. For transports of sockets that tokio has registered; servers and clients never
//! see it.
//!
//! * [`Stream`]: a connected stream socket that asks the system before it asks the reactor.

mod pause;
mod stream;

pub use stream::{Registered, Stream};
