//! From arguments to a plan, or to every mistake in them.

use std::fmt::Display;
use std::net::IpAddr;
use std::thread::available_parallelism;
use std::time::Duration;

use swapwire::{Endpoint, Framing, Registry};
use swapwire_bench::{Conditions, Expect, Goal, Load, Message, Plan, PlanError, ServerKind, Sizes, Slo, Target};

use super::servers::{self, Spec, Wire};
use crate::cli::BenchArgs;
use crate::values::{count, list, rate};
use crate::{cpus, descriptors};

/// Descriptors that are needed beside those of the connections.
const SLACK: usize = 64;
/// More connections than this are not asked of a server that is started.
const MOST_CONNECTIONS: usize = 1 << 20;
/// The measured part of a round, if nothing else is asked for.
const DURATION: Duration = Duration::from_millis(800);
/// Rounds, if nothing else is asked for: enough for a confidence interval.
const ROUNDS: usize = 7;
/// A run keeps about 1 MiB of each measurement.
const MOST_MEASUREMENTS: usize = 4096;
/// What bounds the memory of an open loop.
const OPEN_LOOP_PIPELINE: usize = 1024;

/// What to do, checked as far as arguments alone can tell.
#[derive(Debug)]
pub(crate) struct Setup {
    /// The servers to start; the targets of the plan are then placeholders, one for each.
    pub(super) servers: Option<Spec>,
    pub(super) plan: Plan,
    pub(super) find_max: bool,
    pub(super) slo: Option<Slo>,
}

/// What is wrong, a line each.
#[derive(Debug, Default)]
struct Problems(Vec<String>);

impl Problems {
    fn say(&mut self, problem: impl Into<String>) {
        self.0.push(problem.into());
    }

    fn when(&mut self, wrong: bool, problem: &str) {
        if wrong {
            self.say(problem);
        }
    }

    fn take<T, E: Display>(&mut self, result: Result<T, E>) -> Option<T> {
        result.map_err(|problem| self.say(problem.to_string())).ok()
    }

    /// What a flag says, if it is there and right.
    fn flag<T, E: Display>(
        &mut self,
        flag: &str,
        text: Option<&str>,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        text.and_then(|text| self.take(read(text).map_err(|problem| format!("{flag} {text}: {problem}"))))
    }
}

/// Reads all arguments but those about output.
///
/// # Errors
/// Everything that is wrong with them, a line each.
pub(crate) fn read(args: &BenchArgs, registry: &Registry) -> Result<Setup, Vec<String>> {
    let mut problems = Problems::default();
    contradictions(args, registry, &mut problems);
    let slo = args.slo.as_ref().and_then(|text| problems.take(text.parse::<Slo>()));
    let message = message(args, &mut problems);
    let loads = loads(args, message.as_ref(), &mut problems);
    let connections = loads.iter().map(|load| load.connections).max().unwrap_or(1);
    let pin = problems.flag("--pin", args.pin.as_deref(), cpus::parse).unwrap_or_default();
    let processors = available_parallelism().map_or(1, usize::from);
    let threads = match args.threads {
        Some(threads) if threads > connections => {
            problems.say(format!("--threads {threads}: more than the {connections} connections"));
            threads
        }
        Some(threads) => threads,
        None if pin.is_empty() => (processors / 2).clamp(1, connections),
        None => pin.len().min(connections),
    };

    let servers = starts_servers(args).then(|| spec(args, registry, &loads, &mut problems));
    let targets = match &servers {
        Some(spec) => servers::placeholders(spec, registry),
        None => targets(args, registry, &mut problems),
    };
    problems.take(args.headers.check(registry, targets.iter().map(|target| &target.endpoint)));
    enough_descriptors(&targets, connections, &mut problems);
    let expect = match (&args.expect, servers.as_ref().map_or("uppercase-echo", |spec| &spec.handler)) {
        (Some(text), _) => problems.take(text.parse()),
        (None, "uppercase-echo") => Some(Expect::Uppercase),
        (None, "echo") => Some(Expect::Echo),
        // One that is not known has been told already.
        (None, name) if swapwire::default_handlers().get(name).is_err() => None,
        (None, name) => {
            problems.say(format!("--handler {name}: write --expect with the right reply, as any or bytes:N"));
            None
        }
    };
    let framing = match (&args.framing, &servers) {
        (Some(text), _) => problems.take(text.parse()),
        (None, Some(spec)) => Some(spec.framing.clone()),
        (None, None) => Some(Framing::Chunks),
    };
    let (Some(expect), Some(framing)) = (expect, framing) else { return Err(problems.0) };
    let sources = args.source.as_ref().map(|text| list("--source", text, &mut problems.0, address)).unwrap_or_default();
    let conditions = Conditions {
        framing,
        message,
        expect,
        goal: args.requests.map_or_else(|| Goal::Time(args.duration.unwrap_or(DURATION)), Goal::Requests),
        warmup: args.warmup,
        ramp: args.ramp,
        timeout: args.timeout,
        reconnect_every: args.reconnect_every,
        threads,
        pin,
        spin: args.spin,
        sources,
        seed: args.seed,
    };
    let plan = Plan { targets, loads, conditions, rounds: args.rounds.unwrap_or(ROUNDS) };
    let measurements = plan.rounds.saturating_mul(plan.targets.len() * plan.loads.len());
    if measurements > MOST_MEASUREMENTS {
        problems.say(format!(
            "{} rounds × {} targets × {} loads are {measurements} measurements; {MOST_MEASUREMENTS} are the most",
            plan.rounds,
            plan.targets.len(),
            plan.loads.len()
        ));
    }
    if !plan.targets.is_empty() && !plan.loads.is_empty() {
        problems.0.extend(misfits(&plan, registry, servers.is_some()));
    }
    if problems.0.is_empty() { Ok(Setup { servers, plan, find_max: args.find_max, slo }) } else { Err(problems.0) }
}

