//! Serving byte streams and message streams.

mod byte_loop;
mod connection;
mod deadlines;
mod message_loop;
mod read_buffer;
mod reading;
mod session_loop;

pub(crate) use byte_loop::serve_bytes;
pub(crate) use message_loop::serve_messages;
pub(crate) use session_loop::serve_session;
