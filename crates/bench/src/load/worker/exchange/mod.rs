//! Requests and replies on one open connection, on either shape of wire.

mod bytes;
mod cut;
mod flights;
mod messages;
mod outgoing;
mod requester;

pub(crate) use bytes::{ByteExchange, End};
pub(crate) use messages::MessageExchange;
pub(crate) use requester::Requester;
