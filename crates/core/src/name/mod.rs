//! Names: endpoints as an operator writes them, addresses as the network gives them, and their text.
//!
//! What an operator or a peer wrote is read, checked and escaped here. Names know nothing else of this crate.

mod addr;
mod endpoint;
mod options;
mod peer;
mod printable;
mod session_id;
pub(crate) mod suggestion;

pub use addr::{Addr, InlineName, UnixAddr};
pub use endpoint::{Endpoint, EndpointError, Place};
pub use options::{OptionDoc, OptionError, OptionReader, OptionValue, Side};
pub use peer::{Credentials, Peer};
pub use printable::{Bytes as PrintableBytes, Printable, needs_escape};
pub use session_id::SessionId;
pub use suggestion::did_you_mean;
