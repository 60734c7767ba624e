//! Looks after the place that a listener or a datagram socket is bound to.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use swapwire_core::Upkeep;
use tokio::task::coop::has_budget_remaining;
use tokio::time::{Instant, Sleep, sleep};

use super::incidents::{Incident, IncidentLog};
use super::numbers::{Stats, Unhealthy};

/// How often it looks: what has happened is known, and mended by every member of a group, within a second.
const EVERY: Duration = Duration::from_millis(500);

/// Of one loop.
#[derive(Debug, Default)]
pub(crate) struct UpkeepTimer {
    next: Next,
    unreachable: bool,
}

#[derive(Debug, Default)]
enum Next {
    /// It was not looked yet.
    #[default]
    ImmediateCalls,
    At {
        timer: Pin<Box<Sleep>>,
        /// Polled once: that is enough, because the task's waker stays the same.
        registered: bool,
    },
    /// There is nothing to look after.
    Never,
}

impl UpkeepTimer {
    /// Ready when it is time to look; [`UpkeepTimer::found`] is to be told what was found.
    #[inline]
    pub(crate) fn poll_due(&mut self, task: &mut Context<'_>) -> Poll<()> {
        match &mut self.next {
            Next::Never => Poll::Pending,
            Next::ImmediateCalls => Poll::Ready(()),
            Next::At { timer, registered: true } if !timer.is_elapsed() => Poll::Pending,
            Next::At { timer, registered } => {
                // Without budget the timer says nothing, and the task is woken for it.
                *registered = has_budget_remaining();
                timer.as_mut().poll(task)
            }
        }
    }

    /// Tells what is new, once, and when to look again.
    pub(crate) fn found(&mut self, found: Option<Upkeep>, log: &IncidentLog) {
        let Some(Upkeep { reachable, news, reconnects, lost, .. }) = found else {
            self.next = Next::Never;
            return;
        };
        Stats::add(&log.stats.reconnects, reconnects);
        log.note(Incident::Lost, lost, None, "");
        match (reachable, news) {
            (_, None) => {}
            (true, Some(news)) => tracing::warn!(endpoint = %log.endpoint, "{news}"),
            (false, Some(news)) => tracing::error!(endpoint = %log.endpoint, "{news}"),
        }
        self.note(!reachable, log);
        match &mut self.next {
            Next::At { timer, registered } => {
                timer.as_mut().reset(Instant::now() + EVERY);
                *registered = false;
            }
            next => *next = Next::At { timer: Box::pin(sleep(EVERY)), registered: false },
        }
    }

    /// It is served no more, well or not.
    pub(crate) fn forgotten(&mut self, log: &IncidentLog) {
        self.next = Next::Never;
        self.note(false, log);
    }

    fn note(&mut self, unreachable: bool, log: &IncidentLog) {
        if self.unreachable != unreachable {
            self.unreachable = unreachable;
            log.stats.set_unhealthy(&log.endpoint, Unhealthy::Unreachable, unreachable);
        }
    }
}
