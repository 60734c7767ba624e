//! What swapwire's socket transports share. For transports of sockets that tokio has registered; servers and clients never
//! see it.
//!
//! * [`Stream`]: a connected stream socket that asks the system before it asks the reactor.
//! * [`resolve`], [`bind_first`], [`bind_each`], [`reach`]: the IP addresses of a name.
//! * [`tell_recv_buffer`], [`tell_send_buffer`], [`tell_buffers_once`], [`tell_backlog`]: what the system gave of a size that
//!   was asked for.

mod addresses;
mod pause;
mod sizes;
mod stream;

pub use addresses::{Reach, bind_each, bind_first, reach, resolve};
pub use sizes::{Wanted, tell_backlog, tell_buffers_once, tell_recv_buffer, tell_send_buffer};
pub use stream::{Registered, Stream};
