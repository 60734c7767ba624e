//! What the benches share: which wires, which loads, which servers, and how criterion measures them.

pub mod by_hand;
pub mod cell;
pub mod framed;
mod load;
pub mod server;
pub mod session_echo;

use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput};

pub use cell::Cell;
pub use load::compare;
pub use server::Server;

/// The wires of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    Tcp,
    Udp,
    Unix,
    UnixDgram,
    UnixSeq,
    Ws,
    Mem,
}

impl Wire {
    pub const ALL: [Self; 7] = [Self::Tcp, Self::Udp, Self::Unix, Self::UnixDgram, Self::UnixSeq, Self::Ws, Self::Mem];

    /// As in endpoints.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Unix => "unix",
            Self::UnixDgram => "unix-dgram",
            Self::UnixSeq => "unix-seq",
            Self::Ws => "ws",
            Self::Mem => "mem",
        }
    }

    /// Whether tokio alone has it, so that there is a server and a client by hand.
    pub const fn is_plain(self) -> bool {
        !matches!(self, Self::UnixSeq | Self::Ws)
    }
}

/// Who serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `swapwire::server()` with all its limits and deadlines on.
    Swapwire,
    /// The same with the handler out of the registry, by its name: it comes as an `Arc<dyn Service>`.
    Registry,
    /// The same with a session handler.
    Session,
    /// A loop around the handler by hand, on our wire: no service, no limit, no deadline.
    Direct,
    /// What one writes by hand with tokio.
    ByHand,
}

impl Kind {
    /// The function's name in criterion's reports; `scripts/bench-table.py` knows it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Swapwire => "swapwire",
            Self::Registry => "registry",
            Self::Session => "session",
            Self::Direct => "direct",
            Self::ByHand => "by-hand",
        }
    }
}

/// Short measurements, many of them: some 250 cells run in a quarter of an hour. What a sample costs beside its messages
/// counts in both times, so the warm-up is long enough to see past that.
pub fn criterion() -> Criterion {
    run_on_one_processor();
    Criterion::default()
        .warm_up_time(Duration::from_millis(700))
        .measurement_time(Duration::from_millis(2500))
        .sample_size(20)
        .nresamples(10_000)
        .without_plots()
        .configure_from_args()
}

/// Binds this thread, and all that it starts, to one processor, where the system can. Then client and server take turns,
/// and no time depends on where the scheduler puts two threads that wait for each other: on two processors, the ratio of one
/// cell in memory was 0.83, 1.00 and 3.34 in three runs, and on one 1.21, 1.22 and 1.25. A time is what both cost together.
fn run_on_one_processor() {
    #[cfg(target_os = "linux")]
    {
        use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
        use nix::unistd::Pid;

        let this = Pid::from_raw(0);
        let allowed = sched_getaffinity(this).unwrap();
        // The first is where interrupts often go.
        if let Some(last) = (0..CpuSet::count()).rfind(|at| allowed.is_set(*at).unwrap()) {
            let mut one = CpuSet::new();
            one.set(last).unwrap();
            sched_setaffinity(this, &one).unwrap();
        }
    }
}

/// A group of cells, `bench/what/…`. All samples are as long, since connections are opened for each.
pub fn group<'a>(criterion: &'a mut Criterion, name: String) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sampling_mode(SamplingMode::Flat);
    group
}

/// `messages` messages of `size` bytes in each iteration.
pub const fn throughput(messages: usize, size: usize) -> Throughput {
    Throughput::ElementsAndBytes { elements: messages as u64, bytes: (messages * size) as u64 }
}