/// What is wrong with the plan itself.
fn misfits(plan: &Plan, registry: &Registry, placeholders: bool) -> Vec<String> {
    let Err(error) = plan.check(registry) else { return Vec::new() };
    let PlanError::Impossible(problems) = error else { return vec![error.to_string()] };
    let readable = |problem: String| {
        let target = plan.targets.iter().find(|target| problem.starts_with(&target.endpoint.to_string()));
        match target.filter(|_| placeholders) {
            Some(target) => problem.replacen(&target.endpoint.to_string(), &target.name, 1),
            None => problem,
        }
    };
    problems.into_iter().map(readable).collect()
}

/// Flags that do not go together.
fn contradictions(args: &BenchArgs, registry: &Registry, problems: &mut Problems) {
    let starts = starts_servers(args);
    let placed = args.endpoints.iter().any(|text| !is_scheme(text) && shared(text, registry).is_none());
    let bare = args.endpoints.iter().any(|text| is_scheme(text));
    problems.when(
        args.requests.is_some() && args.duration.is_some(),
        "--requests and --duration: only one of them can end a round",
    );
    problems.when(args.find_max && args.slo.is_none(), "--find-max needs --slo, the objective, as --slo p99=5ms");
    let own_message = args.message.is_some() || args.message_file.is_some();
    problems.when(
        args.message.is_some() && args.message_file.is_some(),
        "--message and --message-file: only one of them can be the contents",
    );
    problems.when(own_message && args.size.is_some(), "--size: --message and --message-file set the size");
    if own_message && !starts && args.expect.is_none() {
        let flag = if args.message.is_some() { "--message" } else { "--message-file" };
        problems.say(format!("{flag}: write --expect with the right reply, as echo, any or regex:PATTERN"));
    }
    problems.when(
        args.find_max && args.rounds.is_some(),
        "--find-max: the search chooses the number of rounds; leave --rounds out",
    );
    let rates = args.rate.as_ref().is_some_and(|rate| rate.contains(','));
    problems.when(args.find_max && rates, "--find-max: at most one --rate, at which the search begins");
    problems.when(args.find_max && args.requests.is_some(), "--find-max: write --duration in place of --requests");
    problems.when(
        args.own && placed,
        "--self: write schemes alone, as tcp or unix; an endpoint with a place is a server that runs already",
    );
    problems.when(
        !args.own && placed && bare,
        "schemes and endpoints: measure either servers that are started here (tcp) or servers that run already (tcp://HOST:PORT)",
    );
    problems.when(
        !starts && args.handler.is_some(),
        "--handler: a server that runs already has its own handler; write --self",
    );
    problems.when(
        !starts && args.server_pin.is_some(),
        "--server-pin: only a server that is started here can be pinned; write --self",
    );
    problems.when(
        !starts && args.server_workers.is_some(),
        "--server-workers: a server that runs already has its own workers; write --self",
    );
    problems.when(
        starts && args.server_pid.is_some(),
        "--server-pid: leave it out; the processes of servers that are started here are known",
    );
    problems.when(!starts && args.server_pid.is_some() && args.endpoints.len() > 1, "--server-pid: write one endpoint");
}

