//! Many sessions in one task.
//!
//! On a runtime of one thread a task for each session buys nothing: they take turns anyway. Here a wake-up is a number in a
//! list, and a session is a box in a table, which was measured to spare 240 of 1,380 instructions for each message of TCP
//! and 350 bytes for each connection.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::task::{AbortHandle, yield_now};

use super::catch_panic::catch;
use super::ready_queue::{ReadyQueue, TaskWaker};
use crate::SessionEnd;
use crate::metrics::{IncidentLog, WorkerLoad};
use crate::sync::Ordering;

/// After so many polls of sessions other tasks run. tokio lets a task do 128 things before it makes it wait, and a poll of
/// a session does two, as a rule.
const BEFORE_YIELD: usize = 64;

type Session<F> = Pin<Box<F>>;

/// The sessions, as the accept loop sees them. Dropping it drops them.
#[derive(Debug)]
pub(crate) struct LocalTaskSet<F> {
    shared: Arc<Shared<F>>,
    task: AbortHandle,
}

type Shared<F> = ReadyQueue<Session<F>>;

impl<F: Future<Output = SessionEnd> + Send + 'static> LocalTaskSet<F> {
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn new(log: IncidentLog, load: Arc<WorkerLoad>) -> Self {
        let shared = Arc::<Shared<F>>::default();
        let mut table = Table {
            shared: Arc::clone(&shared),
            slots: Vec::new(),
            free: Vec::new(),
            ready: VecDeque::new(),
            log,
            load,
        };
        let task = tokio::spawn(async move {
            loop {
                poll_fn(|task| table.poll(task)).await;
                yield_now().await;
            }
        });
        Self { shared, task: task.abort_handle() }
    }

    pub(crate) fn spawn(&self, session: F) {
        self.shared.live.fetch_add(1, Ordering::Relaxed);
        self.shared.add(Box::pin(session));
    }

    pub(crate) fn len(&self) -> usize {
        self.shared.live.load(Ordering::Acquire)
    }

    /// Ready when no session is left. Cancel safe.
    pub(crate) async fn empty(&self) {
        while self.len() > 0 {
            self.shared.empty.notified().await;
        }
    }

    /// Ends all sessions where they are.
    pub(crate) fn cut(&self) {
        self.shared.cut.store(true, Ordering::Release);
        self.shared.task.wake();
    }
}

impl<F> Drop for LocalTaskSet<F> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct TaskSlot<F> {
    session: Option<Session<F>>,
    ready_waker: Arc<TaskWaker<Session<F>>>,
    waker: Waker,
}

/// The sessions, as the task that polls them sees them.
struct Table<F> {
    shared: Arc<Shared<F>>,
    /// As many as there were sessions at once.
    slots: Vec<TaskSlot<F>>,
    free: Vec<u32>,
    /// The slots to be polled.
    ready: VecDeque<u32>,
    log: IncidentLog,
    load: Arc<WorkerLoad>,
}

impl<F: Future<Output = SessionEnd> + Send + 'static> Table<F> {
    /// Polls the sessions that were woken; ready when other tasks should run first.
    fn poll(&mut self, task: &mut Context<'_>) -> Poll<()> {
        self.shared.task.register(task.waker());
        if self.shared.cut.load(Ordering::Acquire) {
            self.cut();
        }
        for _ in 0..BEFORE_YIELD {
            if self.ready.is_empty() && !self.take_ready() {
                return Poll::Pending;
            }
            if let Some(index) = self.ready.pop_front() {
                self.poll_one(index);
            }
        }
        Poll::Ready(())
    }

    /// Takes the sessions that were woken, and gives slots to the new ones; whether there were any.
    fn take_ready(&mut self) -> bool {
        for session in self.shared.take(&mut self.ready) {
            let index = self.free.pop().unwrap_or_else(|| {
                let index = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
                let ready_waker = TaskWaker::new(Arc::clone(&self.shared), index);
                self.slots.push(TaskSlot { session: None, waker: Arc::clone(&ready_waker).into(), ready_waker });
                index
            });
            self.slots[index as usize].session = Some(session);
            self.ready.push_back(index);
        }
        !self.ready.is_empty()
    }

    fn poll_one(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        // Before the poll: a session that is woken while it runs is polled again.
        slot.ready_waker.rearm();
        let Some(session) = &mut slot.session else { return };
        let mut task = Context::from_waker(&slot.waker);
        let end = match catch(|| session.as_mut().poll(&mut task)) {
            Some(Poll::Pending) => return,
            Some(Poll::Ready(end)) => end,
            None => self.log.panicked(),
        };
        let session = slot.session.take();
        self.free.push(index);
        self.end(session, end);
    }

    /// What a session holds may panic when it is dropped; that is its own end too.
    fn end(&self, session: Option<Session<F>>, end: SessionEnd) {
        let end = catch(|| drop(session)).map_or_else(|| self.log.panicked(), |()| end);
        self.load.closed();
        self.log.stats.ended(end);
        if self.shared.live.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.empty.notify_waiters();
            self.shared.empty.notify_one();
        }
    }

    #[cold]
    fn cut(&mut self) {
        self.take_ready();
        for index in 0..self.slots.len() {
            if let Some(session) = self.slots[index].session.take() {
                self.free.push(index as u32);
                self.end(Some(session), SessionEnd::Cut);
            }
        }
    }
}

#[cfg(all(test, target_pointer_width = "64"))]
mod tests {
    use super::*;

    /// What a session costs beside its future.
    #[test]
    fn a_slot_stays_small() {
        let size = size_of::<TaskSlot<std::future::Ready<SessionEnd>>>();
        assert!(size <= 32, "{size} bytes");
    }
}
