//! Whether a listener still accepts.

use std::io;
use std::time::Duration;

use tokio::time::Instant;

use crate::ServeContext;

/// After so long without one success among its failures, a listener is unhealthy.
const PATIENCE: Duration = Duration::from_secs(10);
/// Failures that are this far apart have nothing to do with each other: between them it waited for somebody to come.
const APART: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(crate) struct Health {
    /// The first and the last of the failures since the last success.
    failing: Option<(Instant, Instant)>,
    unhealthy: bool,
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
        if was {
            cx.stats.set_unhealthy(&cx.endpoint, false);
        }
        was
    }

    #[cold]
    fn recovered(&mut self, cx: &ServeContext) {
        if self.forgotten(cx) {
            tracing::info!(endpoint = %cx.endpoint, "the listener accepts again");
        }
    }

    pub(crate) fn failed(&mut self, cx: &ServeContext, error: &io::Error) {
        let now = Instant::now();
        let first = match self.failing {
            Some((first, last)) if now - last <= APART => first,
            _ => now,
        };
        self.failing = Some((first, now));
        if !self.unhealthy && now - first >= PATIENCE {
            self.unhealthy = true;
            cx.stats.set_unhealthy(&cx.endpoint, true);
            tracing::error!(endpoint = %cx.endpoint, %error, "the listener has accepted nothing for {PATIENCE:?}");
        }
    }
}