/// Whether servers are started, rather than such measured as run already.
fn starts_servers(args: &BenchArgs) -> bool {
    args.own || args.endpoints.is_empty() || args.endpoints.iter().any(|text| is_scheme(text))
}

/// A wire without a place. Whether there is such a wire is another question.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-".contains(c))
}

/// The matrix.
fn loads(args: &BenchArgs, message: Option<&Message>, problems: &mut Problems) -> Vec<Load> {
    let problems = &mut problems.0;
    let sizes = match (message, args.size.as_deref().unwrap_or("64")) {
        (Some(message), _) => vec![Sizes::Fixed(message.bytes().len())],
        (None, text) => list("--size", text, problems, |text| text.parse::<Sizes>().map_err(|error| error.to_string())),
    };
    let connections = list("--connections", &args.connections, problems, count::<usize>);
    let rates = match &args.rate {
        Some(text) => list("--rate", text, problems, rate).into_iter().map(Some).collect(),
        None => vec![None],
    };
    let pipelines = match &args.pipeline {
        Some(text) => list("--pipeline", text, problems, count::<usize>),
        None if args.rate.is_some() || args.find_max => vec![OPEN_LOOP_PIPELINE],
        None => vec![1],
    };
    let mut loads = Vec::new();
    for sizes in &sizes {
        for connections in &connections {
            for pipeline in &pipelines {
                loads.extend(rates.iter().map(|rate| Load {
                    sizes: sizes.clone(),
                    connections: *connections,
                    pipeline: *pipeline,
                    rate: *rate,
                }));
            }
        }
    }
    loads
}

/// What requests hold, if that is said.
fn message(args: &BenchArgs, problems: &mut Problems) -> Option<Message> {
    match (&args.message, &args.message_file) {
        (Some(text), _) => problems.take(text.parse().map_err(|error| format!("--message: {error}"))),
        (None, Some(path)) => problems.take(Message::read(path).map_err(|error| format!("--message-file: {error}"))),
        (None, None) => None,
    }
}

fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| "write an IP address of this machine, as 127.0.0.2".to_owned())
}

/// The servers to start.
fn spec(args: &BenchArgs, registry: &Registry, loads: &[Load], problems: &mut Problems) -> Spec {
    let handler = args.handler.clone().unwrap_or_else(|| "uppercase-echo".to_owned());
    let wanted = problems.take(swapwire::default_handlers().get(&handler).map(|entry| entry.framing().cloned()));
    // One that is malformed is told elsewhere.
    let asked = args.framing.as_ref().and_then(|text| text.parse().ok());
    let most = |limit: usize| limit.saturating_sub(SLACK).clamp(1, MOST_CONNECTIONS);
    Spec {
        wires: wires(args, registry, problems),
        handler,
        framing: asked.or(wanted.flatten()).unwrap_or(Framing::Chunks),
        max_message: loads.iter().map(|load| load.sizes.max()).max().unwrap_or(0),
        max_connections: descriptors::raise_limit().map(most),
        workers: args.server_workers.unwrap_or(1),
        cpus: problems.flag("--server-pin", args.server_pin.as_deref(), cpus::parse).unwrap_or_default(),
    }
}

