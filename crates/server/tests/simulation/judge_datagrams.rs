//! What must be true of datagrams: they may be lost, but nothing is made up, crossed or doubled by us.

use std::collections::{HashMap, HashSet};

use swapwire_server::DrainReport;

use crate::clients::{ClientLog, Ending};
use crate::judge::{drained, text};
use crate::message::{answers, name};
use crate::plan::Plan;
use crate::recorder::{State, Wire};

pub(crate) fn judge(
    plan: &Plan,
    state: &State,
    logs: &[ClientLog],
    report: Option<&DrainReport>,
) -> Result<(), String> {
    for log in logs {
        let wire = log.addr.and_then(|addr| state.wires.get(&addr)).cloned().unwrap_or_default();
        one(plan, state, log, &wire, report).map_err(|why| format!("client {} ({:?}): {why}", log.id, log.end))?;
    }
    match report {
        Some(report) => accounts(plan, state, report),
        None => Ok(()),
    }
}

/// The replies of one client.
fn one(plan: &Plan, state: &State, log: &ClientLog, wire: &Wire, report: Option<&DrainReport>) -> Result<(), String> {
    let mut seen: HashMap<&[u8], usize> = HashMap::new();
    let asked: HashMap<_, _> = log.asked.iter().map(|request| (name(request), request)).collect();
    for reply in &log.got {
        let reply_text = || text(Some(reply));
        let at = reply.iter().rposition(|byte| *byte == b'#').ok_or_else(|| format!("{} has no call", reply_text()))?;
        let number: Option<usize> = std::str::from_utf8(&reply[at + 1..]).ok().and_then(|text| text.parse().ok());
        let call = number.and_then(|number| state.calls.get(number));
        let call = call.ok_or_else(|| format!("{} is a reply of nobody's", reply_text()))?;
        if name(reply) != Some(*call) || call.0 != log.id {
            return Err(format!("{} belongs to another client or request than call {call:?}", reply_text()));
        }
        let due = asked.get(&Some(*call)).is_some_and(|request| {
            let mut answers = answers(request).into_iter();
            answers.any(|answer| answer == reply[..at])
        });
        if !due {
            return Err(format!("{} is not what was asked for", reply_text()));
        }
        *seen.entry(reply).or_default() += 1;
    }
    let doubled: usize = seen.values().map(|count| count - 1).sum();
    if doubled > wire.doubled_replies {
        return Err(format!("{doubled} replies came twice, more than {} that faults doubled", wire.doubled_replies));
    }
    let calls = state.calls.iter().filter(|(id, _)| *id == log.id);
    let different: HashSet<_> = calls.clone().collect();
    let again = calls.count() - different.len();
    if again > wire.doubled_requests {
        return Err(format!("{again} calls again, more than {} that faults doubled", wire.doubled_requests));
    }
    let nothing_is_lost = !plan.hangs()
        && report.is_some_and(|report| {
            let stats = &report.stats;
            report.cut == 0
                && stats.dropped_requests + stats.dropped_replies + stats.failed_replies + stats.cut_replies == 0
                && stats.idle_timeouts == 0
                && stats.panics + stats.handler_errors + stats.done == 0
        });
    if nothing_is_lost && !plan.can_lose() && log.end == Ending::Served && !log.met_drain {
        let due: usize = log.asked.iter().map(|request| answers(request).len()).sum();
        let got = log.got.len() - doubled;
        // A request that came twice is answered twice.
        if got < due {
            return Err(format!("{got} replies of {due} that were due"));
        }
    }
    Ok(())
}

/// What came in and went out of the server adds up.
fn accounts(plan: &Plan, state: &State, report: &DrainReport) -> Result<(), String> {
    drained(plan, state, report)?;
    let stats = &report.stats;
    let used = state.begun as u64 + stats.dropped_requests + stats.truncated;
    if used > state.received as u64 {
        return Err(format!("{used} datagrams were handled or dropped, more than {} received", state.received));
    }
    let sent = state.sent - state.doubled;
    if sent > state.replies {
        return Err(format!("{sent} replies were sent, more than {} made", state.replies));
    }
    if plan.is_per_message() {
        if used != state.received as u64 {
            return Err(format!("{} datagrams received, {used} handled or dropped: {stats:?}", state.received));
        }
        let gone = sent as u64 + stats.dropped_replies + stats.failed_replies + stats.cut_replies;
        if gone > state.replies as u64 || report.cut == 0 && gone != state.replies as u64 {
            return Err(format!("{} replies made, {gone} sent or dropped: {stats:?}", state.replies));
        }
    } else {
        let ended = crate::world::sessions_ended(stats);
        if ended != stats.sessions {
            return Err(format!("of {} sessions {ended} have ended: {stats:?}", stats.sessions));
        }
    }
    Ok(())
}
