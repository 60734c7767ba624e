//! One target under one load, once.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use swapwire_core::Registry;
use tokio::sync::watch;
use tokio::time::Instant;

use super::request::payload::{IDENTIFIED, Payload};
use super::request::tally::Window;
use super::usage::{self, Yardstick};
use super::worker::{Finding, Job, Phase, work};
use crate::{Conditions, Goal, Load, Monitor, Round, ServerKind, Target, Usage};

/// How often it is looked whether the run was stopped, and how fast the machine is: half a percent of a processor.
const LOOK: Duration = Duration::from_millis(10);
/// Between all threads' being told and the beginning.
const LEAD: Duration = Duration::from_millis(2);
/// The longest reply over a wire with boundaries that sets no limit of its own, where its length is not known.
const UNSAID_MESSAGE: usize = 1 << 20;
/// Steps of the timeline, where the length of a round is known.
const STEPS: u32 = 100;
/// The shortest step, and the one where it is not known.
const STEP: Duration = Duration::from_millis(10);

/// Why there is no round.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was stopped.
    Stopped,
    /// Nothing was begun in the measured part: it was too short for what else goes on on this machine, or for the rate.
    Empty,
    /// The target failed: a line.
    Target(String),
    /// The generator could not be set up: a line.
    Setup(String),
}

enum Event {
    Opened,
    Ended(Result<Box<Finding>, Option<String>>),
    Broken(String),
}

/// Measures. Blocks until it is done or the monitor is stopped.
pub(crate) fn measure(
    target: &Target,
    load: &Load,
    conditions: &Conditions,
    registry: &Registry,
    monitor: &Monitor,
    run_began: Instant,
) -> Result<Round, Failure> {
    let job = Arc::new(job(target, load, conditions, registry, monitor));
    let (phase, _) = watch::channel(Phase::Opening);
    let (events, received) = sync_channel(2 * job.threads);
    let mut threads = Vec::new();
    for thread in 0..job.threads {
        let cpu = (!conditions.pin.is_empty()).then(|| conditions.pin[thread % conditions.pin.len()]);
        let spawned = start(Arc::clone(&job), thread, cpu, phase.subscribe(), events.clone());
        threads.push(spawned.map_err(|error| Failure::Setup(format!("start a thread: {error}")))?);
    }
    drop(events);
    let yardstick = Yardstick::new();
    let conductor = Conductor { target, conditions, monitor, phase: &phase, received, window: None, yardstick };
    let result = conductor.conduct(&job, run_began);
    // However it went, the threads end.
    phase.send_replace(Phase::Stopped);
    for thread in threads {
        // One that panicked has ended the round as a failure.
        let _ = thread.join();
    }
    result
}

fn job(target: &Target, load: &Load, conditions: &Conditions, registry: &Registry, monitor: &Monitor) -> Job {
    let capabilities =
        registry.transport(&target.endpoint).ok().map(|transport| transport.capabilities(target.endpoint.scheme()));
    let boundaries = capabilities.is_some_and(|capabilities| capabilities.boundaries());
    let lossy = capabilities.is_some_and(|capabilities| !capabilities.reliable);
    let timeout = if lossy { Duration::from_secs(1) } else { Duration::from_secs(5) };
    let payload = match &conditions.message {
        Some(message) => Payload::of(message, conditions.expect.clone()),
        None => Payload::new(conditions.expect.clone(), load.sizes.max(), conditions.seed),
    };
    let from = |source: &IpAddr| target.endpoint.clone().with_option("source", source);
    let mut endpoints: Vec<_> = conditions.sources.iter().map(from).collect();
    if endpoints.is_empty() {
        endpoints.push(target.endpoint.clone());
    }
    Job {
        registry: registry.clone(),
        endpoints,
        identified: boundaries && payload.identifies() && load.sizes.min() >= IDENTIFIED,
        payload,
        sizes: load.sizes.clone(),
        framing: conditions.framing.clone(),
        connections: load.connections,
        pipeline: load.pipeline,
        rate: load.rate,
        requests: match conditions.goal {
            Goal::Requests(requests) => Some(requests),
            Goal::Time(_) => None,
        },
        warmup: !conditions.warmup.is_zero(),
        ramp: conditions.ramp,
        timeout: conditions.timeout.unwrap_or(timeout),
        reconnect_every: conditions.reconnect_every,
        threads: conditions.threads.clamp(1, load.connections),
        spin: conditions.spin,
        fine_timer: true,
        seed: conditions.seed,
        monitor: monitor.clone(),
        step: match conditions.goal {
            Goal::Time(time) => (time / STEPS).max(STEP),
            Goal::Requests(_) => STEP,
        },
        max_message: boundaries
            .then(|| capabilities.and_then(|capabilities| capabilities.max_message).unwrap_or(UNSAID_MESSAGE)),
    }
}

