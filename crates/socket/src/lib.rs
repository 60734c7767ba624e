//! What swapwire's socket transports share. For transports of sockets that tokio has registered; servers and clients never
//! see it.
//!
//! * [`Stream`]: a connected stream socket that asks the system before it asks the reactor.
//! * `Descriptor`: a socket of which the reactor is told no more than is needed.
//! * [`resolve`], [`bind_first`], [`bind_each`], [`reach`]: the IP addresses of a name.
//! * [`v6_only_mistake`], [`set_v6_only`], [`bind_source`], [`reachable_from`]: what IPv4 and IPv6 have of their own.
//! * [`recv_buffer`], [`tell_recv_buffer`], [`tell_send_buffer`], [`tell_buffers_once`], [`tell_backlog`]: what the system
//!   gave of a size that was asked for.

mod addresses;
#[cfg(unix)]
mod descriptor;
mod families;
mod pause;
mod sizes;
mod stream;

pub use addresses::{Reach, bind_each, bind_first, reach, resolve};
#[cfg(unix)]
pub use descriptor::Descriptor;
pub use families::{bind_source, reachable_from, set_v6_only, v6_only_mistake};
pub use sizes::{Wanted, recv_buffer, tell_backlog, tell_buffers_once, tell_recv_buffer, tell_send_buffer};
pub use stream::{Registered, Stream};
