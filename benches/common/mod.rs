//! The matrix that the benches share: which wires, which sizes, which servers, and how criterion measures them.

pub mod client;
pub mod server;

use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use tokio::runtime::Runtime;

pub use client::Raw;
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

/// Short measurements, many of them: the whole matrix runs in a few minutes.
pub fn criterion() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_millis(2500))
        .sample_size(20)
        .without_plots()
        .configure_from_args()
}

/// The clients' runtime: another thread than any server's.
pub fn client_runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A cell's group: `bench/wire`, its throughput that of `messages` messages per iteration.
pub fn group<'a>(criterion: &'a mut Criterion, bench: &str, wire: Wire) -> BenchmarkGroup<'a, WallTime> {
    criterion.benchmark_group(format!("{bench}/{}", wire.name()))
}

/// `messages` messages of `size` bytes in each iteration.
pub const fn throughput(messages: usize, size: usize) -> Throughput {
    Throughput::ElementsAndBytes { elements: messages as u64, bytes: (messages * size) as u64 }
}

/// Messages in flight at once, each different from the others and from those of the wave before.
#[derive(Debug)]
pub struct Wave {
    size: usize,
    first: u64,
    pub requests: Vec<u8>,
    pub replies: Vec<u8>,
}

/// A message begins with a number that has no letters in it, so that it comes back as it was sent.
pub const TAG: usize = 16;

impl Wave {
    /// `depth` messages of `size` bytes of every value.
    pub fn new(depth: usize, size: usize) -> Self {
        assert!(size >= TAG, "no room for the number");
        let requests: Vec<u8> = (0..depth * size).map(|i| (i * 31 + i / size * 7) as u8).collect();
        let mut wave = Self { size, first: 0, replies: requests.to_ascii_uppercase(), requests };
        wave.renew();
        wave
    }

    /// Numbers the messages anew.
    pub fn renew(&mut self) {
        self.first += self.depth() as u64;
        let messages = self.requests.chunks_exact_mut(self.size).zip(self.replies.chunks_exact_mut(self.size));
        for ((request, reply), number) in messages.zip(self.first..) {
            let tag: [u8; TAG] = std::array::from_fn(|i| b'0' + (number >> (4 * i) & 15) as u8);
            request[..TAG].copy_from_slice(&tag);
            reply[..TAG].copy_from_slice(&tag);
        }
    }

    pub fn depth(&self) -> usize {
        self.requests.len() / self.size
    }

    pub fn request(&self, index: usize) -> &[u8] {
        &self.requests[index * self.size..(index + 1) * self.size]
    }

    /// Which message of this wave the datagram `reply` answers; `None` if it answers one of a wave before.
    pub fn answered(&self, reply: &[u8]) -> Option<usize> {
        let tag = reply.iter().take(TAG).rev();
        let number = tag.fold(0, |number, digit| number << 4 | u64::from(digit.wrapping_sub(b'0') & 15));
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        let start = index * self.size;
        assert!(self.replies.get(start..start + self.size) == Some(reply), "a wrong reply");
        Some(index)
    }
}
