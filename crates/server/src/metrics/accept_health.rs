//! Whether a listener still accepts.

use std::io;
use std::time::Duration;

use tokio::time::Instant;

use super::incidents::IncidentLog;
use super::log_limiter::LogLimiter;
use super::numbers::Unhealthy;

/// After so long without one success among its failures, a listener is unhealthy.
const PATIENCE: Duration = Duration::from_secs(10);
/// Failures that are this far apart have nothing to do with each other: between them the listener waited for connections.
const APART: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(crate) struct AcceptHealth {
    /// The first and the last of the failures since the last success.
    failing: Option<(Instant, Instant)>,
    unhealthy: bool,
    /// It is unhealthy, and that was not logged.
    news: bool,
}

impl AcceptHealth {
    #[inline]
    pub(crate) fn succeeded(&mut self, log: &IncidentLog) {
        if self.failing.take().is_some() {
            self.recovered(log);
        }
    }

    /// It accepts no more, well or not.
    pub(crate) fn forgotten(&mut self, log: &IncidentLog) -> bool {
        let was = std::mem::take(&mut self.unhealthy);
        self.news = false;
        if was {
            log.stats.set_unhealthy(&log.endpoint, Unhealthy::NotAccepting, false);
        }
        was
    }

    #[cold]
    fn recovered(&mut self, log: &IncidentLog) {
        if self.forgotten(log) {
            tracing::info!(endpoint = %log.endpoint, "the listener accepts again");
        }
    }

    pub(crate) fn failed(&mut self, log: &IncidentLog) {
        let now = Instant::now();
        let first = match self.failing {
            Some((first, last)) if now - last <= APART => first,
            _ => now,
        };
        self.failing = Some((first, now));
        if !self.unhealthy && now - first >= PATIENCE {
            (self.unhealthy, self.news) = (true, true);
            log.stats.set_unhealthy(&log.endpoint, Unhealthy::NotAccepting, true);
        }
    }

    /// Tells that it became unhealthy, in place of any other log line; whether there was anything to tell.
    pub(crate) fn tell(&mut self, log: &IncidentLog, log_limiter: &LogLimiter, error: &io::Error) -> bool {
        let tells = self.news && log_limiter.is_due();
        if tells {
            self.news = false;
            tracing::error!(endpoint = %log.endpoint, %error, "the listener has accepted nothing for {PATIENCE:?}");
        }
        tells
    }
}
