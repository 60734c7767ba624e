//! Runs as they come from a machine, made up.

use std::collections::BTreeMap;
use std::time::Duration;

use swapwire_bench::{
    Cell, Faults, Found, LoadInfo, Machine, Probe, Round, Run, SCHEMA, Settings, Spectrum, TargetInfo, Usage,
};

/// A wire, as made up: name, endpoint, messages per second at 64 B, median latency and both CPU times per message in ns.
type Wire = (&'static str, &'static str, f64, f64, f64, f64);

const WIRES: [Wire; 5] = [
    ("tcp", "tcp://127.0.0.1:41231", 101_000.0, 610_000.0, 4_900.0, 9_100.0),
    ("udp", "udp://127.0.0.1:41232", 128_000.0, 480_000.0, 4_100.0, 6_900.0),
    ("unix", "unix:/tmp/swapwire-bench/stream", 143_500.0, 430_000.0, 3_300.0, 6_200.0),
    ("unix-dgram", "unix-dgram:/tmp/swapwire-bench/dgram", 139_000.0, 445_000.0, 3_600.0, 6_300.0),
    ("mem", "mem:bench", 812_000.0, 76_000.0, 600.0, 610.0),
];

/// Steps of 100 ms in a round.
const STEPS: usize = 10;

/// Numbers that are always the same.
struct Noise(u64);

impl Noise {
    /// Between 0 and 1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / (1u64 << 31) as f64
    }

    /// Around 1, rarely off by more than `part`.
    fn about(&mut self, part: f64) -> f64 {
        1.0 + (self.next() + self.next() + self.next() - 1.5) * part / 1.5
    }
}

/// Times around `median` nanoseconds with a long tail, `count` of them.
fn times(noise: &mut Noise, median: f64, count: usize) -> Spectrum {
    let mut spectrum = Spectrum::new();
    for _ in 0..count {
        let body = median * noise.about(0.35);
        let tail = median * 0.08 / (noise.next() + 0.0015);
        spectrum.record(Duration::from_nanos((body + tail) as u64));
    }
    spectrum
}

/// The next yardstick and throughput of a machine that has a bad third round.
fn pace(round: usize) -> f64 {
    if round == 2 { 0.82 } else { 1.0 }
}

fn round(noise: &mut Noise, wire: &Wire, load: &LoadInfo, at: usize, at_s: f64) -> Round {
    let (name, _, rate, latency, client, server) = *wire;
    let size: f64 = load.size.parse().unwrap_or(512.0);
    let slower = 1.0 + size / 9_000.0;
    let rate = load.rate_per_s.unwrap_or(rate / slower * pace(at) * noise.about(0.02));
    let timeline: Vec<u64> = (0..STEPS).map(|_| (rate / STEPS as f64 * noise.about(0.03)) as u64).collect();
    let messages: u64 = timeline.iter().sum();
    let datagrams = name.contains("dgram") || name == "udp";
    let usage = |per_message: f64, memory: u64| Usage {
        cpu_s: per_message * slower * messages as f64 / 1e9,
        messages,
        busy: Some(0.93),
        memory: Some(memory),
    };
    Round {
        at_s,
        elapsed_s: 1.0,
        requests: messages + if name == "udp" { 3 } else { 0 },
        answered: messages,
        messages,
        bytes_sent: messages * size as u64,
        bytes_received: messages * size as u64,
        latency: times(noise, latency * slower / pace(at), 6_000),
        first_reply: times(noise, latency * 1.4, load.connections),
        connect: if name == "udp" { Spectrum::new() } else { times(noise, 22_000.0, load.connections) },
        lag: if load.rate_per_s.is_some() { times(noise, 9_000.0, 4_000) } else { Spectrum::new() },
        timeline,
        timeline_step_s: 0.1,
        faults: Faults {
            lost: if name == "udp" { 3 } else { 0 },
            late: u64::from(name == "udp"),
            duplicated: datagrams.then_some(0),
            reordered: datagrams.then_some(if name == "udp" { 2 } else { 0 }),
            ..Faults::default()
        },
        client: usage(client, 9 << 20),
        server: Some(usage(server, if name == "mem" { 14 << 20 } else { 6 << 20 })),
        yardstick_ns: 3_100.0 / pace(at) * noise.about(0.04),
        ..Round::default()
    }
}

/// A closed loop of 64 connections.
pub(crate) fn load(size: &str) -> LoadInfo {
    LoadInfo { size: size.to_owned(), connections: 64, pipeline: 1, rate_per_s: None }
}

