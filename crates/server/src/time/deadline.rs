//! Deadlines without a timer operation per message.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use swapwire_core::Shape;
use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

use super::deadline_check::DeadlineCheck;
use super::timer_wheel::TICK;
use crate::{Limits, ServeContext};

/// One timer for all deadlines of a session. It is armed at most as far ahead as the shortest deadline, so a wait never
/// has to move it nearer: it looks at the clock, and touches the timer only when its time has come.
pub(crate) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    longest: Duration,
}

impl Timer {
    pub(crate) fn new(limits: &Limits) -> Self {
        let all = [limits.frame_timeout, limits.write_timeout, limits.idle_timeout];
        let longest = all.into_iter().flatten().min().unwrap_or(Duration::from_secs(30));
        Self { sleep: None, longest }
    }

    /// Ready once it is `at`, as of `now`. The task is woken then, or earlier.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, now: Instant, at: Instant) -> Poll<()> {
        if now >= at {
            return Poll::Ready(());
        }
        let wake = at.min(now + self.longest);
        match &mut self.sleep {
            None => self.sleep = Some(Box::pin(sleep_until(wake))),
            Some(sleep) if sleep.deadline() <= now || sleep.deadline() > at => sleep.as_mut().reset(wake),
            Some(_) => return Poll::Pending,
        }
        while self.has_gone_off(cx) {
            let now = Instant::now();
            if now >= at {
                return Poll::Ready(());
            }
            self.set(at.min(now + self.longest));
        }
        Poll::Pending
    }

    fn set(&mut self, at: Instant) {
        match &mut self.sleep {
            None => self.sleep = Some(Box::pin(sleep_until(at))),
            Some(sleep) => sleep.as_mut().reset(at),
        }
    }

    /// A task that has had its turn must not be refused: it is polled only when it is set.
    fn has_gone_off(&mut self, cx: &mut Context<'_>) -> bool {
        self.sleep.as_mut().is_some_and(|sleep| pin!(unconstrained(sleep.as_mut())).poll(cx).is_ready())
    }
}

/// The deadlines of a session.
pub(crate) struct Deadlines {
    timer: Timer,
    check: DeadlineCheck,
    /// The deadline that it is for.
    looked_for: Option<Instant>,
    /// Turns that came while the socket's loop was behind.
    behind: u8,
}

/// A datagram socket that is never empty is waited for so many turns: whoever floods it keeps nobody for ever.
const PATIENCE: u8 = 32;

impl Deadlines {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { timer: Timer::new(limits), check: DeadlineCheck::default(), looked_for: None, behind: 0 }
    }

    /// Ready once `deadline` is over, as of `now`, and that is [believed](SecondLook::is_done): to be asked behind a look at
    /// the wire. The task is woken then, or earlier.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        deadline: Option<Instant>,
        server: &ServeContext,
    ) -> Poll<()> {
        let Some(deadline) = deadline else { return Poll::Pending };
        ready!(self.timer.poll(cx, now, deadline));
        self.poll_over(cx, deadline, server)
    }

    /// Something came all the same, although the deadline stays.
    pub(crate) fn begin_anew(&mut self) {
        self.looked_for = None;
    }

    /// A look now, and one each time the timer goes off.
    #[cold]
    fn poll_over(&mut self, cx: &mut Context<'_>, deadline: Instant, server: &ServeContext) -> Poll<()> {
        if self.looked_for.replace(deadline) != Some(deadline) {
            self.check.begin_anew();
            self.behind = 0;
        } else if !self.timer.has_gone_off(cx) {
            return Poll::Pending;
        }
        // What one peer said may wait in the socket behind what others did.
        if self.behind < PATIENCE && server.capabilities.shape == Shape::Datagram && server.stats.is_behind() {
            self.behind += 1;
            self.check.begin_anew();
        } else if self.check.is_done(&server.stats) {
            return Poll::Ready(());
        }
        self.timer.set(Instant::now() + TICK);
        if self.timer.has_gone_off(cx) {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

/// The deadline that begins at `since`, if there is such a timeout.
pub(crate) fn after(since: Instant, timeout: Option<Duration>) -> Option<Instant> {
    since.checked_add(timeout?)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use swapwire_core::Capabilities;
    use tokio::time::timeout;

    use super::*;
    use crate::metrics::Behind;

    async fn wait(deadlines: &mut Deadlines, after: Duration) -> Duration {
        let (begun, cx) = (Instant::now(), ServeContext::for_test());
        let deadline = Some(begun + after);
        poll_fn(|task| deadlines.poll(task, Instant::now(), deadline, &cx)).await;
        begun.elapsed().checked_sub(after).expect("not early")
    }

    #[tokio::test(start_paused = true)]
    async fn the_nearest_deadline_counts() {
        let limits = Limits { frame_timeout: Some(Duration::from_secs(3)), ..Limits::default() };
        let mut deadlines = Deadlines::new(&limits);
        for seconds in [10, 1] {
            let late = wait(&mut deadlines, Duration::from_secs(seconds)).await;
            assert!(late <= 3 * TICK, "{late:?} after {seconds} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_in_a_datagram_socket_is_waited_for_and_not_for_ever() {
        let cx = ServeContext { capabilities: Capabilities::datagram(1000), ..ServeContext::for_test() };
        let mut deadlines = Deadlines::new(&cx.limits);
        let mut behind = Behind::new(&cx.stats);
        let over = Some(Instant::now());
        for flooded in [false, true] {
            behind.set(true);
            let begun = Instant::now();
            let late = poll_fn(|task| deadlines.poll(task, Instant::now(), over, &cx));
            let mut late = pin!(late);
            let waited = if flooded { TICK * u32::from(PATIENCE) } else { TICK * 10 };
            assert!(timeout(waited, late.as_mut()).await.is_err(), "it is behind");
            behind.set(flooded);
            late.await;
            assert!(begun.elapsed() <= waited + 4 * TICK, "{:?}", begun.elapsed());
            deadlines.begin_anew();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_has_had_its_turn_is_woken_too() {
        let mut timer = Timer::new(&Limits::default());
        let start = Instant::now();
        let mut polls = 0;
        poll_fn(|cx| {
            polls += 1;
            while polls == 1 && tokio::task::coop::has_budget_remaining() {
                let one = pin!(tokio::task::consume_budget());
                assert!(one.poll(cx).is_ready());
            }
            timer.poll(cx, Instant::now(), start + Duration::from_secs(10))
        })
        .await;
        assert_eq!((start.elapsed().as_secs(), polls), (10, 2));
    }
}
