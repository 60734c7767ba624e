//! What must be true of streams, whatever happened.

use std::time::Duration;

use swapwire_core::Framing;
use swapwire_server::DrainReport;

use crate::clients::{ClientLog, Ending};
use crate::message::{BYE, FAIL, HANG, PANIC, answers, framed_len};
use crate::plan::{End, Plan};
use crate::recorder::{State, Wire};
use crate::world::sessions_ended;

/// A drain that is cut has this long for its last word.
const LAST_WORD: Duration = Duration::from_millis(250);
/// Answers to one request, at the most.
const MOST_ANSWERS: usize = 3;

pub(crate) fn judge(
    plan: &Plan,
    state: &State,
    logs: &[ClientLog],
    report: Option<&DrainReport>,
) -> Result<(), String> {
    let mut missed_a_deadline = false;
    if let Some(report) = report {
        drained(plan, state, report)?;
        let stats = &report.stats;
        missed_a_deadline =
            stats.idle_timeouts + stats.frame_timeouts + stats.write_timeouts + stats.handshakes_failed > 0;
        if !plan.is_tight && stats.frame_timeouts + stats.write_timeouts > 0 {
            return Err(format!("a long deadline was missed: {stats:?}"));
        }
        if sessions_ended(stats) != stats.sessions {
            return Err(format!("of {} sessions {} have ended: {stats:?}", stats.sessions, sessions_ended(stats)));
        }
    }
    for log in logs {
        let wire = log.addr.and_then(|addr| state.wires.get(&addr)).cloned().unwrap_or_default();
        let due = due(plan, log, &wire, report, missed_a_deadline);
        replies(plan, log, due).map_err(|why| format!("client {} ({:?}, {wire:?}): {why}", log.id, log.end))?;
    }
    Ok(())
}

/// What holds for every drain.
pub(crate) fn drained(plan: &Plan, state: &State, report: &DrainReport) -> Result<(), String> {
    let stats = &report.stats;
    if report.drain > plan.limits.drain_timeout + LAST_WORD {
        return Err(format!("a drain of {:?}, for which it had {:?}", report.drain, plan.limits.drain_timeout));
    }
    if report.cut > 0 && !plan.is_tight && plan.end == End::Stop {
        return Err(format!("a drain with all time of the world was cut after {:?}: {stats:?}", report.drain));
    }
    if state.two_at_once > 0 {
        return Err(format!("{} times a peer had two sessions at once", state.two_at_once));
    }
    if let Some((endpoint, error)) = report.failed.first() {
        return Err(format!("{endpoint} failed: {error}"));
    }
    // A session whose handler panicked may be cut while it is closed.
    let panics = state.panics as u64;
    if stats.panics > panics || report.cut == 0 && stats.panics != panics {
        return Err(format!("{} panics, and {panics} were asked for", stats.panics));
    }
    let exact = if plan.is_datagram() { plan.is_per_message() } else { state.panics == 0 && report.cut == 0 };
    let begun = state.begun as u64;
    if stats.messages > begun || exact && stats.messages != begun {
        return Err(format!("{} messages were counted, and {begun} calls begun", stats.messages));
    }
    Ok(())
}

/// What a client of a WebSocket sends first.
const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: 24 letters of Base64----\r\n\r\n";

/// How many of the requests must be answered; `None`: the wire may have been cut at any byte.
fn due(plan: &Plan, log: &ClientLog, wire: &Wire, report: Option<&DrainReport>, missed: bool) -> Option<usize> {
    let report = report?;
    let panics = log.asked.iter().any(|request| matches!(request.first(), Some(&(PANIC | HANG))));
    if log.end == Ending::Left || wire.broken || missed || panics || report.cut > 0 {
        return None;
    }
    if !log.met_drain {
        return Some(log.asked.len());
    }
    // What the server had wholly received when the drain began.
    let mut room = wire.arrived_before_drain.saturating_sub(if plan.is_websocket() { UPGRADE.len() } else { 0 });
    let whole = log.asked.iter().take_while(|request| {
        let len = match request.len() {
            _ if plan.is_bytes() => framed_len(request, &plan.framing),
            len if plan.is_websocket() => {
                len + match len {
                    ..126 => 6,
                    126..65_536 => 8,
                    _ => 14,
                }
            }
            _ => 1,
        };
        let fits = len <= room;
        room = room.saturating_sub(len);
        fits
    });
    Some(whole.count().max(waited(plan, log)))
}

