//! Servers that are started for a measurement.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use swapwire::core::{Place, Side};
use swapwire::{Endpoint, EndpointError, Framing, Registry, RegistryError};
use swapwire_bench::{ServerKind, Target};
use tempfile::TempDir;

use super::memory::Memory;
use super::process::Process;
use crate::exit::{self, Failure, complain};
use crate::{cpus, directories};

/// Which wires are measured when none is named, as far as this system has them.
pub(super) const USUAL: [&str; 5] = ["tcp", "udp", "unix", "unix-dgram", "mem"];
/// What layers have to be told to serve on this machine: the layer, an option and its value.
const LAYERS: [(&str, &str, &str); 2] = [("proxy", "trust", "127.0.0.0/8,unix,mem"), ("tls", "self_signed", "true")];
/// How long servers may take to end in good order, before they are killed.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long one may take to be gone after its sockets were closed.
const DYING: Duration = Duration::from_millis(500);

/// What servers to start.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    /// One for each server.
    pub(super) wires: Vec<Wire>,
    pub(super) handler: String,
    pub(super) framing: Framing,
    /// The largest request.
    pub(super) max_message: usize,
    /// How many connections a server takes; `None` for its default.
    pub(super) max_connections: Option<usize>,
    /// Workers of each server.
    pub(super) workers: usize,
    /// Which processors they are bound to; empty: any.
    pub(super) cpus: Vec<usize>,
}

/// A wire on which a server is started.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    /// The whole one.
    pub(super) scheme: String,
    /// Where, if that is not ours to choose: a subject of a broker that runs.
    pub(super) at: Option<Endpoint>,
}

impl Wire {
    /// One whose place is chosen here; the scheme is [startable].
    pub(super) const fn new(scheme: String) -> Self {
        Self { scheme, at: None }
    }

    /// What its server binds.
    fn to_bind(&self, number: usize, directory: &Path) -> Option<Result<Endpoint, EndpointError>> {
        match &self.at {
            Some(at) => Some(Ok(at.clone())),
            None => Some(endpoint(&self.scheme, place(&self.scheme, number, directory)?)),
        }
    }
}

/// Whether the endpoint's place is not its server's alone: any number of them may be bound there, so one that is started for a
/// measurement takes nothing from anybody.
pub(super) fn is_shared(endpoint: &Endpoint, registry: &Registry) -> bool {
    registry.transport(endpoint).is_ok_and(|transport| !transport.capabilities(endpoint.scheme()).exclusive_bind)
}

/// Whether a server on this wire needs to be told its place, which is [shared](is_shared).
pub(super) fn needs_place(scheme: &str, registry: &Registry) -> bool {
    registry.schemes().any(|(name, transport)| name == scheme && !transport.capabilities(name).exclusive_bind)
}

/// What a client dials to reach a server that was bound there.
fn to_dial(bound: &Endpoint, registry: &Registry) -> Endpoint {
    let Ok(transport) = registry.transport(bound) else { return bound.clone() };
    let for_binding = transport.options(bound.scheme()).iter().filter(|doc| !doc.is_for(Side::Connect));
    for_binding.fold(bound.clone(), |endpoint, doc| endpoint.without_option(doc.name))
}

/// The whole scheme of the wire that `word` names, if it is known how to start a server on it: a stack that ends in a layer
/// stands on TCP.
///
/// # Errors
/// There is no such wire.
pub(super) fn startable(word: &str, registry: &Registry) -> Result<String, RegistryError> {
    if let Some(place) = place(word, 0, Path::new("/"))
        && let Ok(endpoint) = endpoint(word, place)
    {
        return registry.transport(&endpoint).map(|_| word.to_owned());
    }
    // The transport of a stack has one scheme: the whole one, with what a short name stands for.
    let on_tcp = Endpoint::new(word, Place::Host { host: "127.0.0.1".to_owned(), port: 0 });
    let whole = match on_tcp.map(|endpoint| registry.transport(&endpoint)) {
        Ok(Ok(transport)) => transport.schemes().pop(),
        Ok(Err(error @ RegistryError::Stack { .. })) => return Err(error),
        _ => None,
    };
    whole.map(Into::into).filter(|whole: &String| can_start(whole)).ok_or_else(|| {
        let known: Vec<_> = registry.schemes().map(|(scheme, _)| scheme).filter(|scheme| can_start(scheme)).collect();
        RegistryError::UnknownScheme { scheme: word.to_owned(), known: known.join(", ") }
    })
}

/// Whether it is known how to start a server on this wire.
pub(super) fn can_start(scheme: &str) -> bool {
    place(scheme, 0, Path::new("/")).is_some()
}

/// Targets that stand for the servers before they run.
pub(super) fn placeholders(spec: &Spec, registry: &Registry) -> Vec<Target> {
    let wires = spec.wires.iter().enumerate();
    let endpoints = wires.filter_map(|(number, Wire { scheme, at })| {
        let endpoint = match at {
            Some(at) => to_dial(at, registry),
            None => {
                let place = match place(scheme, number, Path::new("/"))? {
                    // One that could be connected to.
                    Place::Host { host, .. } => Place::Host { host, port: 1 },
                    place => place,
                };
                endpoint(scheme, place).ok()?
            }
        };
        Some(Target { name: scheme.clone(), endpoint, server: ServerKind::Elsewhere })
    });
    endpoints.collect()
}

/// Whether its server is a part of this process.
pub(super) fn is_memory(scheme: &str) -> bool {
    matches!(base(scheme), "mem" | "mem-dgram" | "mem-seq")
}

/// The wire that the layers of a stack stand on.
fn base(scheme: &str) -> &str {
    scheme.rsplit_once('+').map_or(scheme, |(_, base)| base)
}

