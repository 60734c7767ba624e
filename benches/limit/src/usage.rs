//! What the calling thread used, and where it runs.

use std::time::Duration;

use anyhow::Context as _;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

/// Binds the calling thread to one processor.
///
/// # Errors
/// This process has no such processor.
pub fn pin(cpu: usize) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    let bound = set.set(cpu).and_then(|()| sched_setaffinity(Pid::from_raw(0), &set));
    bound.with_context(|| format!("pin to processor {cpu}"))
}

/// CPU time of the calling thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Exact.
    pub(crate) cpu: Duration,
    /// Of that, outside and inside the kernel: estimates, whose sum may differ from `cpu`.
    pub(crate) user: Duration,
    pub(crate) system: Duration,
}

impl Usage {
    pub(crate) fn now() -> anyhow::Result<Self> {
        let cpu = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).context("read the thread's CPU clock")?;
        let usage = getrusage(UsageWho::RUSAGE_THREAD).context("read the thread's usage")?;
        Ok(Self { cpu: cpu.into(), user: duration(usage.user_time()), system: duration(usage.system_time()) })
    }

    /// What was used since.
    pub(crate) fn elapsed(self) -> anyhow::Result<Self> {
        let now = Self::now()?;
        Ok(Self {
            cpu: now.cpu.saturating_sub(self.cpu),
            user: now.user.saturating_sub(self.user),
            system: now.system.saturating_sub(self.system),
        })
    }
}

fn duration(time: TimeVal) -> Duration {
    Duration::new(time.tv_sec().cast_unsigned(), time.tv_usec() as u32 * 1000)
}
