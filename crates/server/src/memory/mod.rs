//! Memory that connections share: the buffers of a worker, and the budget.

mod buffer_pool;
mod memory_budget;

pub(crate) use buffer_pool::{BufferPool, CallLoan, READ, WorkerBuffers};
pub(crate) use memory_budget::{HeldMemory, MemoryBudget};
