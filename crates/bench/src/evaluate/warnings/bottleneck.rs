//! Whether the generator measured itself.

use super::Seen;
use crate::{
    Round,
    evaluate::{server_processors, words},
    stats,
};

/// A client whose threads worked for this share of the time had none left.
const BUSY: f64 = 0.95;
/// A machine whose processors did is full.
const FULL: f64 = 0.9;
/// Lateness of the generator that is more than this share of a latency makes the latency doubtful.
const SHARE: f64 = 0.1;
/// What comes of a rate below this share did not keep up.
const KEPT: f64 = 0.99;

pub(super) fn of(seen: &Seen<'_>) -> Option<String> {
    if seen.cell.load.rate_per_s.is_some() { open(seen) } else { closed(seen) }
}

/// In a closed loop the generator's CPU time tells; not when it polls, for then it is always busy.
fn closed(seen: &Seen<'_>) -> Option<String> {
    let settings = &seen.run.settings;
    let over = |measure: fn(&Round) -> Option<f64>| {
        stats::median(&seen.cell.rounds.iter().filter_map(measure).collect::<Vec<_>>())
    };
    let busy = over(|round| round.client.busy).filter(|busy| *busy >= BUSY && !settings.spin)?;
    let target = seen.run.targets.get(seen.cell.target);
    let process = target.is_some_and(|target| target.server == "process");
    let server = over(server_processors).filter(|_| process);
    let threads = settings.threads.clamp(1, seen.cell.load.connections.max(1));
    let cpus = seen.run.machine.cpus as f64;
    let threads_were = if threads == 1 { "one thread was".to_owned() } else { format!("{threads} threads were") };
    let client = format!("the generator's {threads_were} busy {} of the time", words::percent(busy));
    let name = &seen.name;
    Some(match server {
        Some(server) if cpus > 0.0 && busy * threads as f64 + server >= FULL * cpus => format!(
            "THE MACHINE WAS FULL: {name}: {client}, and the server kept {} of {cpus} processors busy: they took them from \
             each other, and the numbers are those of both; run the generator on another machine",
            words::count(server)
        ),
        Some(server) if (BUSY..=1.0 + SHARE).contains(&server) => format!(
            "THE CLIENT MAY HAVE BEEN THE BOTTLENECK: {name}: {client}; the server kept {} processors busy, which is all it \
             can do if it has one thread; if it has more, give the generator more --threads",
            words::count(server)
        ),
        _ => format!(
            "THE CLIENT WAS THE BOTTLENECK: {name}: {client}: the server may do more; give the generator more --threads, \
             --pin them, or run it on another machine"
        ),
    })
}

/// In an open loop its lateness tells: every latency contains it.
fn open(seen: &Seen<'_>) -> Option<String> {
    let asked = seen.cell.load.rate_per_s?;
    let times = if seen.summary.latency.is_empty() { &seen.summary.first_reply } else { &seen.summary.latency };
    let lag = &seen.summary.lag;
    let late = [50.0, 99.0]
        .into_iter()
        .find(|percent| !lag.is_empty() && lag.percentile(*percent) as f64 > SHARE * times.percentile(*percent) as f64);
    let answered = seen.summary.messages_per_s.median;
    let slow = answered < KEPT * asked;
    let name = &seen.name;
    match late {
        Some(percent) => Some(format!(
            "THE CLIENT WAS THE BOTTLENECK: {name}: the generator was late by {} in its p{percent}, where the latency is {}{}: \
             the server is not to blame; lower the --rate, give more --threads, --pin them, or try --spin",
            words::time(lag.percentile(percent) as f64),
            words::time(times.percentile(percent) as f64),
            if slow { format!(", and {} per second were answered", words::count(answered)) } else { String::new() },
        )),
        None if slow => Some(format!(
            "overload: {name}: {} per second were answered: the latency is that of a growing queue; lower the --rate",
            words::count(answered)
        )),
        None => None,
    }
}
