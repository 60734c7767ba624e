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

use crate::accept::Admitted;
use crate::catch::catch;
use crate::sync::Ordering;
use crate::wakes::{Bell, Wakes};
use crate::{ServeContext, SessionEnd};

/// After so many polls of sessions other tasks run. tokio lets a task do 128 things before it makes it wait, and a poll of
/// a session does two, as a rule.
const TURN: usize = 64;

pub(crate) type Session = Pin<Box<Admitted>>;

/// The sessions, as who starts them sees them. Dropping it drops them.
#[derive(Debug)]
pub(crate) struct Nest {
    shared: Arc<Shared>,
    task: AbortHandle,
}

type Shared = Wakes<Session>;

impl Nest {
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn new(cx: Arc<ServeContext>) -> Self {
        let shared = Arc::<Shared>::default();
        let mut table =
            Table { shared: Arc::clone(&shared), seats: Vec::new(), free: Vec::new(), turn: VecDeque::new(), cx };
        let task = tokio::spawn(async move {
            loop {
                poll_fn(|task| table.poll(task)).await;
                yield_now().await;
            }
        });
        Self { shared, task: task.abort_handle() }
    }

    pub(crate) fn spawn(&self, session: Session) {
        self.shared.live.fetch_add(1, Ordering::Relaxed);
        self.shared.add(session);
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

impl Drop for Nest {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Seat {
    session: Option<Session>,
    bell: Arc<Bell<Session>>,
    waker: Waker,
}

/// The sessions, as the task that polls them sees them.
struct Table {
    shared: Arc<Shared>,
    /// As many as there were sessions at once.
    seats: Vec<Seat>,
    free: Vec<u32>,
    /// Whose turn it is.
    turn: VecDeque<u32>,
    cx: Arc<ServeContext>,
}

impl Table {
    /// Polls who was woken; ready when others should run first.
    fn poll(&mut self, task: &mut Context<'_>) -> Poll<()> {
        self.shared.task.register(task.waker());
        if self.shared.cut.load(Ordering::Acquire) {
            self.cut();
        }
        for _ in 0..TURN {
            if self.turn.is_empty() && !self.take_turns() {
                return Poll::Pending;
            }
            if let Some(index) = self.turn.pop_front() {
                self.poll_one(index);
            }
        }
        Poll::Ready(())
    }

    /// Takes those who were woken, and seats those who are new; whether there was anybody.
    fn take_turns(&mut self) -> bool {
        for session in self.shared.take(&mut self.turn) {
            let index = self.free.pop().unwrap_or_else(|| {
                let index = u32::try_from(self.seats.len()).unwrap_or(u32::MAX);
                let bell = Bell::new(Arc::clone(&self.shared), index);
                self.seats.push(Seat { session: None, waker: Arc::clone(&bell).into(), bell });
                index
            });
            self.seats[index as usize].session = Some(session);
            self.turn.push_back(index);
        }
        !self.turn.is_empty()
    }

    fn poll_one(&mut self, index: u32) {
        let seat = &mut self.seats[index as usize];
        // Before the poll: who is woken while it runs gets another turn.
        seat.bell.silence();
        let Some(session) = &mut seat.session else { return };
        let mut task = Context::from_waker(&seat.waker);
        let end = match catch(|| session.as_mut().poll(&mut task)) {
            Some(Poll::Pending) => return,
            Some(Poll::Ready(end)) => end,
            None => self.cx.panicked(),
        };
        let session = seat.session.take();
        self.free.push(index);
        self.end(session, end);
    }

    /// What a session holds may panic when it is dropped; that is its own end too.
    fn end(&self, session: Option<Session>, end: SessionEnd) {
        let end = catch(|| drop(session)).map_or_else(|| self.cx.panicked(), |()| end);
        self.cx.stats.closed();
        self.cx.stats.ended(end);
        if self.shared.live.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.empty.notify_waiters();
            self.shared.empty.notify_one();
        }
    }

    #[cold]
    fn cut(&mut self) {
        self.take_turns();
        for index in 0..self.seats.len() {
            if let Some(session) = self.seats[index].session.take() {
                self.free.push(index as u32);
                self.end(Some(session), SessionEnd::Cut);
            }
        }
    }
}

#[cfg(all(test, target_pointer_width = "64"))]
mod tests {
    use super::*;

    /// What a connection costs beside its session.
    #[test]
    fn a_place_stays_small() {
        let (admitted, seat) = (size_of::<Admitted>(), size_of::<Seat>());
        assert!(admitted <= 96, "{admitted} bytes");
        assert!(seat <= 32, "{seat} bytes");
    }
}
