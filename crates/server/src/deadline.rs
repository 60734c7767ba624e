//! Deadlines without a timer operation per message.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::Limits;

/// One timer for all deadlines of a session. It is armed at most as far ahead as the shortest deadline, so a wait never
/// has to move it nearer: it looks at the clock, and touches the timer only when its time has come.
pub(crate) struct Deadlines {
    timer: Option<Pin<Box<Sleep>>>,
    longest_sleep: Duration,
}

impl Deadlines {
    pub(crate) fn new(limits: &Limits) -> Self {
        let all = [limits.frame_timeout, limits.write_timeout, limits.idle_timeout];
        let longest_sleep = all.into_iter().flatten().min().unwrap_or(Duration::from_secs(30));
        Self { timer: None, longest_sleep }
    }

    /// Ready once `deadline` is over, as of `now`. The task is woken then, or earlier.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, now: Instant, deadline: Option<Instant>) -> Poll<()> {
        let Some(deadline) = deadline else { return Poll::Pending };
        if now >= deadline {
            return Poll::Ready(());
        }
        let wake = deadline.min(now + self.longest_sleep);
        match &mut self.timer {
            None => self.timer = Some(Box::pin(sleep_until(wake))),
            Some(timer) if timer.deadline() <= now || timer.deadline() > deadline => timer.as_mut().reset(wake),
            Some(_) => return Poll::Pending,
        }
        if let Some(timer) = &mut self.timer {
            // The timer is polled only when it is set: a task that has had its turn must not be refused then.
            while pin!(unconstrained(timer.as_mut())).poll(cx).is_ready() {
                let now = Instant::now();
                if now >= deadline {
                    return Poll::Ready(());
                }
                timer.as_mut().reset(deadline.min(now + self.longest_sleep));
            }
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
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_nearest_deadline_counts() {
        let limits = Limits { frame_timeout: Some(Duration::from_secs(3)), ..Limits::default() };
        let mut deadlines = Deadlines::new(&limits);
        let start = Instant::now();
        let far = Some(start + Duration::from_secs(10));
        std::future::poll_fn(|cx| deadlines.poll(cx, Instant::now(), far)).await;
        assert_eq!(start.elapsed().as_secs(), 10);
        let near = Some(Instant::now() + Duration::from_secs(1));
        std::future::poll_fn(|cx| deadlines.poll(cx, Instant::now(), near)).await;
        assert_eq!(start.elapsed().as_secs(), 11);
    }
    #[tokio::test(start_paused = true)]
    async fn a_task_that_has_had_its_turn_is_woken_too() {
        let mut deadlines = Deadlines::new(&Limits::default());
        let start = Instant::now();
        let deadline = Some(start + Duration::from_secs(10));
        let mut polls = 0;
        std::future::poll_fn(|cx| {
            polls += 1;
            while polls == 1 && tokio::task::coop::has_budget_remaining() {
                let one = pin!(tokio::task::consume_budget());
                assert!(one.poll(cx).is_ready());
            }
            deadlines.poll(cx, Instant::now(), deadline)
        })
        .await;
        assert_eq!((start.elapsed().as_secs(), polls), (10, 2));
    }
}
