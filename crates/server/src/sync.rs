//! What threads share, where a model checks how they do: the types of the standard library and of tokio, or those of the
//! models where `--cfg swapwire_loom` builds them (`scripts/loom`). Not `--cfg loom`: that changes tokio as well.

#[cfg(not(swapwire_loom))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
#[cfg(not(swapwire_loom))]
pub(crate) use std::sync::{Mutex, MutexGuard};

#[cfg(not(swapwire_loom))]
pub(crate) use futures::task::AtomicWaker;
#[cfg(swapwire_loom)]
pub(crate) use swapwire_core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
#[cfg(swapwire_loom)]
pub(crate) use swapwire_core::sync::*;
#[cfg(not(swapwire_loom))]
pub(crate) use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
#[cfg(not(swapwire_loom))]
pub(crate) use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
