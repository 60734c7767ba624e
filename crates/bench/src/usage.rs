//! What processes and threads use, and where they run. Each is `None` where the system does not tell.

use std::time::Duration;

use crate::Machine;

/// CPU time that this thread has used.
pub(crate) fn thread_cpu() -> Option<Duration> {
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "macos", target_os = "freebsd"))]
    return clock(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID);
    #[allow(unreachable_code, reason = "elsewhere it is not known")]
    None
}

/// CPU time that a process has used; without a number, this one.
pub(crate) fn process_cpu(process: Option<u32>) -> Option<Duration> {
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    {
        use nix::time::ClockId;
        use nix::unistd::Pid;
        let id = match process {
            None => ClockId::CLOCK_PROCESS_CPUTIME_ID,
            Some(process) => ClockId::pid_cpu_clock_id(Pid::from_raw(i32::try_from(process).ok()?)).ok()?,
        };
        return clock(id);
    }
    #[allow(unreachable_code, reason = "elsewhere it is not known")]
    {
        let _ = process;
        None
    }
}

#[cfg(unix)]
fn clock(id: nix::time::ClockId) -> Option<Duration> {
    id.now().ok().map(Duration::from)
}

/// Resident memory of a process, in bytes (`proc(5)`, `VmRSS`).
pub(crate) fn resident(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// Binds this thread to a processor. An error is a line.
pub(crate) fn pin(cpu: usize) -> Result<(), String> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use nix::sched::{CpuSet, sched_setaffinity};
        use nix::unistd::Pid;
        let mut set = CpuSet::new();
        let result = set.set(cpu).and_then(|()| sched_setaffinity(Pid::from_raw(0), &set));
        return result.map_err(|error| format!("pin a thread to processor {cpu}: {}", error.desc()));
    }
    #[allow(unreachable_code, reason = "elsewhere there is no such call")]
    Err(format!("pin a thread to processor {cpu}: this system has no call for that"))
}

/// The CPU time of a fixed piece of work, in nanoseconds: 64 bytes through a socket pair and back. How fast the machine is
/// now.
pub(crate) fn yardstick() -> Option<f64> {
    #[cfg(unix)]
    {
        use std::io::{Read as _, Write as _};
        use std::os::unix::net::UnixStream;
        const TURNS: u32 = 500;
        const BATCHES: usize = 9;
        let (mut a, mut b) = UnixStream::pair().ok()?;
        let mut bytes = [0; 64];
        let mut times = [Duration::ZERO; BATCHES];
        for time in &mut times {
            let before = thread_cpu()?;
            for _ in 0..TURNS {
                a.write_all(&bytes).ok()?;
                b.read_exact(&mut bytes).ok()?;
                b.write_all(&bytes).ok()?;
                a.read_exact(&mut bytes).ok()?;
            }
            *time = thread_cpu()?.saturating_sub(before);
        }
        times.sort();
        return Some(times[BATCHES / 2].as_nanos() as f64 / f64::from(TURNS));
    }
    #[allow(unreachable_code, reason = "elsewhere there is no such pair")]
    None
}

/// This machine.
pub(crate) fn machine() -> Machine {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpus.lines().find_map(|line| line.strip_prefix("model name")?.trim_start().strip_prefix(':'));
    Machine {
        os: format!("{} {}", std::env::consts::OS, release.trim()).trim_end().to_owned(),
        cpu: cpu.unwrap_or_default().trim().to_owned(),
        cpus: std::thread::available_parallelism().map_or(1, Into::into),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_is_seen() {
        let (thread, process) = (thread_cpu().unwrap(), process_cpu(None).unwrap());
        assert!(yardstick().unwrap() > 0.0);
        assert!(thread_cpu().unwrap() > thread && process_cpu(Some(std::process::id())).unwrap() > process);
        assert!(resident(std::process::id()).unwrap() > 100_000);
        assert_eq!(resident(u32::MAX), None);
        assert_eq!(process_cpu(Some(u32::MAX)), None);
        assert!(pin(100_000).unwrap_err().starts_with("pin a thread to processor 100000: "));
    }
}
