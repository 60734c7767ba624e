//! The signals that mean: stop.

use std::io;

/// SIGINT, SIGTERM, SIGQUIT and SIGHUP, from now on; elsewhere than on Unix, Ctrl-C.
///
/// One that is ignored stays ignored: `nohup` and shells that start a command in the background say so to the commands
/// that they start (`nohup(1)`).
#[derive(Debug)]
pub(crate) struct Signals {
    #[cfg(unix)]
    all: Vec<tokio::signal::unix::Signal>,
}

impl Signals {
    #[cfg(unix)]
    pub(crate) fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::quit(), SignalKind::hangup()];
        // Before the first handler takes its place.
        let ignored = ignored();
        let heard = kinds.into_iter().filter(|kind| ignored & bit(kind.as_raw_value()) == 0);
        Ok(Self { all: heard.map(signal).collect::<Result<_, _>>()? })
    }

    #[cfg(not(unix))]
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {})
    }

    /// Waits for the next one; for ever, if all of them are ignored.
    #[cfg(unix)]
    pub(crate) async fn next(&mut self) {
        use std::task::Poll;
        std::future::poll_fn(|cx| {
            let came = self.all.iter_mut().any(|signal| signal.poll_recv(cx).is_ready());
            if came { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
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
