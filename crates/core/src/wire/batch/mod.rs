//! Many messages in one call: what was received, and what is to be sent.

mod recv;
mod send;

pub use recv::RecvBatch;
pub use send::{SendBatch, SendEntry, Train, TrainLimits};
