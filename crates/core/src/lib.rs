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
//! Every async method says under this heading whether the future may be dropped before it is done. The rule:
//! receiving is cancel safe, because partial frames stay in the session; a message that was handed over is sent whole, or
//! the session is over.
//!
//! # Features
//!
//! * `serde` (off by default): `Serialize` and `Deserialize` for [`Endpoint`], as its text, and for [`SessionConfig`], as a map of
//!   its [`Settings`].
#![cfg_attr(docsrs, feature(doc_cfg))]

#[macro_use]
mod debug_as_text;

mod error;
mod framing;
mod handler;
mod name;
mod registry;
mod reply;
mod session;
mod settings;
pub mod testing;
mod wire;

#[cfg(not(swapwire_loom))]
mod sync;
#[cfg(swapwire_loom)]
#[doc(hidden)]
pub mod sync;

pub use async_trait::async_trait;
pub use bytes::Bytes;
pub use error::{
    BindError, BoxError, ConnectError, ErrorClass, HandlerError, RecvError, RegistryError, SendError, TrySendError,
    UpgradeError, classify_accept, classify_datagram, classify_stream,
};
pub use framing::{
    Answer, ByteItems, CodecFactory, Decoded, FrameDecoder, FrameEncoder, FrameError, FrameFactory, FrameReader,
    FrameWriter, Framing, FramingParseError, Goodbye, MessageCodec, TextItems, unescape,
};
pub use handler::{
    AsyncHandlerFn, EachMessage, Handler, HandlerExt, HandlerFn, HandlerLayer, HandlerProperties, Input, LayerFn,
    Layered, MessageLayer, Request, SessionHandler, Stateful, StatefulFn, StatefulHandler, handler_fn,
    handler_fn_async, stateful_fn,
};
pub use name::{
    Addr, Credentials, Endpoint, EndpointError, InlineName, OptionDoc, OptionError, OptionReader, OptionValue, Peer,
    Place, Printable, PrintableBytes, SessionId, Side, UnixAddr, did_you_mean, needs_escape,
};
pub use registry::{Compose, Registry};
#[cfg(unix)]
pub use registry::{PassedSocket, SocketSource};
pub use reply::{Reply, ReplyBuf, ReplyError, server};
pub use session::{
    DrainToken, Permit, Progress, RawStream, Session, SessionConfig, SessionFault, SessionGuard, SessionReader,
    SessionSender, SessionWriter,
};
pub use settings::{Setting, SettingError, SettingUnit, SettingValue, Settings, parse_number};
#[cfg(feature = "serde")]
pub use settings::{deserialize_settings, serialize_settings};
pub use tower_layer::Layer;
pub use wire::{
    Arrivals, Bound, ByteStream, Capabilities, ConnInfo, DatagramSocket, Incoming, Link, Listener, MessageStream,
    Offload, RecvBatch, RecvMeta, SendBatch, SendEntry, Shape, Train, TrainLimits, Transport, Upgrade, UpgradeClient,
    UpgradeServer, Upkeep, WireLayers,
};
