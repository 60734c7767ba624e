//! The matrix that the benches share: which wires, which sizes, which servers, and how criterion measures them.

mod load;
pub mod server;

use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput};

pub use load::servers;
pub use server::Server;

/// Message sizes in bytes: a line, a packet, more than a small read buffer.
pub const SIZES: [usize; 3] = [64, 1024, 16 * 1024];

/// The wires of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    Tcp,
    Udp,
    Unix,
    UnixDgram,
    Mem,
}

impl Wire {
    pub const ALL: [Self; 5] = [Self::Tcp, Self::Udp, Self::Unix, Self::UnixDgram, Self::Mem];

    /// As in endpoints.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Unix => "unix",
            Self::UnixDgram => "unix-dgram",
            Self::Mem => "mem",
        }
    }
}

/// Who serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `swapwire::server()` with all its limits and deadlines on.
    Swapwire,
    /// What one writes by hand with tokio.
    ByHand,
}

impl Kind {
    pub const BOTH: [Self; 2] = [Self::Swapwire, Self::ByHand];

    /// The function's name in criterion's reports; `scripts/bench-table.py` knows it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Swapwire => "swapwire",
            Self::ByHand => "by-hand",
        }
    }
}

/// Short measurements, many of them: the whole matrix runs in a few minutes. What a sample costs beside its messages counts
/// in both times, so the warm-up is long enough to see past that.
pub fn criterion() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_millis(2500))
        .sample_size(20)
        .without_plots()
        .configure_from_args()
}

/// A cell's group: `bench/wire`. All samples are as long, since connections are opened for each.
pub fn group<'a>(criterion: &'a mut Criterion, bench: &str, wire: Wire) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(format!("{bench}/{}", wire.name()));
    group.sampling_mode(SamplingMode::Flat);
    group
}

/// `messages` messages of `size` bytes in each iteration.
pub const fn throughput(messages: usize, size: usize) -> Throughput {
    Throughput::ElementsAndBytes { elements: messages as u64, bytes: (messages * size) as u64 }
}
