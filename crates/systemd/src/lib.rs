//! Service managers: servers on sockets that were passed to the process, as systemd does (`systemd.socket(5)`), and what it is
//! told. Linux only.
//!
//! [`Notifier`] tells it that the process serves, reloads, drains, and works (`sd_notify(3)`); [`watchdog`] says how often.
//!
//! [`PassedSockets`] is a source of sockets for a [`Registry`](swapwire_core::Registry), with two schemes:
//!
//! * `systemd:NAME`: those that the service manager passed under this name (`sd_listen_fds(3)`, `FileDescriptorName=`).
//! * `fd:N`: the one whose descriptor has this number, from 3 on, whoever passed it.
//!
//! ```no_run
//! use swapwire_core::Registry;
//! use swapwire_systemd::PassedSockets;
//!
//! # fn with_transports() -> Registry { Registry::new() }
//! let registry = with_transports().with_socket_source(PassedSockets::new());
//! ```
//!
//! # What a socket is served as
//!
//! The system is asked what it is, and the registry's transport for such serves it, with that transport's options and
//! capabilities: a stream of IPv4 or IPv6 as `tcp`, a stream of a Unix socket as `unix`, and so on. Layers stand on it:
//! `tls+systemd:https`, `ws+fd:3`. Options that say how a socket is opened (`backlog`, `mode`) are errors.
//!
//! A stream has to listen already. The other program goes on holding the socket, so it is never shut down, no file is
//! unlinked or looked after, and in a drain who waits in its queue is left there: a service manager gives them to the next
//! start. Where nobody else holds the socket, they are reset.
//!
//! One socket is shared by all workers, if it is a stream or of messages with connections; one of datagrams is served by one of
//! them. Several sockets of one name that are bound to one address (`ReusePort=`) are served by one worker each. Those of
//! other addresses are endpoints of their own. All must be of one kind.
//!
//! # Descriptors
//!
//! The environment is read once, at the first use of a scheme. Then each socket that it passes is replaced by a duplicate that is
//! closed on exec, and its number is closed: other code must not use it. The same happens to one that `fd:N` names. Only what
//! is not closed on exec is taken for passed (`/proc/self/fdinfo`, `proc(5)`), so that a wrong number does not serve what this
//! program opened itself. A socket is served once at a time in the whole process.

#![cfg(target_os = "linux")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod descriptor;
mod environment;
mod kind;
mod notifier;
mod sockets;

pub use notifier::{Notifier, State, watchdog};
pub use sockets::PassedSockets;
