//! The swapwire server: composes handlers and endpoints, and serves them until told to stop.
//!
//! * [`Server`] and [`ServerBuilder`]: many endpoints and handlers in one server; all binds before anything is served.
//! * [`Limits`]: every bound and deadline, with its default.
//! * [`Service`]: a handler of either kind behind one object-safe face; [`IntoService`] makes it.
//! * [`HandlerRegistry`]: handlers by name.
//! * [`DrainReport`]: what happened, in numbers.
//!
//! ```
//! use swapwire_core::{Registry, handler_fn};
//! use swapwire_mem::MemNetwork;
//! use swapwire_server::Server;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let network = MemNetwork::new();
//! let server = Server::builder()
//!     .registry(Registry::new().with(network))
//!     .listen("mem:echo")
//!     .handler(handler_fn(|request, reply| Ok(reply.send(request.message())?)).any_slicing())
//!     .bind()
//!     .await?;
//! let report = server.run_until(async { /* until a signal comes */ }).await;
//! assert!(report.is_clean());
//! # Ok(())
//! # }
//! ```
//!
//! The crate knows no transport by name, installs no signal handler and no logger, and leaves no task behind: dropping
//! the future of [`Server::run_until`] closes everything.

mod build_error;
mod builder;
mod complaint;
mod context;
mod handlers;
mod limits;
mod memory;
mod running;
mod server;
mod service;
mod stats;
mod sync;
mod troubles;

mod crew;
mod group;
mod group_socket;
mod quiet;
mod share;
mod worker;

mod accept;
mod caretaker;
mod catch;
mod deadline;
mod door;
mod health;
mod keeper;
mod ledger;
mod nest;
mod pace;
mod room;
mod second_look;
mod sessions;
mod source;
mod wakes;

mod byte_loop;
mod close;
mod connection;
mod input;
mod message_loop;
mod scratch;
mod session_loop;

mod at_once;
mod bound;
mod datagram_loop;
mod gate;
mod intake;
mod outlet;
mod peer_table;
mod peer_wire;
mod peers;
mod runner;
mod throttle;

#[cfg(all(test, swapwire_loom))]
mod models;

pub use build_error::BuildError;
pub use builder::ServerBuilder;
pub use context::ServeContext;
pub use handlers::{HandlerEntry, HandlerRegistry, UnknownHandler};
pub use limits::{Limits, WhenFull};
pub use running::Running;
pub use server::Server;
pub use service::{IntoService, MessageKind, PerMessage, PerSession, Service, ServiceKind, SessionKind, Split};
pub use stats::{DrainReport, SessionEnd, Snapshot};