/// How many requests that waited in the system when the drain began are served all the same.
fn waited(plan: &Plan, log: &ClientLog) -> usize {
    let faults = &plan.server_faults;
    if plan.is_tight || plan.limits.max_connections < plan.clients.len() {
        0
    } else if faults.stall == 0.0 && faults.latency.end.is_zero() {
        log.waiting
    } else if plan.is_per_message() && !plan.chunks() && plan.slices().is_none_or(|slice| slice >= 100) {
        // The first of a connection has the grace of the drain, the others have not. In small pieces it takes longer.
        log.waiting.min(1)
    } else {
        0
    }
}

/// The replies are what the requests ask for, in order, from the first on; to `due` requests at least.
fn replies(plan: &Plan, log: &ClientLog, due: Option<usize>) -> Result<(), String> {
    // What follows the last end of a line is a line too, at either end: a torn request is answered, a torn reply received.
    let torn = due.is_none() && plan.is_bytes() && matches!(plan.framing, Framing::Lines);
    let due = due.unwrap_or(0);
    if plan.chunks() {
        return bytes(log, due);
    }
    let last = log.asked.iter().position(|request| matches!(request.first(), Some(&(FAIL | BYE | PANIC | HANG))));
    let answered = &log.asked[..last.map_or(log.asked.len(), |last| last + 1)];
    let expected: Vec<_> = answered.iter().flat_map(|request| answers(request)).collect();
    for (index, got) in log.got.iter().enumerate() {
        let expected = expected.get(index);
        if torn && expected != Some(got) && index + MOST_ANSWERS >= log.got.len() && is_torn(got, &log.asked) {
            continue;
        }
        if expected != Some(got) {
            let [got, expected] = [Some(got), expected].map(text);
            return Err(format!("reply {index} is not what was due: {got} instead of {expected}"));
        }
    }
    let due: usize = answered.iter().take(due).map(|request| answers(request).len()).sum();
    if log.got.len() < due {
        return Err(format!("{} replies of {due} that were due, {} in all", log.got.len(), expected.len()));
    }
    if let (Ending::Broke(error), None) = (&log.end, last)
        && due == expected.len()
        && !log.met_drain
        && !error.is_empty()
        && due > 0
    {
        // A wire that nothing cut must not break under those who have all they asked for, nor under others.
        return Err(format!("it broke without a fault: {error}"));
    }
    Ok(())
}

/// Whether it is the beginning of an answer to one of these requests, or answers the beginning of one.
fn is_torn(got: &[u8], asked: &[Vec<u8>]) -> bool {
    let is_of = |request: &Vec<u8>| {
        let whole = request.to_ascii_uppercase();
        whole.len() >= got.len() && whole.iter().skip(1).zip(got.iter().skip(1)).all(|(whole, got)| whole == got)
    };
    asked.iter().any(is_of)
}

/// The same for bytes without boundaries.
fn bytes(log: &ClientLog, due: usize) -> Result<(), String> {
    let expected: Vec<u8> = log.asked.concat().to_ascii_uppercase();
    let got = log.got.concat();
    if !expected.starts_with(&got) {
        return Err(format!("the bytes are not what was due: {} of {}", got.len(), expected.len()));
    }
    let due: usize = log.asked.iter().take(due).map(Vec::len).sum();
    if got.len() < due {
        return Err(format!("replies of {} bytes, and {due} were due", got.len()));
    }
    Ok(())
}

/// A message for people.
pub(crate) fn text(message: Option<&Vec<u8>>) -> String {
    message.map_or("nothing".to_owned(), |message| {
        let start: Vec<u8> = message.iter().copied().take(24).collect();
        format!("\"{}\" of {} bytes", start.escape_ascii(), message.len())
    })
}