/// Whether this process may open so many connections.
fn enough_descriptors(targets: &[Target], connections: usize, problems: &mut Problems) {
    let sockets = targets.iter().any(|target| !servers::is_memory(target.endpoint.scheme()));
    let needed = connections.saturating_add(SLACK);
    if let Some(limit) = descriptors::raise_limit().filter(|limit| sockets && needed > *limit) {
        problems.say(format!(
            "--connections {connections}: that takes {needed} descriptors, and this process may open {limit}; raise the \
             hard limit (ulimit -Hn)"
        ));
    }
}

/// The endpoint, if a server can be started there beside others: a subject of a broker.
fn shared(text: &str, registry: &Registry) -> Option<Endpoint> {
    text.parse().ok().filter(|endpoint| servers::is_shared(endpoint, registry))
}

fn wires(args: &BenchArgs, registry: &Registry, problems: &mut Problems) -> Vec<Wire> {
    if args.endpoints.is_empty() {
        let usual = servers::USUAL.iter().filter_map(|scheme| servers::startable(scheme, registry).ok());
        return usual.map(Wire::new).collect();
    }
    let mut wires = Vec::new();
    for text in &args.endpoints {
        if let Some(at) = shared(text, registry) {
            wires.push(Wire { scheme: at.scheme().to_owned(), at: Some(at) });
        } else if is_scheme(text) {
            match servers::startable(text, registry) {
                Ok(scheme) => wires.push(Wire::new(scheme)),
                Err(_) if servers::needs_place(text, registry) => problems.say(format!(
                    "{text}: a server there needs a broker that runs; write where, as {text}://127.0.0.1:4222/subject"
                )),
                Err(error) => {
                    problems.say(format!("{error}; a server that runs already is written as tcp://127.0.0.1:8888"));
                }
            }
        }
    }
    wires
}

fn targets(args: &BenchArgs, registry: &Registry, problems: &mut Problems) -> Vec<Target> {
    let mut endpoints = Vec::new();
    for text in &args.endpoints {
        let endpoint = text.parse::<Endpoint>().map_err(|error| registry.explain(error));
        let Some(endpoint) = problems.take(endpoint) else { continue };
        let known = registry.transport(&endpoint).map(drop).map_err(|error| format!("bench {endpoint}: {error}"));
        if problems.take(known).is_some() {
            endpoints.push(endpoint);
        }
    }
    let server = args.server_pid.and_then(|pid| problems.take(running(pid))).unwrap_or(ServerKind::Elsewhere);
    named(endpoints.into_iter().map(|endpoint| (endpoint, server)).collect())
}

/// Targets with names of their own: the scheme where it tells them apart, else the endpoint, numbered if need be.
pub(super) fn named(places: Vec<(Endpoint, ServerKind)>) -> Vec<Target> {
    let endpoints: Vec<_> = places.iter().map(|(endpoint, _)| endpoint.clone()).collect();
    let name = |at: usize, endpoint: &Endpoint| {
        let same_scheme = endpoints.iter().filter(|other| other.scheme() == endpoint.scheme()).count();
        let before = endpoints[..at].iter().filter(|other| *other == endpoint).count();
        match (same_scheme, before) {
            (1, _) => endpoint.scheme().to_owned(),
            (_, 0) => endpoint.to_string(),
            _ => format!("{endpoint} ({})", before + 1),
        }
    };
    let targets = places.into_iter().enumerate();
    targets.map(|(at, (endpoint, server))| Target { name: name(at, &endpoint), endpoint, server }).collect()
}

#[cfg(unix)]
fn running(pid: u32) -> Result<ServerKind, String> {
    use nix::errno::Errno;
    let id = i32::try_from(pid).ok().filter(|id| *id > 0).map(nix::unistd::Pid::from_raw);
    // A process of another user exists as well.
    match id.map(|id| nix::sys::signal::kill(id, None)) {
        Some(Ok(()) | Err(Errno::EPERM)) => Ok(ServerKind::Process(pid)),
        _ => Err(format!("--server-pid {pid}: there is no such process")),
    }
}

#[cfg(not(unix))]
fn running(pid: u32) -> Result<ServerKind, String> {
    Err(format!("--server-pid {pid}: this system does not show the CPU time of a process"))
}
