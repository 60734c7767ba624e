//! One link, one session handler: the handler has the session, the server keeps the clock.

use std::future::{Future as _, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::Poll;

use futures::FutureExt as _;
use swapwire_core::{HandlerError, Link, Progress, SendError, Session, SessionFault, SessionGuard, SessionHandler};
use tokio::time::Instant;

use super::linger::patience;
use crate::drain::{LINGER, LINGER_BYTES};
use crate::memory::BudgetShare;
use crate::metrics::{Incident, Stats};
use crate::tasks::let_go;
use crate::time::{Deadlines, after, within};
use crate::{Limits, ServeContext, SessionEnd};

/// Runs the handler to its end or a deadline, then flushes and closes the session.
pub(crate) async fn serve_session<H: SessionHandler>(handler: &H, link: Link, cx: &ServeContext) -> SessionEnd {
    let session = Session::new(link, cx.session_config());
    let guard = session.guard();
    let mut memory = BudgetShare::default();
    let (mut end, active_at) = run(handler, session, &guard, &mut memory, cx).await;
    Stats::add(&cx.stats.messages, guard.progress().messages);
    if !matches!(end, SessionEnd::WriteTimeout | SessionEnd::OverBudget) {
        // Writing may take as long as it makes progress; the reading behind it only a little.
        let mut watch = Watch::new(guard.progress());
        let mut deadlines = Deadlines::new(&cx.limits);
        let (begun, flushed) = (Instant::now(), AtomicBool::new(false));
        let mut close = pin!(async {
            let replied = guard.progress().unsent > 0;
            if let Err(SendError::Io(_)) = guard.flush().await {
                return Some(SessionEnd::Broken);
            }
            flushed.store(true, Relaxed);
            if let Some(Ok(())) = within(LINGER, &cx.stats, guard.close(0)).await {
                let active_at = if replied { Instant::now() } else { active_at };
                let _ = within(patience(cx, active_at.elapsed()), &cx.stats, guard.close(LINGER_BYTES)).await;
            }
            None
        });
        let worse = poll_fn(|task| {
            if let Poll::Ready(worse) = close.as_mut().poll(task) {
                return Poll::Ready(worse);
            }
            let progress = guard.progress();
            watch.observe(progress);
            if memory.set(cx.memory_budget.as_ref(), progress.memory, task.waker()) {
                return Poll::Ready(Some(SessionEnd::OverBudget));
            }
            let deadline = watch.write_deadline(&cx.limits).or(after(begun, cx.limits.write_timeout));
            let late = deadlines.poll(task, Instant::now(), deadline.filter(|_| !flushed.load(Relaxed)), cx);
            late.map(|()| Some(SessionEnd::WriteTimeout))
        })
        .await;
        if let (Some(worse), SessionEnd::Done | SessionEnd::Drained) = (worse, end) {
            end = worse;
        }
    }
    cx.tell_end(end, guard.peer());
    end
}

async fn run<H: SessionHandler>(
    handler: &H,
    session: Session,
    guard: &SessionGuard,
    memory: &mut BudgetShare,
    cx: &ServeContext,
) -> (SessionEnd, Instant) {
    let mut watch = Watch::new(guard.progress());
    let mut deadlines = Deadlines::new(&cx.limits);
    let mut refused = 0;
    let mut run = pin!(AssertUnwindSafe(handler.run(session)).catch_unwind());
    let end = poll_fn(|task| {
        if let Poll::Ready(result) = run.as_mut().poll(task) {
            return Poll::Ready(match result {
                Ok(result) => end_of(result, guard, cx),
                Err(payload) => {
                    let_go(payload);
                    cx.incidents.tell(Incident::Panic, Some(guard.peer().addr()), "");
                    SessionEnd::Panicked
                }
            });
        }
        let progress = guard.progress();
        if memory.set(cx.memory_budget.as_ref(), progress.memory, task.waker()) {
            return Poll::Ready(SessionEnd::OverBudget);
        }
        watch.observe(progress);
        refused = note_refused(refused, guard, cx);
        let (deadline, late) = watch.deadline(&cx.limits);
        deadlines.poll(task, Instant::now(), deadline, cx).map(|()| late)
    })
    .await;
    watch.observe(guard.progress());
    note_refused(refused, guard, cx);
    (end, watch.active_at)
}

/// Counts and tells of messages above the limit beyond the first `known`; how many there were.
#[inline]
fn note_refused(known: u32, guard: &SessionGuard, cx: &ServeContext) -> u32 {
    let refused = guard.refused();
    if refused != known {
        let (count, most) = (refused.wrapping_sub(known), cx.limits.max_message);
        cx.incidents.note(
            Incident::TooLong,
            count.into(),
            Some(guard.peer().addr()),
            format_args!("{most} bytes allowed"),
        );
    }
    refused
}

/// How a session ended whose handler returned. A handler that went on after a bad frame, or knows nothing of it, has not
/// made it a good one.
fn end_of(result: Result<(), HandlerError>, guard: &SessionGuard, cx: &ServeContext) -> SessionEnd {
    let peer = Some(guard.peer().addr());
    match (guard.fault(), result) {
        (Some(SessionFault::BadFrame), result) => {
            cx.incidents.tell(
                Incident::BadFrame,
                peer,
                result.err().map_or_else(String::new, |error| error.to_string()),
            );
            SessionEnd::BadFrame
        }
        (Some(_), _) => SessionEnd::Broken,
        (None, Err(error)) => {
            cx.incidents.tell(Incident::HandlerError, peer, error);
            SessionEnd::HandlerError
        }
        (None, Ok(())) if cx.drain.has_begun() => SessionEnd::Drained,
        (None, Ok(())) => SessionEnd::Done,
    }
}

/// Notes when a session's progress changed, as it is seen after each poll of its task.
struct Watch {
    last: Progress,
    active_at: Instant,
    frame_at: Option<Instant>,
    stuck_at: Option<Instant>,
}

impl Watch {
    fn new(progress: Progress) -> Self {
        Self { last: progress, active_at: Instant::now(), frame_at: None, stuck_at: None }
    }

    fn observe(&mut self, now: Progress) {
        if now == self.last {
            return;
        }
        let at = Instant::now();
        if (now.received, now.sent) != (self.last.received, self.last.sent) {
            self.active_at = at;
        }
        self.frame_at = match self.frame_at {
            _ if !now.partial => None,
            Some(begun) if now.messages == self.last.messages => Some(begun),
            _ => Some(at),
        };
        self.stuck_at = match self.stuck_at {
            _ if now.unsent == 0 => None,
            Some(since) if now.sent == self.last.sent => Some(since),
            _ => Some(at),
        };
        self.last = now;
    }

    fn write_deadline(&self, limits: &Limits) -> Option<Instant> {
        after(self.stuck_at?, limits.write_timeout)
    }

    fn deadline(&self, limits: &Limits) -> (Option<Instant>, SessionEnd) {
        [
            (self.write_deadline(limits), SessionEnd::WriteTimeout),
            (self.frame_at.and_then(|at| after(at, limits.frame_timeout)), SessionEnd::FrameTimeout),
            (after(self.active_at, limits.idle_timeout), SessionEnd::IdleTimeout),
        ]
        .into_iter()
        .filter_map(|(deadline, late)| Some((deadline?, late)))
        .min_by_key(|(deadline, _)| *deadline)
        .map_or((None, SessionEnd::IdleTimeout), |(deadline, late)| (Some(deadline), late))
    }
}
