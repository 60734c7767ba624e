//! Runs to try things on.

use std::time::Duration;

use crate::{Cell, LoadInfo, Machine, Round, Run, SCHEMA, Settings, Spectrum, TargetInfo, Usage};

/// Normal values with a deviation of 1 (Box and Muller).
pub(crate) fn normal(random: &mut fastrand::Rng) -> f64 {
    (-2.0 * (1.0 - random.f64()).ln()).sqrt() * (std::f64::consts::TAU * random.f64()).cos()
}

/// A hundred times of so many microseconds.
pub(crate) fn times(micros: u64) -> Spectrum {
    let mut spectrum = Spectrum::new();
    (0..100).for_each(|_| spectrum.record(Duration::from_micros(micros)));
    spectrum
}

/// A second with so many messages, all of them right, each after a millisecond; 1 µs of the client's CPU time and 2 µs of
/// the server's for each.
pub(crate) fn round(messages: u64) -> Round {
    let usage = |each: f64| Usage {
        cpu_s: messages as f64 * each,
        messages,
        busy: Some(messages as f64 * each),
        memory: Some(1 << 20),
    };
    Round {
        elapsed_s: 1.0,
        requests: messages,
        answered: messages,
        messages,
        bytes_sent: messages * 64,
        bytes_received: messages * 64,
        latency: times(1000),
        client: usage(1e-6),
        server: Some(usage(2e-6)),
        yardstick_ns: 5000.0,
        ..Round::default()
    }
}

/// 64 B on 64 connections.
pub(crate) fn load(rate_per_s: Option<f64>) -> LoadInfo {
    LoadInfo { size: "64".to_owned(), connections: 64, pipeline: 1, rate_per_s }
}

/// Targets under one load, each with its rounds, on eight processors.
pub(crate) fn run(rate: Option<f64>, cells: &[(&str, Vec<Round>)]) -> Run {
    Run {
        schema: SCHEMA,
        tool: "swapwire 0.1.0".to_owned(),
        started_unix_s: 0,
        elapsed_s: 1.0,
        machine: Machine { cpus: 8, ..Machine::default() },
        settings: Settings { rounds: 5, threads: 1, expect: "echo".to_owned(), ..Settings::default() },
        targets: cells
            .iter()
            .map(|(name, _)| TargetInfo {
                name: (*name).to_owned(),
                endpoint: "tcp://192.0.2.7:9000".to_owned(),
                server: "process".to_owned(),
                ..TargetInfo::default()
            })
            .collect(),
        cells: cells
            .iter()
            .enumerate()
            .map(|(target, (_, rounds))| Cell { target, load: load(rate), rounds: rounds.clone(), summary: None })
            .collect(),
        ..Run::default()
    }
}
