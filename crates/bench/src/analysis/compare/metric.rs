//! What two runs are compared by.

use crate::Round;
use crate::analysis::words;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Metric {
    Throughput,
    P50,
    P90,
    P99,
    P999,
    Max,
    ClientCpu,
    ServerCpu,
    Memory,
    Loss,
}

impl Metric {
    pub(super) const ALL: [Self; 10] = [
        Self::Throughput,
        Self::P50,
        Self::P90,
        Self::P99,
        Self::P999,
        Self::Max,
        Self::ClientCpu,
        Self::ServerCpu,
        Self::Memory,
        Self::Loss,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Throughput => "throughput",
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P99 => "p99",
            Self::P999 => "p99.9",
            Self::Max => "max",
            Self::ClientCpu => "client-cpu",
            Self::ServerCpu => "server-cpu",
            Self::Memory => "memory",
            Self::Loss => "loss",
        }
    }

    /// In a round, where it is known.
    pub(super) fn of(self, round: &Round) -> Option<f64> {
        match self {
            Self::Throughput => round.messages_per_s(),
            Self::P50 => round.latency_at(50.0),
            Self::P90 => round.latency_at(90.0),
            Self::P99 => round.latency_at(99.0),
            Self::P999 => round.latency_at(99.9),
            Self::Max => round.latency_at(100.0),
            Self::ClientCpu => round.client_cpu_ns(),
            Self::ServerCpu => round.server_cpu_ns(),
            Self::Memory => round.server.as_ref()?.memory.map(|bytes| bytes as f64),
            Self::Loss => round.loss(),
        }
    }

    pub(super) fn is_worse_when_it_falls(self) -> bool {
        self == Self::Throughput
    }

    /// 1 for what grows when the machine gets slower, -1 for what shrinks, 0 for what depends on more than its speed, or is
    /// the generator's own.
    pub(super) fn follows_the_machine(self, open: bool) -> f64 {
        match self {
            Self::ServerCpu => 1.0,
            Self::Throughput if !open => -1.0,
            Self::P50 if !open => 1.0,
            _ => 0.0,
        }
    }

    /// A value of it, for people.
    pub(super) fn text(self, value: f64) -> String {
        match self {
            Self::Throughput => format!("{}/s", words::count(value)),
            Self::Memory => format!("{} MiB", words::count((value / f64::from(1 << 20) * 10.0).round() / 10.0)),
            Self::Loss => words::percent(value),
            _ => words::time(value),
        }
    }
}
