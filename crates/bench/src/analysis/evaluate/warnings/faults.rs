//! Replies that were wrong, or never came.

use super::{Doubt, Seen};
use crate::analysis::words;
use crate::result::OUT_OF_PORTS;

/// Below this many, a round is an anecdote.
const FEW: f64 = 100.0;

pub(super) fn of(seen: &Seen<'_>) -> Vec<Doubt> {
    let summary = seen.summary;
    let (faults, settings) = (&summary.faults, &seen.run.settings);
    let mut doubts = Vec::new();
    let mut doubt = |cause: &str, here: String| doubts.push(Doubt { cause: cause.to_owned(), here });
    if faults.wrong > 0 {
        let (wrong, requests) = (words::count(faults.wrong as f64), words::count(summary.requests as f64));
        doubt(
            &format!("wrong replies, where {} was expected (--expect)", settings.expect),
            format!("{wrong} of {requests}"),
        );
    }
    if let Some(loss) = loss(seen) {
        doubt("loss: requests without a right reply in time", loss);
    }
    let number = |number: &u64| words::count(*number as f64);
    if let Some(count) = faults.errors.get(OUT_OF_PORTS) {
        doubt(
            "NO LOCAL PORTS LEFT on the client's machine, which is no fault of the server: come from more addresses \
             (--source), or open fewer connections anew (--reconnect-every)",
            format!("{} times", number(count)),
        );
    }
    let others = faults.errors.iter().filter(|(kind, _)| *kind != OUT_OF_PORTS);
    let others: Vec<_> = others.map(|(kind, count)| format!("{kind} × {}", number(count))).collect();
    if !others.is_empty() {
        doubt("errors", others.join(", "));
    }
    let messages: u64 = seen.cell.rounds.iter().map(|round| round.messages).sum();
    let each = messages as f64 / seen.cell.rounds.len() as f64;
    if each < FEW {
        doubt(
            &format!(
                "few messages in a round, which say little about a rate and nothing about a p99: ask for {}",
                seen.longer()
            ),
            format!("{} on average", words::count(each)),
        );
    }
    doubts
}

/// The requests without a reply, and why.
fn loss(seen: &Seen<'_>) -> Option<String> {
    let (faults, requests) = (&seen.summary.faults, seen.summary.requests as f64);
    let unanswered: u64 = seen.cell.rounds.iter().map(|round| round.unanswered()).sum();
    let timeout = seen.run.settings.timeout_s.map_or_else(|| "the timeout".to_owned(), |s| words::time(s * 1e9));
    let late = match faults.late {
        0 => String::new(),
        late => format!(", of which {} came late (--timeout)", words::count(late as f64)),
    };
    let dropped =
        |whose| format!("dropped by the system at the {whose}'s sockets {} (recv_buffer)", words::WHOLE_ROUND);
    let parts = [
        (faults.lost, format!("without a reply within {timeout}{late}")),
        (faults.unsent, "never sent, since earlier ones were in the way".to_owned()),
        (faults.broken, "on connections that broke".to_owned()),
        (faults.client_drops.unwrap_or(0), dropped("client")),
        (faults.server_drops.unwrap_or(0), dropped("server")),
    ];
    let parts = parts.into_iter().filter(|(number, _)| *number > 0);
    let parts: Vec<_> = parts.map(|(number, what)| format!("{} {what}", words::count(number as f64))).collect();
    let share = words::percent(unanswered as f64 / requests);
    let parts = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
    (unanswered > 0).then(|| format!("{share} of {} requests{parts}", words::count(requests)))
}
