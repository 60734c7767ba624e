//! Requests: when they are due, what they hold, and what became of them.

pub(crate) mod payload;
pub(crate) mod schedule;
pub(crate) mod tally;