/// The first `targets` of five wires under each load, evaluated.
pub(crate) fn run(targets: usize, loads: &[LoadInfo], rounds: usize) -> Run {
    let mut noise = Noise(1);
    let mut at_s = 0.2;
    let wires = &WIRES[..targets];
    let mut cells: Vec<Cell> = loads
        .iter()
        .flat_map(|load| (0..targets).map(|target| Cell { target, load: load.clone(), ..Cell::default() }))
        .collect();
    for at in 0..rounds {
        for cell in &mut cells {
            let measured = round(&mut noise, &wires[cell.target], &cell.load, at, at_s);
            cell.rounds.push(measured);
            at_s += 1.25;
        }
    }
    let target = |(name, endpoint, ..): &Wire| TargetInfo {
        name: (*name).to_owned(),
        endpoint: (*endpoint).to_owned(),
        server: if *name == "mem" { "same-process" } else { "process" }.to_owned(),
        wire: if name.contains("dgram") || *name == "udp" { "datagram" } else { "byte stream" }.to_owned(),
        datagrams: *name == "udp",
    };
    let mut run = Run {
        schema: SCHEMA,
        tool: "swapwire 0.1.0".to_owned(),
        command: ["swapwire", "bench", "--message", "it's"].map(str::to_owned).to_vec(),
        started_unix_s: 1_795_380_855,
        elapsed_s: at_s,
        machine: Machine { os: "Linux 6.1.0".to_owned(), cpu: "AMD EPYC 7B13".to_owned(), cpus: 2 },
        settings: Settings {
            rounds,
            duration_s: Some(1.0),
            warmup_s: 0.2,
            framing: "chunks".to_owned(),
            expect: "uppercase".to_owned(),
            handler: Some("uppercase".to_owned()),
            threads: 1,
            seed: 1,
            ..Settings::default()
        },
        targets: wires.iter().map(target).collect(),
        cells,
        ratios: Vec::new(),
        found: Vec::new(),
        warnings: Vec::new(),
        partial: Vec::new(),
        conclusion: Vec::new(),
    };
    run.evaluate();
    run
}

/// What a search found: the latency grows as the rate nears 100,000 per second.
pub(crate) fn found() -> Run {
    let mut run = run(2, &[], 0);
    let mut noise = Noise(2);
    for (target, most) in [(0, 100_000.0), (1, 140_000.0)] {
        let load = |rate| LoadInfo { rate_per_s: rate, pipeline: 64, ..load("64") };
        let rates = [10_000.0, 20_000.0, 40_000.0, 80_000.0, 160_000.0, 120_000.0, 100_000.0, 90_000.0];
        let probe = |(at, rate): (usize, f64)| {
            let measured = round(&mut noise, &WIRES[target], &load(Some(rate)), at, at as f64 * 1.5);
            let queueing = 60_000.0 / (1.02 - (rate / most).min(1.0));
            let held = rate < most * 0.95;
            Probe {
                rate_per_s: rate,
                held,
                why: if held { String::new() } else { "p99 was 5.4 ms".to_owned() },
                round: Round { latency: times(&mut noise, queueing, 2_000), ..measured },
            }
        };
        let probes: Vec<_> = rates.into_iter().enumerate().map(probe).collect();
        let highest = probes.iter().filter(|probe| probe.held).map(|probe| probe.rate_per_s).reduce(f64::max);
        run.found.push(Found {
            target,
            load: load(highest),
            slo: "p99<=5ms".to_owned(),
            limited_by: if target == 0 { "objective" } else { "client" }.to_owned(),
            probes,
        });
    }
    run.evaluate();
    run
}

/// A run in which everything went wrong, with names that want to be something else.
pub(crate) fn hostile() -> Run {
    let mut run = run(2, &[load("64")], 3);
    run.targets[0].name = "<script>alert(1)</script>|`x`\u{1b}[31m".to_owned();
    run.targets[0].endpoint =
        format!("tcp://{}.example.com:4000/\"><img src=x onerror=alert(1)>", "very-long-name".repeat(12));
    run.targets[1].name = format!("tcp://{}.example.com:4000", "very-long-name".repeat(12));
    run.warnings = vec!["<b>the generator</b> was the bottleneck\u{1b}[2J for udp".to_owned()];
    run.partial = vec!["stopped after 3 of 7 rounds".to_owned()];
    run.conclusion = vec!["<i>udp</i>, \"handles\" more".to_owned()];
    let errors = BTreeMap::from([("connect: <u>refused</u>, \"twice\"".to_owned(), 12)]);
    for cell in &mut run.cells {
        if let Some(summary) = &mut cell.summary {
            summary.faults = Faults { wrong: 7, broken: 64, errors: errors.clone(), ..Faults::default() };
        }
        cell.rounds[0].faults.errors = errors.clone();
    }
    run
}

/// A run in which no reply ever came.
pub(crate) fn silent() -> Run {
    let mut run = run(2, &[load("64")], 1);
    for cell in &mut run.cells {
        let faults = Faults { lost: 640, errors: BTreeMap::from([("timeout".to_owned(), 640)]), ..Faults::default() };
        cell.rounds = vec![Round {
            elapsed_s: 1.0,
            requests: 640,
            faults,
            timeline: vec![0; 10],
            timeline_step_s: 0.1,
            ..Round::default()
        }];
    }
    run.evaluate();
    run
}
