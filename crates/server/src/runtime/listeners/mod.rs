//! The listeners of a server, which may change while it runs.

mod apply;
mod matching;
mod roster;

pub use apply::Applied;
pub(super) use apply::Change;
pub(super) use roster::Roster;
