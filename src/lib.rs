#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "admin")]
pub mod admin;
mod defaults;
#[cfg(all(doc, not(doctest)))]
pub mod guide;
pub mod prelude;

pub use defaults::{Error, connect, connect_with, default_handlers, default_registry, serve, server};

pub use swapwire_core as core;
pub use swapwire_core::{
    Addr, AsyncHandlerFn, BindError, Bound, BoxError, ByteItems, ByteStream, Bytes, Capabilities, ConnInfo,
    ConnectError, Credentials, DatagramSocket, DrainToken, EachMessage, Endpoint, EndpointError, ErrorClass,
    FrameError, Framing, FramingParseError, Handler, HandlerError, HandlerExt, HandlerFn, HandlerLayer,
    HandlerProperties, Incoming, Input, Layer, LayerFn, Layered, Link, Listener, MessageCodec, MessageLayer,
    MessageStream, OptionError, Peer, Permit, Place, Progress, RawStream, RecvError, Registry, RegistryError, Reply,
    ReplyBuf, ReplyError, Request, SendError, Session, SessionConfig, SessionFault, SessionGuard, SessionHandler,
    SessionId, SessionReader, SessionSender, SessionWriter, Setting, SettingError, SettingUnit, SettingValue, Settings,
    Shape, Stateful, StatefulFn, StatefulHandler, TextItems, Transport, TrySendError, UnixAddr, Upgrade, UpgradeClient,
    UpgradeError, UpgradeServer, async_trait, handler_fn, handler_fn_async, stateful_fn, testing,
};
#[cfg(unix)]
pub use swapwire_core::{PassedSocket, SocketSource};
pub use swapwire_handlers as handlers;
pub use swapwire_layers as layers;
#[cfg(feature = "mem")]
pub use swapwire_mem as mem;
#[cfg(feature = "nats")]
pub use swapwire_nats as nats;
#[cfg(feature = "proxy")]
pub use swapwire_proxy as proxy;
pub use swapwire_server::{
    Applied, BuildError, BuildProblem, Counter, DrainReport, HandlerEntry, HandlerRegistry, IntoService, Limits,
    Listen, ListenerInfo, MessageKind, PerMessage, PerSession, PrometheusText, Running, ServeContext, Server,
    ServerBuilder, ServerHandle, Service, ServiceKind, SessionEnd, SessionKind, Snapshot, Split, StatefulKind,
    Succession, UnknownHandler, WhenFull,
};
pub use swapwire_stack::{Prefixed, StackError, Stacked, WithLayer};
#[cfg(all(feature = "systemd", target_os = "linux"))]
pub use swapwire_systemd as systemd;
#[cfg(feature = "tcp")]
pub use swapwire_tcp as tcp;
#[cfg(any(feature = "tls", feature = "tls-aws-lc"))]
pub use swapwire_tls as tls;
#[cfg(feature = "udp")]
pub use swapwire_udp as udp;
#[cfg(all(feature = "unix", unix))]
pub use swapwire_unix as unix;
#[cfg(feature = "ws")]
pub use swapwire_ws as ws;
