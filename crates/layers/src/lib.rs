//! Layers for swapwire handlers: what wraps a handler and is one.
//!
//! | layer | a call of a [`Handler`] | a session of a [`SessionHandler`] |
//! | --- | --- | --- |
//! | [`TimeoutLayer`] | ends after a limit | ends after a limit, in whole |
//! | [`ConcurrencyLayer`] | at most N at once, others wait | at most N at once, others wait |
//! | [`RateLayer`] | at most N per period; others wait or are refused | as many begin per period; the same |
//! | [`PeerRateLayer`] | at most N messages of each peer per period; others are answered by a text | the same |
//! | [`TraceLayer`] | a `tracing` span | a `tracing` span |
//! | [`CatchPanicLayer`] | a panic becomes an error | a panic becomes an error |
//!
//! [`Handler`]: swapwire_core::Handler
//! [`SessionHandler`]: swapwire_core::SessionHandler
//!
//! Layers are added with [`HandlerExt::with_layer`](swapwire_core::HandlerExt::with_layer); the last one added runs
//! first. A handler that is both kinds stays both. What the handler inside declares of
//! itself is passed on, but that calls of layers that wait are not [ready at once]; none allocates for a message.
//!
//! [ready at once]: swapwire_core::HandlerProperties::ready_at_once
//!
//! ```
//! use std::time::Duration;
//! use swapwire_core::{Addr, Handler, HandlerExt, Reply, Request, handler_fn};
//! use swapwire_layers::{CatchPanicLayer, ConcurrencyLayer, RateLayer, TimeoutLayer, TraceLayer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), swapwire_core::HandlerError> {
//! # let local = Addr::named("test", "here").unwrap();
//! let handler = handler_fn(|request, reply| Ok(reply.send(request.message())?))
//!     .with_layer(CatchPanicLayer)
//!     .with_layer(TimeoutLayer::new(Duration::from_secs(5)))
//!     .with_layer(ConcurrencyLayer::new(100))
//!     .with_layer(RateLayer::refuse(1000, Duration::from_secs(1)))
//!     .with_layer(TraceLayer);
//!
//! let mut reply = Reply::new(1024);
//! handler.handle(Request::new(b"hello", None, &local), &mut reply).await?;
//! assert_eq!(reply.messages().next(), Some(b"hello".as_slice()));
//! # Ok(())
//! # }
//! ```
#![cfg_attr(docsrs, feature(doc_cfg))]

mod bucket;
mod catch_panic;
mod concurrency;
mod peer_rate;
mod rate;
mod timeout;
mod trace;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use catch_panic::{CatchPanic, CatchPanicLayer, Panicked};
pub use concurrency::{Concurrency, ConcurrencyLayer, Places};
pub use peer_rate::{PeerBuckets, PeerRate, PeerRateLayer};
pub use rate::{Rate, RateExceeded, RateLayer, SharedBucket};
pub use timeout::{TimedOut, Timeout, TimeoutLayer};
pub use trace::{Trace, TraceLayer};
