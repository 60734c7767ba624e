//! Read buffers that belong to the worker thread, not to the connection.

use std::cell::RefCell;

/// The size of a pooled buffer: large enough that a bulk sender costs few system calls, small enough for the cache.
pub(crate) const BUFFER: usize = 64 * 1024;
/// How many idle buffers a thread keeps; more are given back to the system.
const KEEP: usize = 8;

/// A reply buffer that grew beyond this is freed.
const LARGEST_OUT: usize = 512 * 1024;

thread_local! {
    static POOL: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    static OUT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// An initialised buffer of `BUFFER` bytes.
pub(crate) fn take() -> Vec<u8> {
    POOL.with_borrow_mut(Vec::pop).unwrap_or_else(|| vec![0; BUFFER])
}

/// Gives a buffer back; one of another size is freed.
pub(crate) fn give(buffer: Vec<u8>) {
    if buffer.len() == BUFFER {
        POOL.with_borrow_mut(|pool| {
            if pool.len() < KEEP {
                pool.push(buffer);
            }
        });
    }
}

/// An empty buffer for replies.
pub(crate) fn take_out() -> Vec<u8> {
    OUT.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// Gives a buffer for replies back.
pub(crate) fn give_out(mut buffer: Vec<u8>) {
    if (1..=LARGEST_OUT).contains(&buffer.capacity()) {
        buffer.clear();
        OUT.with_borrow_mut(|pool| {
            if pool.len() < KEEP {
                pool.push(buffer);
            }
        });
    }
}
