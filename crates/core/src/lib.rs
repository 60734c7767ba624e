//! The vocabulary of swapwire: a transport turns an endpoint into links; a handler turns a message into replies.
//!
//! * [`Endpoint`]: an address as an operator writes it, `tcp://127.0.0.1:8888?backlog=3`.
//! * [`Transport`]: binds and connects the endpoints of its schemes. Third parties implement it against this crate alone.
//! * [`Handler`] and [`SessionHandler`]: what a server does, written once for every transport.
//! * [`Session`]: one conversation with one peer, on either side.
//! * [`Registry`]: an ordinary value that maps schemes to transports.
//!
//! Three shapes of wire, never pretended to be one: a [`ByteStream`] (no boundaries), a [`MessageStream`] (boundaries,
//! one peer) and a [`DatagramSocket`] (boundaries, many peers).
//!
//! This crate opens no socket, reads no clock and spawns no task. It is not an HTTP framework, an RPC system, service
//! discovery or a message queue.
//!
//! # Cancel safety
//!
//! Every async method says under this heading whether the future may be dropped before it is done. The house rule:
//! receiving is cancel safe, because partial frames live in the session; a message that was handed over goes out whole
//! or the session is dead.
//!
//! # Features
//!
//! * `serde` (off by default): `Serialize` and `Deserialize` for [`Endpoint`], as its text.

#[macro_use]
mod debug_as_text;

mod endpoint;
mod options;
mod suggestion;

mod addr;
mod peer;

mod capabilities;
mod class;
mod error;
mod printable;

mod datagram;
mod link;
mod listener;
mod recv_batch;
mod registry;
mod send_batch;
mod transport;
mod upkeep;

mod framing;

mod handler;
mod handler_fn;
mod reply;
pub mod server;
pub mod testing;

mod outbox;
mod session;
mod split;

#[cfg(not(swapwire_loom))]
mod sync;
#[cfg(swapwire_loom)]
#[doc(hidden)]
pub mod sync;

pub use addr::{Addr, InlineName, UnixAddr};
pub use async_trait::async_trait;
pub use bytes::Bytes;
pub use capabilities::{Capabilities, Shape};
pub use class::{ErrorClass, classify_accept, classify_datagram, classify_stream};
pub use datagram::{DatagramSocket, Offload, RecvMeta};
pub use endpoint::{Endpoint, EndpointError, Place};
pub use error::{BindError, BoxError, ConnectError, RecvError, RegistryError, SendError, TrySendError};
pub use framing::{
    ByteItems, CodecFactory, Decoded, FrameDecoder, FrameEncoder, FrameError, FrameIo, Framing, FramingParseError,
    MessageCodec, TextItems, unescape,
};
pub use handler::{Handler, HandlerError, HandlerExt, Input, Request, SessionHandler};
pub use handler_fn::{AsyncHandlerFn, HandlerFn, handler_fn, handler_fn_async};
pub use link::{ByteStream, ConnInfo, Link, MessageStream};
pub use listener::{Incoming, Listener};
pub use options::{OptionDoc, OptionError, OptionReader, OptionValue, Side};
pub use peer::{Credentials, Extensions, Peer};
pub use printable::{Bytes as PrintableBytes, Printable, needs_escape};
pub use recv_batch::RecvBatch;
pub use registry::Registry;
pub use reply::{Reply, ReplyBuf, ReplyError};
pub use send_batch::{SendBatch, SendEntry, Train, TrainLimits};
pub use session::{DrainToken, Permit, Progress, Session, SessionConfig, SessionFault, SessionGuard};
pub use split::{RawStream, SessionReader, SessionSender, SessionWriter};
pub use suggestion::did_you_mean;
pub use tower_layer::Layer;
pub use transport::{Bound, Transport};
pub use upkeep::Upkeep;
