//! The tasks of sessions, and panics in them.

mod catch_panic;
mod local_task_set;
mod ready_queue;
mod session_set;

pub(crate) use catch_panic::{catch, let_go};
#[cfg(all(test, swapwire_loom))]
pub(crate) use ready_queue::{ReadyQueue, TaskWaker};
pub(crate) use session_set::SessionSet;
