//! Memory that connections share: the buffers of a worker, for byte streams and for message streams, and the budget.

mod buffer_pool;
mod inbox;
mod memory_budget;
mod message_buffers;

pub(crate) use buffer_pool::{BufferPool, CallLoan, READ, WorkerBuffers};
pub(crate) use inbox::{Inbox, LARGEST_SLOT, MOST_TOGETHER, Space, TOGETHER};
pub(crate) use memory_budget::{HeldMemory, MemoryBudget};
pub(crate) use message_buffers::MessageBuffers;
