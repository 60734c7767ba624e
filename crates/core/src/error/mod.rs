//! Errors, one type per operation, and what a server or client does about each: its class.
//!
//! Text: operation, endpoint, cause; one line, lower case. Errors know names and framings, whose own errors they carry.

mod bind;
mod class;
mod connect;
mod handler;
mod registry;
mod session;
mod upgrade;

pub use bind::BindError;
pub use class::{ErrorClass, classify_accept, classify_datagram, classify_stream};
pub use connect::ConnectError;
pub use handler::{BoxError, HandlerError};
pub use registry::RegistryError;
pub use session::{RecvError, SendError, TrySendError};
pub use upgrade::UpgradeError;
