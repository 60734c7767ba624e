//! What can be done to a server, a file for each.

pub(crate) mod churn;
pub(crate) mod drip;
pub(crate) mod garbage;
pub(crate) mod halfclose;
pub(crate) mod hold;
pub(crate) mod noread;
pub(crate) mod pipeline;
pub(crate) mod rst;
pub(crate) mod spoof;
pub(crate) mod stall;
pub(crate) mod watch;
