//! The sessions that were woken: where one task polls many, a wake-up is a number in a list.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, PoisonError};
use std::task::Wake;

use crate::sync::{AtomicBool, AtomicUsize, AtomicWaker, Mutex, MutexGuard, Notify, Ordering};

/// The state that the polling task shares with the wakers of its futures, and with those that add futures.
pub(crate) struct ReadyQueue<T> {
    queue: Mutex<Queue<T>>,
    /// The task that polls.
    pub(crate) task: AtomicWaker,
    /// Those that have not ended, those that have not begun included.
    pub(crate) live: AtomicUsize,
    pub(crate) cut: AtomicBool,
    /// Told when none is left.
    pub(crate) empty: Notify,
}

struct Queue<T> {
    /// Each at most once.
    woken: VecDeque<u32>,
    /// To be begun; as many as there are permits for connections.
    new: Vec<T>,
}

impl<T> Default for ReadyQueue<T> {
    fn default() -> Self {
        Self {
            queue: Mutex::new(Queue { woken: VecDeque::new(), new: Vec::new() }),
            task: AtomicWaker::new(),
            live: AtomicUsize::new(0),
            cut: AtomicBool::new(false),
            empty: Notify::new(),
        }
    }
}

impl<T> ReadyQueue<T> {
    fn queue(&self) -> MutexGuard<'_, Queue<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, push: impl FnOnce(&mut Queue<T>)) {
        let mut queue = self.queue();
        let was_empty = queue.woken.is_empty() && queue.new.is_empty();
        push(&mut queue);
        drop(queue);
        if was_empty {
            self.task.wake();
        }
    }

    /// Brings one more.
    pub(crate) fn add(&self, new: T) {
        self.push(|queue| queue.new.push(new));
    }

    /// Takes the sessions that were woken into `ready`, which is empty, and returns the new ones. The task must have registered before.
    pub(crate) fn take(&self, ready: &mut VecDeque<u32>) -> Vec<T> {
        let mut queue = self.queue();
        std::mem::swap(ready, &mut queue.woken);
        std::mem::take(&mut queue.new)
    }
}

/// Wakes the session in one slot: made once for all sessions that the slot will hold.
pub(crate) struct TaskWaker<T> {
    ready_queue: Arc<ReadyQueue<T>>,
    index: u32,
    queued: AtomicBool,
}

impl<T> TaskWaker<T> {
    pub(crate) fn new(ready_queue: Arc<ReadyQueue<T>>, index: u32) -> Arc<Self> {
        Arc::new(Self { ready_queue, index, queued: AtomicBool::new(false) })
    }

    /// From now on a wake-up is another turn.
    #[inline(always)]
    pub(crate) fn rearm(&self) {
        // Not a store: what another thread did before it found the flag set must be visible here.
        self.queued.swap(false, Ordering::AcqRel);
    }
}

impl<T: Send + 'static> Wake for TaskWaker<T> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.ready_queue.push(|queue| queue.woken.push_back(self.index));
        }
    }
}

impl<T> fmt::Debug for ReadyQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queue = self.queue();
        write!(f, "Wakes({} woken, {} new)", queue.woken.len(), queue.new.len())
    }
}
