//! Panics of code that is not the server's.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What `call` gives; `None` if it panics.
#[inline]
pub(crate) fn catch<T>(call: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(call)).map_err(let_go).ok()
}

/// Drops what a panic carried (`std::panic::panic_any`). That may panic in its turn; what it carries then stays for ever.
#[cold]
pub(crate) fn let_go(payload: Box<dyn Any + Send>) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(payload);
    }
}
