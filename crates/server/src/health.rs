//! Whether a listener still accepts.

use std::io;
use std::time::Duration;

use tokio::time::Instant;

use crate::ServeContext;
use crate::complaint::Complaint;
use crate::stats::Unwell;

/// After so long without one success among its failures, a listener is unhealthy.
const PATIENCE: Duration = Duration::from_secs(10);
/// Failures that are this far apart have nothing to do with each other: between them it waited for somebody to come.
const APART: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(crate) struct Health {
    /// The first and the last of the failures since the last success.
    failing: Option<(Instant, Instant)>,
    unhealthy: bool,
    /// It is unhealthy, and nobody was told.
    news: bool,
}

impl Health {
    #[inline]
    pub(crate) fn succeeded(&mut self, cx: &ServeContext) {
        if self.failing.take().is_some() {
            self.recovered(cx);
        }
    }

    /// It accepts no more, well or not.
    pub(crate) fn forgotten(&mut self, cx: &ServeContext) -> bool {
        let was = std::mem::take(&mut self.unhealthy);
        self.news = false;
        if was {
            cx.stats.set_unwell(&cx.endpoint, Unwell::NotAccepting, false);
        }
        was
    }

    #[cold]
    fn recovered(&mut self, cx: &ServeContext) {
        if self.forgotten(cx) {
            tracing::info!(endpoint = %cx.endpoint, "the listener accepts again");
        }
    }

    pub(crate) fn failed(&mut self, cx: &ServeContext) {
        let now = Instant::now();
        let first = match self.failing {
            Some((first, last)) if now - last <= APART => first,
            _ => now,
        };
        self.failing = Some((first, now));
        if !self.unhealthy && now - first >= PATIENCE {
            (self.unhealthy, self.news) = (true, true);
            cx.stats.set_unwell(&cx.endpoint, Unwell::NotAccepting, true);
        }
    }

    /// Tells that it became unhealthy, in place of any other complaint; whether there was anything to tell.
    pub(crate) fn tell(&mut self, cx: &ServeContext, complaint: &Complaint, error: &io::Error) -> bool {
        let tells = self.news && complaint.is_due();
        if tells {
            self.news = false;
            tracing::error!(endpoint = %cx.endpoint, %error, "the listener has accepted nothing for {PATIENCE:?}");
        }
        tells
    }
}
