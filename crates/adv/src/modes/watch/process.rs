//! A process as `/proc` shows it (proc(5)).

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Instant;

/// Ticks of a second in `/proc/PID/stat`: `USER_HZ`, which is 100 for programs on every system that Rust has Linux for.
const TICKS: f64 = 100.0;

/// A process that may end at any time.
#[derive(Debug)]
pub(super) struct Process {
    dir: PathBuf,
}

/// What it used at one time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    at: Instant,
    ticks: u64,
    pub(super) rss_kib: u64,
    pub(super) threads: u64,
    pub(super) fds: u64,
}

impl Process {
    pub(super) fn new(pid: u32) -> Self {
        Self { dir: format!("/proc/{pid}").into() }
    }

    /// # Errors
    /// It has ended, or belongs to somebody else.
    pub(super) fn look(&self) -> io::Result<Usage> {
        let at = Instant::now();
        let status = fs::read_to_string(self.dir.join("status"))?;
        let field = |name: &str| number(&status, name).ok_or_else(|| io::Error::other(format!("no {name} in status")));
        let ticks =
            ticks(&fs::read_to_string(self.dir.join("stat"))?).ok_or_else(|| io::Error::other("stat is odd"))?;
        let fds = fs::read_dir(self.dir.join("fd"))?.count() as u64;
        // One that has ended but was not waited for has no memory.
        Ok(Usage { at, ticks, rss_kib: field("VmRSS")?, threads: field("Threads")?, fds })
    }
}

impl Usage {
    /// Of one processor.
    pub(super) fn cpu_percent_since(&self, before: &Self) -> f64 {
        let seconds = self.at.duration_since(before.at).as_secs_f64().max(1e-9);
        self.ticks.saturating_sub(before.ticks) as f64 / TICKS / seconds * 100.0
    }
}

/// The number behind `name:` in a text of lines.
fn number(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The sum of `utime` and `stime`, fields 14 and 15. The second is a name in parentheses, which may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_any_name() {
        let stat = "7 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 40 2 0 0 20 0";
        assert_eq!(ticks(stat), Some(42));
        assert_eq!(number("Name:\tx\nVmRSS:\t  1234 kB\nThreads:\t3\n", "VmRSS"), Some(1234));
        assert_eq!(number("Name:\tx\n", "VmRSS"), None);
    }

    #[test]
    fn this_process_is_there_and_another_is_not() {
        let usage = Process::new(std::process::id()).look().unwrap();
        assert!(usage.rss_kib > 0 && usage.threads > 0 && usage.fds > 2, "{usage:?}");
        assert!(Process::new(u32::MAX).look().is_err());
    }
}
