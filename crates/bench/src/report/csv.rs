//! Comma-separated values.

use crate::{Round, Run, Spectrum, Usage};

use super::content::loads::{Measured, measured};
use super::content::words;

/// A header, then a line for each round of each cell, and for each probe of a search, in the order in which they were made
/// ([RFC 4180](https://www.rfc-editor.org/rfc/rfc4180)). Units are in the names of the columns; what is not known is empty.
pub fn csv(run: &Run) -> String {
    let fields: Vec<_> = measured(run).iter().map(|measured| fields(run, measured)).collect();
    let head = self::fields(
        run,
        &Measured { kind: "", target: 0, load: Default::default(), number: 0, round: &Round::default() },
    );
    let head: Vec<_> = head.into_iter().map(|(name, _)| name).collect();
    let mut text = head.join(",") + "\r\n";
    for fields in fields {
        text += &(fields.into_iter().map(|(_, value)| quoted(value)).collect::<Vec<_>>().join(",") + "\r\n");
    }
    text
}

/// A line's columns.
fn fields(run: &Run, measured: &Measured<'_>) -> Vec<(String, String)> {
    let (round, load) = (measured.round, &measured.load);
    let target = run.targets.get(measured.target).cloned().unwrap_or_default();
    let mut fields: Vec<(String, String)> = Vec::new();
    let mut add = |name: &str, value: String| fields.push((name.to_owned(), value));
    add("kind", measured.kind.to_owned());
    add("target", words::name(run, measured.target));
    add("endpoint", target.endpoint);
    add("server", target.server);
    add("size_bytes", load.size.clone());
    add("connections", load.connections.to_string());
    add("pipeline", load.pipeline.to_string());
    add("rate_per_s", optional(load.rate_per_s));
    add("number", measured.number.to_string());
    add("at_s", round.at_s.to_string());
    add("elapsed_s", round.elapsed_s.to_string());
    add("requests", round.requests.to_string());
    add("warmup_requests", round.warmup_requests.to_string());
    add("answered", round.answered.to_string());
    add("messages", round.messages.to_string());
    add("messages_per_s", optional((round.elapsed_s > 0.0).then(|| round.messages as f64 / round.elapsed_s)));
    add("sent_bytes", round.bytes_sent.to_string());
    add("received_bytes", round.bytes_received.to_string());
    let times = [
        ("latency", &round.latency),
        ("first_reply", &round.first_reply),
        ("connect", &round.connect),
        ("lag", &round.lag),
    ];
    for (name, spectrum) in times {
        spread(name, spectrum, &mut add);
    }
    let faults = &round.faults;
    for (name, _, count) in faults.counts() {
        add(name, optional(count));
    }
    add("errors", words::errors(faults));
    add("reconnects", round.reconnects.to_string());
    usage("client", Some(&round.client), &mut add);
    usage("server", round.server.as_ref(), &mut add);
    add("yardstick_ns", optional((round.yardstick_ns > 0.0).then_some(round.yardstick_ns)));
    fields
}

fn spread(name: &str, spectrum: &Spectrum, add: &mut impl FnMut(&str, String)) {
    add(&format!("{name}_count"), spectrum.count().to_string());
    let percentiles = [("min", 0.0), ("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9), ("max", 100.0)];
    for (at, percent) in percentiles {
        add(&format!("{name}_{at}_ns"), optional((!spectrum.is_empty()).then(|| spectrum.percentile(percent))));
    }
}

fn usage(side: &str, usage: Option<&Usage>, add: &mut impl FnMut(&str, String)) {
    let per_message = |usage: &Usage| (usage.messages > 0).then(|| usage.cpu_s * 1e9 / usage.messages as f64);
    add(&format!("{side}_cpu_s"), optional(usage.map(|usage| usage.cpu_s)));
    add(&format!("{side}_cpu_per_message_ns"), optional(usage.and_then(per_message)));
    add(&format!("{side}_busy"), optional(usage.and_then(|usage| usage.busy)));
    add(&format!("{side}_memory_bytes"), optional(usage.and_then(|usage| usage.memory)));
}

fn optional<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

fn quoted(value: String) -> String {
    if value.contains([',', '"', '\r', '\n']) { format!("\"{}\"", value.replace('"', "\"\"")) } else { value }
}