/// The endpoint of a server on `scheme`, with what its layers have to be told.
fn endpoint(scheme: &str, place: Place) -> Result<Endpoint, EndpointError> {
    let layers = scheme.split('+').filter_map(|layer| LAYERS.iter().find(|(name, ..)| *name == layer));
    let endpoint = Endpoint::new(scheme, place)?;
    Ok(layers.fold(endpoint, |endpoint, (_, option, value)| endpoint.with_option(option, value)))
}

fn place(scheme: &str, at: usize, directory: &Path) -> Option<Place> {
    match base(scheme) {
        "tcp" | "udp" => Some(Place::Host { host: "127.0.0.1".to_owned(), port: 0 }),
        "unix" | "unix-dgram" | "unix-seq" => Some(Place::Path(directory.join(format!("{at}.sock")))),
        base if is_memory(base) => Some(Place::Name(format!("bench-{at}"))),
        _ => None,
    }
}

/// The servers of one measurement. Dropping them ends them at once.
#[derive(Debug)]
pub(super) struct Servers {
    processes: Vec<Process>,
    memory: Option<Memory>,
    /// Of the Unix sockets, if there are any.
    _directory: Option<TempDir>,
}

/// Servers, and where they are, in the order of the wires.
pub(super) type Started = (Servers, Vec<(Endpoint, ServerKind)>);

/// A new directory for sockets, in the best place where one can be bound. Says which places were passed over.
fn directory() -> Result<TempDir, Failure> {
    let mut passed_over = Vec::new();
    for parent in directories::temporary() {
        let made = tempfile::Builder::new().prefix("swapwire-bench-").tempdir_in(&parent);
        match made.and_then(|made| takes_sockets(made.path()).map(|()| made)) {
            Ok(made) => {
                passed_over.into_iter().for_each(complain);
                return Ok(made);
            }
            Err(error) => passed_over.push(format!("no directory for sockets: {}: {error}", parent.display())),
        }
    }
    Err(Failure::several(exit::FAILURE, passed_over))
}

/// Whether a socket with the longest name of those that servers get can be bound there.
#[cfg(unix)]
fn takes_sockets(directory: &Path) -> io::Result<()> {
    let path = directory.join(format!("{}.sock", u16::MAX));
    std::os::unix::net::UnixListener::bind(&path)?;
    std::fs::remove_file(path)
}

#[cfg(not(unix))]
fn takes_sockets(_: &Path) -> io::Result<()> {
    Ok(())
}

impl Servers {
    /// Starts a server for each wire: a process each, but those in memory in a thread of this process, over `registry`.
    /// All of them listen then.
    ///
    /// # Errors
    /// One of them could not be started; none is left.
    pub(super) fn start(spec: &Spec, registry: &Registry) -> Result<Started, Failure> {
        let failed = |what: &str, error: &dyn std::fmt::Display| Failure::failed(format_args!("{what}: {error}"));
        let needs_directory = spec.wires.iter().any(|wire| base(&wire.scheme).starts_with("unix"));
        let directory = if needs_directory { Some(directory()?) } else { None };
        let parent = directory.as_ref().map_or(Path::new("/"), |directory| directory.path()).to_owned();
        let mut servers = Self { processes: Vec::new(), memory: None, _directory: directory };
        let mut places = Vec::new();
        let mut in_memory = Vec::new();
        for (number, wire) in spec.wires.iter().enumerate() {
            let scheme = &wire.scheme;
            let endpoint = wire
                .to_bind(number, &parent)
                .ok_or_else(|| Failure::usage(format_args!("no server can be started on {scheme}")))?
                .map_err(|error| failed(&format!("start a server on {scheme}"), &error))?;
            if is_memory(scheme) {
                in_memory.push((places.len(), endpoint.clone()));
                places.push((endpoint, ServerKind::SameProcess));
            } else {
                let process = Process::start(&endpoint, spec)?;
                // What it says of a place that was given lacks what a client has to know as well, as its credentials.
                let dialled = wire.at.as_ref().map_or_else(|| process.endpoint().clone(), |at| to_dial(at, registry));
                places.push((dialled, ServerKind::Process(process.id())));
                servers.processes.push(process);
            }
        }
        if !in_memory.is_empty() {
            let (at, endpoints): (Vec<usize>, Vec<_>) = in_memory.into_iter().unzip();
            let start = || Memory::start(endpoints, spec, registry).map_err(io::Error::other);
            let started = cpus::run_on(&spec.cpus, start).map_err(|error| failed("start a server", &error))?;
            for (at, dial) in at.into_iter().zip(started.dialled()) {
                places[at].0 = dial.clone();
            }
            servers.memory = Some(started);
        }
        Ok((servers, places))
    }

    /// Which of them have ended by themselves, and why, a line each. If something `failed`, one that is ending is waited
    /// for: its sockets are closed before it is gone.
    pub(super) fn deaths(&mut self, failed: bool) -> Vec<String> {
        let deadline = Instant::now() + if failed { DYING } else { Duration::ZERO };
        loop {
            let deaths: Vec<_> = self.processes.iter_mut().filter_map(Process::death).collect();
            if !deaths.is_empty() || self.processes.is_empty() || Instant::now() >= deadline {
                return deaths;
            }
            std::thread::sleep(DYING / 50);
        }
    }

    /// Ends them in good order, and kills what takes too long.
    pub(super) fn end(mut self) {
        for process in &mut self.processes {
            process.hang_up();
        }
        let deadline = Instant::now() + FAREWELL;
        for process in &mut self.processes {
            process.wait(deadline);
        }
        if let Some(memory) = self.memory.take() {
            memory.end();
        }
    }
}
