//! Numbers as text for Prometheus.

use std::fmt::{self, Display, Write as _};

use swapwire_core::Shape;

use super::counters::{Counter, Snapshot};
use super::families::{FAMILIES, GAUGES};
use super::listener_stats::ListenerInfo;
use super::process;

/// Metrics in the text format of [Prometheus](https://prometheus.io/docs/instrumenting/exposition_formats/), version 0.0.4:
/// of [`ServerHandle::prometheus`](crate::ServerHandle::prometheus), to which a program may add its own.
///
/// It displays as the text, for an answer of the type [`CONTENT_TYPE`](Self::CONTENT_TYPE).
///
/// ```
/// let mut text = swapwire_server::PrometheusText::default();
/// text.counter("orders_total", "Orders taken.", 3);
/// text.gauge("oven_temperature_celsius", "How hot the oven is.", 181.5);
/// assert!(text.to_string().starts_with("# HELP orders_total Orders taken.\n# TYPE orders_total counter\norders_total 3\n"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct PrometheusText(String);

impl PrometheusText {
    /// What the text is, for HTTP.
    pub const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// Adds a counter: a number that only rises, whose name ends with `_total`.
    pub fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "counter", help);
        self.sample(name, &[], value);
    }

    /// Adds a gauge: a number that rises and falls.
    pub fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.sample(name, &[], value);
    }

    /// Adds what a server has counted.
    pub(crate) fn server(&mut self, listed: Vec<(ListenerInfo, Snapshot)>, draining: bool) {
        self.family("swapwire_build_info", "gauge", "The version of swapwire.");
        self.sample("swapwire_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
        self.gauge("swapwire_draining", "1 from the beginning of the drain.", u8::from(draining));
        if let Some((info, _)) = listed.first() {
            let help = "Connections served at once at most, of all listeners.";
            self.gauge("swapwire_connections_limit", help, info.limits.max_connections);
        }
        let rows = rows(listed);
        for (name, help) in GAUGES {
            let name = format!("swapwire_{name}");
            self.family(&name, "gauge", help);
            for row in &rows {
                let value = match &*name {
                    "swapwire_sessions_open" => row.counted.open(),
                    "swapwire_listener_up" => u64::from(row.is_up),
                    _ if row.is_datagram => row.peers_limit,
                    _ => continue,
                };
                self.sample(&name, &row.labels(), value);
            }
        }
        for family in FAMILIES {
            let name = format!("swapwire_{}", family.name);
            self.family(&name, "counter", family.help);
            for row in rows.iter().filter(|row| row.is_datagram || !family.name.starts_with("datagrams_")) {
                for (counter, label) in of_family(row.counted.iter(), family.name) {
                    let own = (!label.is_empty()).then_some((family.label, label));
                    self.sample(&name, &row.labels().into_iter().chain(own).collect::<Vec<_>>(), counter.value);
                }
            }
        }
    }

    /// Adds what the system says of this process, where it has `proc(5)`.
    pub(crate) fn process(&mut self) {
        for (name, kind, help, value) in process::metrics() {
            self.family(name, kind, help);
            self.sample(name, &[], value);
        }
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP {name} ");
        escape(&mut self.0, help, false);
        let _ = writeln!(self.0, "\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (i, (label, text)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"", if i == 0 { '{' } else { ',' });
            escape(&mut self.0, text, true);
            self.0.push('"');
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }
}

impl Display for PrometheusText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<PrometheusText> for String {
    fn from(text: PrometheusText) -> Self {
        text.0
    }
}

/// What has the same labels: of listeners that are called the same, the sum.
struct Row {
    listener: String,
    transport: String,
    counted: Snapshot,
    is_up: bool,
    is_datagram: bool,
    peers_limit: u64,
}

impl Row {
    fn labels(&self) -> Vec<(&str, &str)> {
        vec![("listener", &self.listener), ("transport", &self.transport)]
    }
}

fn rows(listed: Vec<(ListenerInfo, Snapshot)>) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for (info, counted) in listed {
        let peers_limit = (info.limits.max_peers as u64).saturating_mul(info.sockets as u64);
        match rows.iter_mut().find(|row| (&row.listener, &row.transport) == (&info.name, &info.transport)) {
            Some(row) => {
                row.counted = row.counted.and(&counted);
                row.is_up &= info.is_up;
                row.peers_limit = row.peers_limit.saturating_add(peers_limit);
            }
            None => rows.push(Row {
                listener: info.name,
                transport: info.transport,
                counted,
                is_up: info.is_up,
                is_datagram: info.shape == Shape::Datagram,
                peers_limit,
            }),
        }
    }
    rows
}

/// The counters of a family, each with its label.
pub(super) fn of_family(
    counters: impl Iterator<Item = Counter>,
    family: &str,
) -> impl Iterator<Item = (Counter, &'static str)> {
    counters.filter_map(move |counter| {
        let (_, label) = counter.families.iter().find(|(name, _)| *name == family)?;
        Some((counter, *label))
    })
}

/// A backslash, an end of line and, in a label, a quote are escaped.
fn escape(into: &mut String, text: &str, is_label: bool) {
    for letter in text.chars() {
        match letter {
            '\\' => into.push_str("\\\\"),
            '\n' => into.push_str("\\n"),
            '"' if is_label => into.push_str("\\\""),
            other => into.push(other),
        }
    }
}

#[cfg(test)]
mod tests;