/// Starts a thread of the generator.
fn start(
    job: Arc<Job>,
    thread: usize,
    cpu: Option<usize>,
    phase: watch::Receiver<Phase>,
    events: SyncSender<Event>,
) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(format!("bench-{thread}")).spawn(move || {
        if let Some(Err(problem)) = cpu.map(usage::pin) {
            let _ = events.send(Event::Broken(problem));
            return;
        }
        match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => {
                let opened = || drop(events.send(Event::Opened));
                let finding = runtime.block_on(work(job, thread, phase, opened));
                let _ = events.send(Event::Ended(finding.map(Box::new)));
            }
            Err(error) => drop(events.send(Event::Broken(format!("start a runtime: {error}")))),
        }
    })
}

/// Tells the threads when to begin, and looks at the server meanwhile.
struct Conductor<'a> {
    target: &'a Target,
    conditions: &'a Conditions,
    monitor: &'a Monitor,
    phase: &'a watch::Sender<Phase>,
    received: Receiver<Event>,
    window: Option<Window>,
    yardstick: Option<Yardstick>,
}

impl Conductor<'_> {
    fn conduct(mut self, job: &Job, run_began: Instant) -> Result<Round, Failure> {
        let (mut opened, mut findings) = (0, Vec::new());
        let (mut before, mut after) = (None, None);
        let dropped = self.server_drops(job);
        while findings.len() < job.threads {
            match self.received.recv_timeout(self.wait(before.is_some(), after.is_some())) {
                Ok(Event::Opened) => {
                    opened += 1;
                    if opened == job.threads {
                        self.begin();
                    }
                }
                Ok(Event::Ended(Ok(finding))) => {
                    after = after.or_else(|| Some(self.server_cpu()));
                    findings.push(*finding);
                }
                Ok(Event::Ended(Err(Some(why)))) => return Err(Failure::Target(why)),
                Ok(Event::Broken(why)) => return Err(Failure::Setup(why)),
                Ok(Event::Ended(Err(None))) | Err(RecvTimeoutError::Disconnected) => return Err(Failure::Stopped),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.monitor.stopped() {
                return Err(Failure::Stopped);
            }
            let now = Instant::now();
            if let Some(window) = self.window {
                if now >= window.begin && before.is_none() {
                    before = Some(self.server_cpu());
                }
                if window.end.is_some_and(|end| now >= end) && after.is_none() {
                    after = Some(self.server_cpu());
                }
                if let Some(yardstick) = self.yardstick.as_mut().filter(|_| before.is_some() && after.is_none()) {
                    yardstick.measure();
                }
            }
        }
        let Some(window) = self.window else { return Err(Failure::Stopped) };
        let server_cpu = before.flatten().zip(after.flatten()).map(|(before, after)| after.saturating_sub(before));
        let yardstick_ns = self.yardstick.take().map_or(0.0, Yardstick::mean);
        let mut round = self.sum_up(job, window, findings, server_cpu, run_began)?;
        round.yardstick_ns = yardstick_ns;
        round.faults.server_drops =
            dropped.zip(self.server_drops(job)).map(|(before, after)| after.saturating_sub(before));
        Ok(round)
    }

    /// How long to wait for an event.
    fn wait(&self, begun: bool, ended: bool) -> Duration {
        let Some(window) = self.window else { return LOOK };
        let next = match (begun, ended) {
            (false, _) => Some(window.begin),
            (true, false) => window.end,
            (true, true) => None,
        };
        next.map_or(LOOK, |next| LOOK.min(next.saturating_duration_since(Instant::now())))
    }

    fn begin(&mut self) {
        let epoch = Instant::now() + LEAD;
        let begin = epoch + self.conditions.warmup;
        let end = match self.conditions.goal {
            Goal::Time(time) => Some(begin + time),
            Goal::Requests(_) => None,
        };
        let window = Window { epoch, begin, end };
        self.window = Some(window);
        self.phase.send_replace(Phase::Running(window));
    }

    /// What the server's process has used so far; of the same process, what all of it has.
    fn server_cpu(&self) -> Option<Duration> {
        match self.target.server {
            ServerKind::Elsewhere => None,
            ServerKind::Process(process) => usage::process_cpu(Some(process)),
            ServerKind::SameProcess => usage::process_cpu(None),
        }
    }

    /// What the system has dropped at the server's process so far, on a wire with boundaries.
    fn server_drops(&self, job: &Job) -> Option<u64> {
        match self.target.server {
            ServerKind::Process(process) if job.max_message.is_some() => usage::dropped(process),
            _ => None,
        }
    }

    fn sum_up(
        &self,
        job: &Job,
        window: Window,
        findings: Vec<Finding>,
        server_cpu: Option<Duration>,
        run_began: Instant,
    ) -> Result<Round, Failure> {
        let first = findings.iter().filter_map(|finding| finding.tally.first).min();
        let last = findings.iter().filter_map(|finding| finding.tally.last).max();
        // Where requests end it, they begin it too: a timer rings up to a millisecond late.
        let begin = window.end.map_or(first, |_| None).unwrap_or(window.begin);
        let end = window.end.or(last).unwrap_or(begin);
        let step = findings.iter().map(|finding| finding.tally.step()).max().unwrap_or(job.step);
        let mut round = Round {
            at_s: begin.saturating_duration_since(run_began).as_secs_f64(),
            elapsed_s: end.saturating_duration_since(begin).as_secs_f64(),
            timeline_step_s: step.as_secs_f64(),
            ..Round::default()
        };
        if job.identified {
            (round.faults.duplicated, round.faults.reordered) = (Some(0), Some(0));
        }
        let (mut cpu, mut time) = (Duration::ZERO, Duration::ZERO);
        for finding in findings {
            if let Some(used) = finding.used {
                cpu += used.cpu;
                time += used.time;
                round.client.messages += used.replies;
            }
            finding.tally.add_to(&mut round);
        }
        round.client.cpu_s = cpu.as_secs_f64();
        round.client.busy = (!time.is_zero()).then(|| cpu.as_secs_f64() / time.as_secs_f64());
        round.client.memory = usage::resident(std::process::id());
        round.server = server_cpu.map(|used| {
            let (used, memory) = match self.target.server {
                ServerKind::Process(process) => (used, usage::resident(process)),
                _ => (used.saturating_sub(cpu), None),
            };
            Usage { cpu_s: used.as_secs_f64(), messages: round.messages, busy: None, memory }
        });
        if round.requests == 0 && round.messages == 0 {
            return Err(Failure::Empty);
        }
        if round.messages == 0 && round.answered == 0 && round.faults.wrong == 0 {
            return Err(Failure::Target(silence(self.target, &round)));
        }
        Ok(round)
    }
}

/// What there is to say of a target that gave no reply at all.
fn silence(target: &Target, round: &Round) -> String {
    let errors: Vec<_> = round.faults.errors.iter().map(|(kind, count)| format!("{kind} ({count} times)")).collect();
    let errors = if errors.is_empty() { String::new() } else { format!("; {}", errors.join(", ")) };
    format!("{}: no reply to {} requests{errors}", target.endpoint, round.requests)
}
