//! The signals that mean: stop; and the one that may mean: reload.

use std::io;

use crate::serve::Reloads;

/// SIGINT, SIGTERM, SIGQUIT and SIGHUP, from now on; elsewhere than on Unix, Ctrl-C.
///
/// One that is ignored stays ignored: `nohup` and shells that start a command in the background say so to the commands
/// that they start (`nohup(1)`). A SIGHUP is never one of two: it comes twice when a terminal is closed, from the
/// system and from the shell, and together with a SIGTERM from systemd (`SendSIGHUP=`, `systemd.kill(5)`).
#[derive(Debug)]
pub(crate) struct Signals {
    #[cfg(unix)]
    all: Vec<(tokio::signal::unix::SignalKind, tokio::signal::unix::Signal)>,
    /// There was one; there was one other than SIGHUP.
    #[cfg(unix)]
    came: (bool, bool),
    /// Who is asked by a SIGHUP to reload; without, it stops.
    #[cfg(unix)]
    reloads: Option<Reloads>,
}

impl Signals {
    #[cfg(unix)]
    pub(crate) fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::quit(), SignalKind::hangup()];
        // Before the first handler takes its place.
        let ignored = ignored();
        let heard = kinds.into_iter().filter(|kind| ignored & bit(kind.as_raw_value()) == 0);
        let all = heard.map(|kind| Ok((kind, signal(kind)?))).collect::<io::Result<_>>()?;
        Ok(Self { all, came: (false, false), reloads: None })
    }

    /// From now on a SIGHUP asks for a reload, and stops nothing. Returns whether it does: it may be ignored.
    #[cfg(unix)]
    pub(crate) fn reload_instead(&mut self, reloads: Reloads) -> bool {
        let is_heard = self.all.iter().any(|(kind, _)| *kind == tokio::signal::unix::SignalKind::hangup());
        self.reloads = Some(reloads);
        is_heard
    }

    /// There is no such signal.
    #[cfg(not(unix))]
    pub(crate) fn reload_instead(&mut self, _: Reloads) -> bool {
        false
    }

    #[cfg(not(unix))]
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {})
    }

    /// Waits for the first one that stops, then for the second, third, … other than SIGHUP; for ever, if all of them are
    /// ignored.
    #[cfg(unix)]
    pub(crate) async fn next(&mut self) {
        use std::task::Poll;
        use tokio::signal::unix::SignalKind;
        std::future::poll_fn(|cx| {
            for (kind, signal) in &mut self.all {
                while signal.poll_recv(cx).is_ready() {
                    let hang_up = *kind == SignalKind::hangup();
                    if let (true, Some(reloads)) = (hang_up, &self.reloads) {
                        reloads.ask();
                        continue;
                    }
                    let (any, other) = self.came;
                    self.came = (true, other || !hang_up);
                    if !any || other && !hang_up {
                        return Poll::Ready(());
                    }
                }
            }
            Poll::Pending
        })
        .await;
    }

    /// What `work` gives; nothing, if the next signal comes first.
    pub(crate) async fn unless<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            () = self.next() => None,
        }
    }

    /// Waits for the next one.
    #[cfg(not(unix))]
    pub(crate) async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}

/// The place of a signal in the system's sets.
#[cfg(unix)]
fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

/// The signals that this process ignores, as Linux tells them (`proc_pid_status(5)`); none where that is not to be had.
#[cfg(unix)]
fn ignored() -> u64 {
    std::fs::read_to_string("/proc/self/status").map_or(0, |status| ignored_in(&status))
}

#[cfg(unix)]
fn ignored_in(status: &str) -> u64 {
    let set = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_that_hangs_ends_with_a_signal() {
        let mut signals = Signals::new().unwrap();
        assert_eq!(signals.unless(std::future::ready(1)).await, Some(1));
        nix::sys::signal::raise(nix::sys::signal::Signal::SIGTERM).unwrap();
        assert_eq!(signals.unless(std::future::pending::<()>()).await, None);
    }

    #[test]
    fn the_set_of_ignored_signals_is_read() {
        // SIGHUP is 1 and SIGPIPE 13 (signal(7)).
        let set =
            ignored_in("Name:\tx\nSigBlk:\t0000000000000002\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000004\n");
        assert_eq!(set, bit(1) | bit(13));
        assert_eq!(ignored_in("SigIgn:\tffffffffffffffff"), u64::MAX);
        assert_eq!(ignored_in("nothing"), 0);
    }
}
