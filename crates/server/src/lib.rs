//! The swapwire server: composes handlers and endpoints, and serves them until it is stopped.
//!
//! * [`Server`] and [`ServerBuilder`]: many endpoints and handlers in one server; all binds before anything is served.
//! * [`Limits`]: every bound and deadline, with its default.
//! * [`Service`]: a handler of either kind behind one object-safe face; [`IntoService`] makes it.
//! * [`HandlerRegistry`]: handlers by name.
//! * [`ServerHandle`]: watches and stops a server that runs.
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
#![cfg_attr(docsrs, feature(doc_cfg))]

mod builder;
mod context;
mod service;
mod session_record;
mod sync;

mod accept;
mod compose;
mod datagram;
mod drain;
mod limits;
mod memory;
mod metrics;
mod peers;
mod runtime;
mod stream;
mod tasks;
mod time;

#[cfg(all(test, swapwire_loom))]
mod models;

pub use builder::ServerBuilder;
pub use compose::{BuildError, BuildProblem, HandlerEntry, HandlerRegistry, Listen, UnknownHandler};
pub use context::ServeContext;
pub use drain::Succession;
pub use limits::{Limits, WhenFull};
pub use metrics::{Counter, DrainReport, ListenerInfo, PrometheusText, SessionEnd, Snapshot};
pub use runtime::{Applied, Running, Server, ServerHandle};
pub use service::{
    IntoService, MessageKind, PerMessage, PerSession, Service, ServiceKind, SessionKind, Split, StatefulKind,
};
