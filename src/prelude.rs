//! What nearly every server names: `use swapwire::prelude::*;`.
//!
//! ```
//! use swapwire::prelude::*;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = swapwire::server()
//!     .listen("mem:upper")
//!     .handler(handler_fn(|request, reply| Ok(reply.send(request.message().to_ascii_uppercase())?)))
//!     .framing(Framing::Lines)
//!     .limits(Limits::default().max_message(4096))
//!     .bind()
//!     .await?;
//! # drop(server);
//! # Ok(())
//! # }
//! ```

#[doc(no_inline)]
pub use crate::{
    Endpoint, Framing, Handler, HandlerError, HandlerExt, HandlerProperties, Input, Limits, Reply, Request, Server,
    Session, SessionConfig, SessionHandler, StatefulHandler, async_trait, handler_fn, stateful_fn,
};
