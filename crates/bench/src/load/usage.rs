//! What processes and threads use, and where they run. Each is `None` where the system does not tell.

use std::collections::HashSet;
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

/// How many datagrams the system has dropped that were meant for the UDP sockets of a process (`proc_net(5)`, `drops`);
/// `None` if there are none.
pub(crate) fn dropped(process: u32) -> Option<u64> {
    let descriptors = std::fs::read_dir(format!("/proc/{process}/fd")).ok()?;
    let inode = |entry: std::io::Result<std::fs::DirEntry>| {
        let link = std::fs::read_link(entry.ok()?.path()).ok()?;
        link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse::<u64>().ok()
    };
    let own: HashSet<_> = descriptors.filter_map(inode).collect();
    let mut all = None;
    for table in ["udp", "udp6"] {
        let table = std::fs::read_to_string(format!("/proc/{process}/net/{table}")).unwrap_or_default();
        for line in table.lines().skip(1) {
            let mut fields = line.split_whitespace();
            let (inode, drops) = (fields.nth(9), fields.next_back());
            let number = |text: Option<&str>| text.and_then(|text| text.parse::<u64>().ok());
            if let (Some(inode), Some(drops)) = (number(inode), number(drops))
                && own.contains(&inode)
            {
                *all.get_or_insert(0) += drops;
            }
        }
    }
    all
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

/// A fixed piece of work, whose CPU time tells how fast the machine is: 64 bytes through a socket pair and back.
#[derive(Debug)]
pub(crate) struct Yardstick {
    #[cfg(unix)]
    ends: (std::os::unix::net::UnixStream, std::os::unix::net::UnixStream),
    /// Nanoseconds of CPU for each round trip, as often as it was measured; at most [`LENGTHS`](Self::LENGTHS).
    lengths: Vec<f64>,
}

impl Yardstick {
    /// Round trips in one measurement.
    const ROUND_TRIPS: u32 = 10;
    /// Measurements at most.
    const LENGTHS: usize = 10_000;

    pub(crate) fn new() -> Option<Self> {
        #[cfg(unix)]
        return Some(Self { ends: std::os::unix::net::UnixStream::pair().ok()?, lengths: Vec::new() });
        #[allow(unreachable_code, reason = "elsewhere there is no such pair")]
        None
    }

    /// Measures once. What the system does not tell is left out.
    pub(crate) fn measure(&mut self) {
        #[cfg(unix)]
        if let Some(length) = self.round_trip().filter(|_| self.lengths.len() < Self::LENGTHS) {
            self.lengths.push(length.as_nanos() as f64 / f64::from(Self::ROUND_TRIPS));
        }
    }

    #[cfg(unix)]
    fn round_trip(&mut self) -> Option<Duration> {
        use std::io::{Read as _, Write as _};
        let mut bytes = [0; 64];
        let (a, b) = &mut self.ends;
        let before = thread_cpu()?;
        for _ in 0..Self::ROUND_TRIPS {
            a.write_all(&bytes).ok()?;
            b.read_exact(&mut bytes).ok()?;
            b.write_all(&bytes).ok()?;
            a.read_exact(&mut bytes).ok()?;
        }
        Some(thread_cpu()?.saturating_sub(before))
    }

    /// The mean, without the shortest and the longest tenth; 0 if nothing was measured.
    pub(crate) fn mean(mut self) -> f64 {
        self.lengths.sort_by(f64::total_cmp);
        let tenth = self.lengths.len() / 10;
        let middle = &self.lengths[tenth..self.lengths.len() - tenth];
        if middle.is_empty() { 0.0 } else { middle.iter().sum::<f64>() / middle.len() as f64 }
    }
}

/// Local ports of this machine, or of the network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LocalPorts {
    /// From which the system chooses (`ip(7)`, `ip_local_port_range`).
    pub(crate) range: (u64, u64),
    /// How many those are.
    pub(crate) all: u64,
    /// Sockets of IPv4, open or in `TIME_WAIT`; not all of them have ports of the range.
    pub(crate) used: u64,
    /// Those in `TIME_WAIT`.
    pub(crate) waiting: u64,
}

/// How many local ports there are and are used (`proc(5)`, `/proc/net/sockstat`).
pub(crate) fn local_ports() -> Option<LocalPorts> {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    ports_of(&range, &std::fs::read_to_string("/proc/net/sockstat").ok()?)
}

fn ports_of(range: &str, sockets: &str) -> Option<LocalPorts> {
    let mut ends = range.split_whitespace().map(str::parse::<u64>);
    let (first, last) = (ends.next()?.ok()?, ends.next()?.ok()?);
    let count = |protocol: &str, what: &str| {
        let mut words = sockets.lines().find_map(|line| line.strip_prefix(protocol))?.split_whitespace();
        words.find(|word| *word == what)?;
        words.next()?.parse::<u64>().ok()
    };
    let waiting = count("TCP:", "tw")?;
    let used = waiting + count("TCP:", "inuse")? + count("UDP:", "inuse")?;
    Some(LocalPorts { range: (first, last), all: (last + 1).checked_sub(first)?, used, waiting })
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
    fn local_ports_are_counted() {
        let sockets = "sockets: used 9\nTCP: inuse 5 orphan 0 tw 190 alloc 7 mem 1\nUDP: inuse 2 mem 0\n";
        let ports = LocalPorts { range: (40_000, 40_199), all: 200, used: 197, waiting: 190 };
        assert_eq!(ports_of("40000\t40199\n", sockets), Some(ports));
        assert_eq!(ports_of("x", sockets), None);
        assert_eq!(ports_of("1 2", "TCP: inuse"), None);
        assert!(local_ports().is_some_and(|ports| ports.all > 0), "{:?}", local_ports());
    }

    #[test]
    fn what_is_used_is_seen() {
        let (thread, process) = (thread_cpu().unwrap(), process_cpu(None).unwrap());
        let mut yardstick = Yardstick::new().unwrap();
        (0..20).for_each(|_| yardstick.measure());
        assert!(yardstick.mean() > 0.0);
        assert!(thread_cpu().unwrap() > thread && process_cpu(Some(std::process::id())).unwrap() > process);
        assert!(resident(std::process::id()).unwrap() > 100_000);
        assert_eq!(resident(u32::MAX), None);
        assert_eq!(process_cpu(Some(u32::MAX)), None);
        assert!(pin(100_000).unwrap_err().starts_with("pin a thread to processor 100000: "));
    }
}
