#![doc = include_str!("../README.md")]

mod defaults;

pub use defaults::{Error, connect, connect_with, default_handlers, default_registry, server};

pub use swapwire_core as core;
pub use swapwire_core::{
    Addr, BindError, Bound, ByteStream, Capabilities, ConnInfo, ConnectError, DatagramSocket, Endpoint, ErrorClass,
    Framing, Handler, HandlerError, HandlerExt, Incoming, Input, Layer, Link, Listener, MessageStream, Peer, Place,
    Registry, Reply, Request, Session, SessionConfig, SessionHandler, SessionSender, Shape, Transport, async_trait,
    handler_fn, handler_fn_async,
};
pub use swapwire_handlers as handlers;
pub use swapwire_layers as layers;
#[cfg(feature = "mem")]
pub use swapwire_mem as mem;
pub use swapwire_server::{
    BuildError, DrainReport, HandlerRegistry, IntoService, Limits, Running, Server, ServerBuilder, Service, Snapshot,
    Split, WhenFull,
};
#[cfg(feature = "tcp")]
pub use swapwire_tcp as tcp;
#[cfg(feature = "udp")]
pub use swapwire_udp as udp;
#[cfg(all(feature = "unix", unix))]
pub use swapwire_unix as unix;
