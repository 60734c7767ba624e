//! What the system says of this process: the metrics that every exporter of Prometheus has.

use std::fs;
use std::sync::OnceLock;

/// Clock ticks of `proc(5)` in a second: `USER_HZ`, which is 100 on every architecture that has a tier in Rust.
const TICKS: f64 = 100.0;

/// Name, type, help, value.
type Metric = (&'static str, &'static str, &'static str, f64);

/// Those that the system tells; none without `proc(5)`.
pub(super) fn metrics() -> Vec<Metric> {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    // Behind the name of the program, which may have blanks and parentheses: the state, which is the third field.
    let fields: Vec<f64> = stat.rsplit(") ").next().into_iter().flat_map(str::split_whitespace).map(number).collect();
    let field = |number: usize| fields.get(number - 3).copied();
    let memory = |name| status(name).map(|kib| kib * 1024.0);
    let found = [
        (
            "process_cpu_seconds_total",
            "counter",
            "Time of the processor that this process has used, in seconds.",
            field(14).zip(field(15)).map(|(user, system)| (user + system) / TICKS),
        ),
        (
            "process_start_time_seconds",
            "gauge",
            "When this process began, in seconds since 1970.",
            field(22).zip(booted()).map(|(ticks, booted)| booted + ticks / TICKS),
        ),
        (
            "process_resident_memory_bytes",
            "gauge",
            "Memory of this process that is resident, in bytes.",
            memory("VmRSS:"),
        ),
        ("process_virtual_memory_bytes", "gauge", "Address space of this process, in bytes.", memory("VmSize:")),
        ("process_open_fds", "gauge", "Open file descriptors.", open_descriptors()),
        (
            "process_max_fds",
            "gauge",
            "File descriptors that may be open.",
            limits
                .lines()
                .find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next()?.parse().ok()),
        ),
    ];
    found.into_iter().filter_map(|(name, kind, help, value)| Some((name, kind, help, value?))).collect()
}

fn number(text: &str) -> f64 {
    text.parse().unwrap_or(f64::NAN)
}

/// A field of `/proc/self/status`, in KiB.
fn status(name: &str) -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

/// When the system was started, in seconds since 1970.
fn booted() -> Option<f64> {
    static BOOTED: OnceLock<Option<f64>> = OnceLock::new();
    *BOOTED.get_or_init(|| {
        let stat = fs::read_to_string("/proc/stat").ok()?;
        stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
    })
}

/// Linux tells it as a size from 6.2 on; before, they are counted.
fn open_descriptors() -> Option<f64> {
    const FOLDER: &str = "/proc/self/fd";
    match fs::metadata(FOLDER).ok()?.len() {
        0 => Some(fs::read_dir(FOLDER).ok()?.count() as f64),
        told => Some(told as f64),
    }
}
