//! Whether the generator measured itself.

use std::net::IpAddr;

use swapwire_core::{Endpoint, Place};

use super::{Doubt, Seen};
use crate::analysis::{stats, words};
use crate::{Cell, Round, Run};

/// A client whose threads worked for this share of the time had none left.
const BUSY: f64 = 0.95;
/// A machine whose processors did is full.
const FULL: f64 = 0.9;
/// Lateness of the generator that is more than this share of a latency makes the latency doubtful.
const TOLERATED: f64 = 0.1;
/// What comes of a rate below this share did not keep up.
const KEPT: f64 = 0.99;

pub(super) fn of(seen: &Seen<'_>) -> Option<Doubt> {
    if seen.cell.load.rate_per_s.is_some() { open(seen) } else { closed(seen) }
}

/// Whether client and server kept all processors of one machine busy, in a closed loop.
pub(in super::super) fn is_full(run: &Run, cell: &Cell) -> bool {
    crowd(run, cell).is_some_and(|crowd| crowd.full)
}

/// A generator without time to spare.
struct Crowd {
    threads: usize,
    /// The share of the time that they were busy.
    busy: f64,
    /// Processors that the server kept busy, where it has a process of its own.
    server: Option<f64>,
    full: bool,
}

/// In a closed loop the generator's CPU time tells; not when it polls, for then it is always busy.
fn crowd(run: &Run, cell: &Cell) -> Option<Crowd> {
    let over =
        |measure: fn(&Round) -> Option<f64>| stats::median(&cell.rounds.iter().filter_map(measure).collect::<Vec<_>>());
    let settings = &run.settings;
    let told = cell.load.rate_per_s.is_none() && !settings.spin;
    let busy = over(|round| round.client.busy).filter(|busy| *busy >= BUSY && told)?;
    let process = run.targets.get(cell.target).is_some_and(|target| target.server == "process");
    let server = over(Round::server_processors).filter(|_| process);
    let threads = settings.threads.clamp(1, cell.load.connections.max(1));
    let cpus = run.machine.cpus as f64;
    let full = server.is_some_and(|server| cpus > 0.0 && busy * threads as f64 + server >= FULL * cpus);
    Some(Crowd { threads, busy, server, full })
}

fn closed(seen: &Seen<'_>) -> Option<Doubt> {
    let run = seen.run;
    let Crowd { threads, busy, server, full } = crowd(run, seen.cell)?;
    let cures = || cures(run, seen.cell.target, seen.cell.load.connections);
    let plural = words::plural(threads as u64);
    let client = format!("{threads} thread{plural} of the generator busy {}", words::percent(busy));
    let kept = |server| format!("{client}, the server {} processors", words::count(server));
    Some(match server {
        Some(server) if full => Doubt {
            cause: format!(
                "THE MACHINE WAS FULL: client and server took its {} processors from each other, and the numbers are those \
                 of both{}",
                run.machine.cpus,
                if is_movable(run, seen.cell.target) {
                    "; run the generator on another machine"
                } else {
                    ", good to compare wires with each other, and no limit of a server alone"
                }
            ),
            here: kept(server),
        },
        Some(server) if (BUSY..=1.0 + TOLERATED).contains(&server) => Doubt {
            cause: format!(
                "THE CLIENT MAY HAVE BEEN THE BOTTLENECK: the generator had no time to spare, nor had the server if it has one \
                 thread{}",
                cures().replacen("; ", "; if it has more, ", 1)
            ),
            here: kept(server),
        },
        _ => Doubt {
            cause: format!(
                "THE CLIENT WAS THE BOTTLENECK: the generator had no time to spare, and the server may do more{}",
                cures()
            ),
            here: client,
        },
    })
}

