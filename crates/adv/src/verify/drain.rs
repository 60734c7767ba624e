//! When the server began to drain, and which requests it owes a reply.

use std::cell::Cell;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The drain, as it is seen from outside.
#[derive(Debug)]
pub(crate) struct Drain {
    margin: Duration,
    began: Cell<Option<Instant>>,
    ended: Cell<Option<Instant>>,
}

impl Drain {
    pub(crate) fn new(margin: Duration) -> Self {
        Self { margin, began: Cell::new(None), ended: Cell::new(None) }
    }

    /// Sends SIGTERM, which begins it.
    ///
    /// # Errors
    /// No such process, or not ours.
    pub(crate) fn signal(&self, pid: i32) -> anyhow::Result<()> {
        self.began.set(Some(Instant::now()));
        kill(Pid::from_raw(pid), Signal::SIGTERM).with_context(|| format!("send SIGTERM to process {pid}"))
    }

    /// A connection ended. The first that does so begins the drain, if no signal has.
    pub(crate) fn end(&self) {
        let now = Instant::now();
        self.began.set(self.began.get().or(Some(now)));
        self.ended.set(Some(now));
    }

    pub(crate) fn began(&self) -> Option<Instant> {
        self.began.get()
    }

    /// From the beginning until the last connection's end.
    pub(crate) fn ended(&self) -> Option<Duration> {
        Some(self.ended.get()?.saturating_duration_since(self.began.get()?))
    }

    /// Whether a request, whose last byte the system took then, was due a reply.
    pub(crate) fn owes(&self, written: Instant) -> bool {
        self.began.get().is_some_and(|began| written + self.margin <= began)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_left_well_before_the_first_end_is_owed() {
        let drain = Drain::new(Duration::from_secs(1));
        let now = Instant::now();
        assert!(!drain.owes(now), "nothing has ended");
        drain.end();
        assert!(!drain.owes(now));
        assert!(drain.owes(now - Duration::from_secs(2)));
        let began = drain.began();
        drain.end();
        assert_eq!(drain.began(), began, "only the first end begins it");
    }
}
