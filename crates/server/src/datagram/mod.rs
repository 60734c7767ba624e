//! Serving a datagram socket: receiving, sending, and message handlers.

mod call_runner;
mod immediate_calls;
mod message_loop;
mod receiver;
mod sender;
mod served_socket;
mod source_filter;

pub(crate) use call_runner::local_addr;
pub(crate) use message_loop::{BATCH, LENT, serve_datagrams};
pub(crate) use sender::{DatagramSender, WAITING_BYTES};
pub(crate) use served_socket::{ServedSocket, SocketLoop, run_socket};
pub(crate) use source_filter::{SourceFilter, fits};