/// In an open loop its lateness tells: every latency contains it.
fn open(seen: &Seen<'_>) -> Option<Doubt> {
    let asked = seen.cell.load.rate_per_s?;
    let times = if seen.summary.latency.is_empty() { &seen.summary.first_reply } else { &seen.summary.latency };
    let lag = &seen.summary.lag;
    let late = [50.0, 99.0].into_iter().find(|percent| {
        !lag.is_empty() && lag.percentile(*percent) as f64 > TOLERATED * times.percentile(*percent) as f64
    });
    let answered = seen.summary.messages_per_s.median;
    let slow = answered < KEPT * asked;
    let per_second = format!("{} per second were answered", words::count(answered));
    match late {
        Some(percent) => Some(Doubt {
            cause: format!(
                "THE CLIENT WAS THE BOTTLENECK: the generator was late, which the latencies contain, and the server is not to \
                 blame; lower the --rate{}{}",
                if seen.run.settings.spin || seen.run.machine.cpus < 2 { "" } else { ", try --spin" },
                cures(seen.run, seen.cell.target, seen.cell.load.connections).replacen("; ", ", ", 1)
            ),
            here: format!(
                "late by {} in its p{percent}, where the latency is {}{}",
                words::time(lag.percentile(percent) as f64),
                words::time(times.percentile(percent) as f64),
                if slow { format!("; {per_second}") } else { String::new() },
            ),
        }),
        None if slow => Some(Doubt {
            cause: "overload: the latency is that of a growing queue; lower the --rate".to_owned(),
            here: per_second,
        }),
        None => None,
    }
}

/// What gives the generator more room, of what can be done here: `; give it more --threads`. Empty if nothing can.
pub(super) fn cures(run: &Run, target: usize, connections: usize) -> String {
    let (settings, cpus) = (&run.settings, run.machine.cpus);
    let cures: Vec<_> = [
        (settings.threads < connections && settings.threads < cpus, "give the generator more --threads"),
        (settings.pin.is_empty() && cpus > 1, "--pin its threads"),
        (is_movable(run, target), "run it on another machine"),
    ]
    .into_iter()
    .filter_map(|(possible, cure)| possible.then_some(cure))
    .collect();
    if cures.is_empty() { String::new() } else { format!("; {}", cures.join(", or ")) }
}

/// Whether generator and server can be on two machines: not where the run started the server itself, nor over a wire that
/// ends at this machine.
fn is_movable(run: &Run, target: usize) -> bool {
    let endpoint = run.targets.get(target).and_then(|target| target.endpoint.parse::<Endpoint>().ok());
    let elsewhere = |host: &str| match host.parse::<IpAddr>() {
        Ok(address) => !address.to_canonical().is_loopback(),
        // RFC 6761, 6.3.
        Err(_) => {
            let name = host.trim_end_matches('.').to_ascii_lowercase();
            name != "localhost" && !name.ends_with(".localhost")
        }
    };
    run.settings.handler.is_none()
        && endpoint.is_some_and(|endpoint| matches!(endpoint.place(), Place::Host { host, .. } if elsewhere(host)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reached_at_this_machine_alone_cannot_be_measured_from_another() {
        let movable = |endpoint: &str| {
            let target = crate::TargetInfo { endpoint: endpoint.to_owned(), ..crate::TargetInfo::default() };
            is_movable(&Run { targets: vec![target], ..Run::default() }, 0)
        };
        for here in [
            "127.0.0.1:1",
            "127.8.9.1:1",
            "[::1]:1",
            "[::ffff:127.0.0.1]:1",
            "localhost:1",
            "LocalHost.:1",
            "a.localhost:1",
        ] {
            assert!(!movable(&format!("tcp://{here}")) && !movable(&format!("udp://{here}")), "{here}");
        }
        for elsewhere in ["192.0.2.1:1", "[2001:db8::1]:1", "example.org:1", "localhost.example.org:1"] {
            assert!(movable(&format!("tcp://{elsewhere}")), "{elsewhere}");
        }
        assert!(!movable("unix:/x") && !movable("mem:x"));
    }
}
