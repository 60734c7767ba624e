//! One link, one session handler: the handler has the session, the server keeps the clock.

use std::future::{Future as _, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt as _;
use swapwire_core::{
    HandlerError, Link, Progress, SendError, Session, SessionFault, SessionGuard, SessionHandler, Shape,
};

use crate::drain::{LINGER, LINGER_BYTES, linger_time};
use crate::memory::HeldMemory;
use crate::metrics::{Incident, Stats};
use crate::session_record::SessionRecord;
use crate::tasks::let_go;
use crate::time::{Since, Tick, TimerEntry, within};
use crate::{ServeContext, SessionEnd};

/// Runs the handler to its end or a deadline, then flushes and closes the session.
pub(crate) async fn serve_session<H: SessionHandler>(handler: &H, link: Link, cx: &ServeContext) -> SessionEnd {
    // Its peer waits for the end, rather than end by itself.
    let ends_together = matches!(link, Link::Messages { .. }) && !cx.capabilities.half_close;
    let session = Session::new(link, cx.session_config());
    let guard = session.guard();
    let record = SessionRecord::of(&guard, cx);
    let mut memory = HeldMemory::default();
    let (mut end, active_at) = run(handler, session, &guard, &mut memory, cx).await;
    Stats::add(&cx.stats.replies_not_text, guard.take_changed());
    if !matches!(end, SessionEnd::WriteTimeout | SessionEnd::OverBudget) {
        // Writing may take as long as it makes progress; the reading behind it only a little.
        let mut watch = ProgressWatch::new(guard.progress(), cx);
        let mut begun = Since::at(cx.timers.now());
        let flushed = AtomicBool::new(false);
        let (has_goodbye, is_orderly, why) = (cx.capabilities.says_goodbye, end.is_orderly(), end.goodbye());
        let mut close = pin!(async {
            let replied = guard.progress().unsent > 0;
            let is_framed = guard.goodbye(why);
            let flush = guard.flush().await;
            if let Err(SendError::Io(_)) = flush {
                return Some(SessionEnd::Broken);
            }
            flushed.store(true, Relaxed);
            if has_goodbye && !is_framed && !(is_orderly && flush.is_ok()) {
                return None;
            }
            if let Some(Ok(())) = within(LINGER, &cx.load, guard.close(0)).await {
                let quiet = if replied { Duration::ZERO } else { active_at.elapsed(&cx.timers) };
                let time = linger_time(&cx.drain, &cx.limits, quiet);
                let discard = if ends_together { 0 } else { LINGER_BYTES };
                let _ = within(time, &cx.load, guard.close(discard)).await;
            }
            None
        });
        let worse = poll_fn(|task| {
            if let Poll::Ready(worse) = close.as_mut().poll(task) {
                return Poll::Ready(worse);
            }
            let progress = guard.progress();
            let now = cx.timers.now();
            watch.observe(progress, now);
            if memory.set(cx.memory_budget.as_ref(), progress.memory, task.waker()) {
                return Poll::Ready(Some(SessionEnd::OverBudget));
            }
            if flushed.load(Relaxed) {
                return Poll::Pending;
            }
            watch.poll_write(task, now, &mut begun).map(|()| Some(SessionEnd::WriteTimeout))
        })
        .await;
        watch.observe(guard.progress(), cx.timers.now());
        if let (Some(worse), SessionEnd::Done | SessionEnd::Drained) = (worse, end) {
            end = worse;
        }
    }
    if let Some(mut record) = record {
        record.ended(end, guard.has_ended());
    }
    cx.tell_end(end, guard.peer());
    end
}

async fn run<H: SessionHandler>(
    handler: &H,
    session: Session,
    guard: &SessionGuard,
    memory: &mut HeldMemory,
    cx: &ServeContext,
) -> (SessionEnd, Since) {
    let mut watch = ProgressWatch::new(guard.progress(), cx);
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
        let now = cx.timers.now();
        watch.observe(progress, now);
        refused = note_refused(refused, guard, cx);
        watch.poll(task, now)
    })
    .await;
    watch.observe(guard.progress(), cx.timers.now());
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

/// The deadlines of a session, by its progress as it is seen after each poll of its task.
struct ProgressWatch<'a> {
    cx: &'a ServeContext,
    timer: TimerEntry<'a>,
    last: Seen,
    active_at: Since,
    frame_at: Since,
    stuck_at: Since,
    /// Ticks for which a deadline was put off, as the socket's loop had more to receive.
    put_off: u8,
}

