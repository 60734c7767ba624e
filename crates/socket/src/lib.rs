//! The code that swapwire's socket transports share, for sockets that are registered with tokio. It is not part of the
//! interface of servers and clients; a transport of your own may use it.
//!
//! * [`Listening`]: a descriptor at which connections arrive, which keeps what a listener has to promise of it.
//! * [`Stream`]: a connected stream socket that asks the system before it asks the reactor.
//! * [`Pauses`], [`may_pass`]: an error that may pass is waited out.
//! * `Descriptor`: a socket that is registered for no more events than needed.
//! * [`Binder`], [`HostOptions`], [`read_to_dial`]: an endpoint with a host and a port.
//! * [`resolve`], [`reach`]: the IP addresses of a name.
//! * [`set_v6_only`], [`set_ttl`], [`set_reuse_port`], [`bind_source`], [`reachable_from`]: options of
//!   sockets of IPv4 and IPv6.
//! * `kind_of`, `refuse_options_of_opening`: sockets that another program opened.
//! * [`Buffers`], [`tell_backlog`]: the size that the system set, of one that was asked for.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod addresses;
#[cfg(unix)]
mod descriptor;
mod families;
mod host;
mod listening;
#[cfg(unix)]
mod passed;
mod pause;
mod sizes;
mod stream;

pub use addresses::{Reach, reach, resolve};
#[cfg(unix)]
pub use descriptor::Descriptor;
pub use families::{bind_source, reachable_from, set_reuse_port, set_ttl, set_v6_only};
pub use host::{Binder, HostOptions, read_to_dial};
pub use listening::{Listening, Watch};
#[cfg(unix)]
pub use passed::{kind_of, refuse_options_of_opening};
pub use pause::{Pauses, Way, may_pass};
pub use sizes::{Buffers, Wanted, tell_backlog};
pub use stream::{Registered, Stream};
