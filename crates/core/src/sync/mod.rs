//! What threads share: the types of std, futures and tokio. Under `--cfg swapwire_loom` those that loom can follow, for
//! models that try every order of events (`scripts/loom`).

#[cfg(not(swapwire_loom))]
pub(crate) use futures::task::AtomicWaker;
#[cfg(not(swapwire_loom))]
pub(crate) use std::sync::{Mutex, MutexGuard};
#[cfg(not(swapwire_loom))]
pub(crate) use tokio::sync::Notify;

#[cfg(swapwire_loom)]
mod model;
#[cfg(swapwire_loom)]
mod stepped;
#[cfg(swapwire_loom)]
pub use loom::{
    sync::{Mutex, MutexGuard, atomic},
    thread,
};
#[cfg(swapwire_loom)]
pub use model::{AtomicWaker, block_on, explore};
#[cfg(swapwire_loom)]
pub use stepped::{
    CancellationToken, Notify, OwnedSemaphorePermit, Semaphore, Stepped, WaitForCancellationFutureOwned, mpsc,
};