/// What is looked at of a [`Progress`], in as few bytes as it takes: each session keeps the last.
#[derive(Clone, Copy)]
struct Seen {
    received: u64,
    messages: u64,
    messages_sent: u64,
    sent: u64,
    unsent: usize,
    /// But for the upper bits.
    signs: u32,
    partial: bool,
}

impl Seen {
    #[inline(always)]
    fn new(progress: Progress) -> Self {
        let Progress { received, messages, signs, messages_sent, sent, unsent, partial, .. } = progress;
        Self { received, messages, messages_sent, sent, unsent, signs: signs as u32, partial }
    }
}

/// A datagram socket that is never empty puts a deadline off for so many ticks: a peer that floods it does not keep a
/// session for ever.
const MOST_PUT_OFF: u8 = 32;

impl<'a> ProgressWatch<'a> {
    fn new(progress: Progress, cx: &'a ServeContext) -> Self {
        Self {
            timer: TimerEntry::new(&cx.timers),
            last: Seen::new(progress),
            active_at: Since::at(cx.timers.now()),
            frame_at: Since::NEVER,
            stuck_at: Since::NEVER,
            put_off: 0,
            cx,
        }
    }

    #[inline]
    fn observe(&mut self, progress: Progress, now: Tick) {
        let (seen, last) = (Seen::new(progress), &self.last);
        let received = (seen.messages.wrapping_sub(last.messages), seen.received.wrapping_sub(last.received));
        let sent = (seen.messages_sent.wrapping_sub(last.messages_sent), seen.sent.wrapping_sub(last.sent));
        let moved = received.0 | received.1 | sent.1 | u64::from(seen.signs ^ last.signs);
        if moved | sent.0 == 0 && (seen.unsent, seen.partial) == (last.unsent, last.partial) {
            return;
        }
        if moved != 0 {
            self.active_at = Since::at(now);
        }
        // What a datagram session sends is counted by the loop of its socket.
        match self.cx.capabilities.shape {
            Shape::Datagram => self.cx.stats.received(received.0, received.1),
            _ => self.cx.stats.moved(received, sent),
        }
        if !seen.partial || received.0 > 0 {
            self.frame_at = Since::NEVER;
        }
        if seen.partial {
            self.frame_at.begin(now);
        }
        if seen.unsent == 0 || sent.1 > 0 {
            self.stuck_at = Since::NEVER;
        }
        if seen.unsent > 0 {
            self.stuck_at.begin(now);
        }
        self.last = seen;
    }

    /// Ready when a deadline is over: with how the session ends.
    #[inline]
    fn poll(&mut self, task: &mut Context<'_>, now: Tick) -> Poll<SessionEnd> {
        if self.timer.is_armed(now) {
            return Poll::Pending;
        }
        self.poll_anew(task, now)
    }

    /// The entry has come due, or there was none.
    #[cold]
    fn poll_anew(&mut self, task: &mut Context<'_>, now: Tick) -> Poll<SessionEnd> {
        let wheel = &*self.cx.timers;
        self.active_at.set_right(wheel);
        self.frame_at.set_right(wheel);
        self.stuck_at.set_right(wheel);
        let (deadline, late) = [
            (self.stuck_at.deadline(wheel.write), SessionEnd::WriteTimeout),
            (self.frame_at.deadline(wheel.frame), SessionEnd::FrameTimeout),
            (self.active_at.deadline(wheel.idle), SessionEnd::IdleTimeout),
        ]
        .into_iter()
        .min_by_key(|(deadline, _)| *deadline)
        .unwrap_or((Tick::MAX, SessionEnd::IdleTimeout));
        self.poll_deadline(task, now, deadline).map(|()| late)
    }

    /// While the session is closed: ready when the peer has taken nothing for too long, since `begun` at the earliest.
    fn poll_write(&mut self, task: &mut Context<'_>, now: Tick, begun: &mut Since) -> Poll<()> {
        if self.timer.is_armed(now) {
            return Poll::Pending;
        }
        let wheel = &*self.cx.timers;
        begun.set_right(wheel);
        self.stuck_at.set_right(wheel);
        self.poll_deadline(task, now, self.stuck_at.or(*begun).deadline(wheel.write))
    }

    /// What one peer sent may wait in the socket behind what others sent.
    fn poll_deadline(&mut self, task: &mut Context<'_>, now: Tick, deadline: Tick) -> Poll<()> {
        if now < deadline {
            self.put_off = 0;
        } else if self.cx.capabilities.shape == Shape::Datagram
            && self.put_off < MOST_PUT_OFF
            && self.cx.load.is_behind()
        {
            self.put_off += 1;
            self.timer.put_off(task, now);
            return Poll::Pending;
        }
        self.timer.poll(task, now, deadline, &self.cx.load)
    }
}
