//! The text, and the page that lists it.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use super::super::families::Family;
use super::*;
use crate::Limits;

fn info(name: &str, transport: &str, shape: Shape) -> ListenerInfo {
    let limits = Limits { max_connections: 100, max_peers: 10, ..Limits::default() };
    ListenerInfo {
        name: name.to_owned(),
        transport: transport.to_owned(),
        endpoints: Vec::new(),
        shape,
        limits: Arc::new(limits),
        sockets: 2,
        is_up: true,
    }
}

fn text_of(listed: Vec<(ListenerInfo, Snapshot)>) -> String {
    let mut text = PrometheusText::default();
    text.server(listed, false);
    text.into()
}

/// Every line of two listeners, one of which has a name that has to be escaped.
#[test]
fn the_text_is_the_golden_one() {
    let streams = Snapshot { sessions: 5, done: 2, idle_timeouts: 1, received_bytes: u64::MAX, ..Snapshot::default() };
    let datagrams = Snapshot { dropped_requests: 3, dropped_queue: 3, throttled: 4, ..Snapshot::default() };
    let text = text_of(vec![
        (info("a \"quoted\"\\name\nof two lines", "tls+tcp", Shape::ByteStream), streams),
        (ListenerInfo { is_up: false, ..info("udp://127.0.0.1:53", "udp", Shape::Datagram) }, datagrams),
    ]);
    let text = text.replace(env!("CARGO_PKG_VERSION"), "VERSION");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/metrics/numbers/prometheus/golden.txt");
    is_written(&golden, &text);
}

#[test]
fn listeners_that_are_called_the_same_are_one() {
    let one = |sessions| Snapshot { sessions, ..Snapshot::default() };
    let same = || info("mem:a", "mem", Shape::ByteStream);
    let down = ListenerInfo { is_up: false, ..same() };
    let text = text_of(vec![(same(), one(1)), (down, one(2)), (info("mem:a", "ws", Shape::ByteStream), one(4))]);
    for line in [
        "swapwire_sessions_total{listener=\"mem:a\",transport=\"mem\"} 3",
        "swapwire_sessions_total{listener=\"mem:a\",transport=\"ws\"} 4",
        "swapwire_listener_up{listener=\"mem:a\",transport=\"mem\"} 0",
        "swapwire_sessions_open{listener=\"mem:a\",transport=\"mem\"} 3",
    ] {
        assert!(text.lines().any(|other| other == line), "{line}: {text}");
    }
    let series = text.lines().filter(|line| !line.starts_with('#')).map(|line| line.rsplit_once(' ').unwrap().0);
    let (all, each) = (series.clone().count(), series.collect::<BTreeSet<_>>().len());
    assert_eq!(all, each, "a series is there twice: {text}");
}

#[test]
#[cfg(target_os = "linux")]
fn the_system_tells_of_this_process() {
    let metrics = process::metrics();
    let value = |name: &str| metrics.iter().find(|(other, ..)| *other == name).unwrap_or_else(|| panic!("{name}")).3;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let begun = value("process_start_time_seconds");
    assert!(begun <= now + 2.0 && begun > now - 1e6, "{begun}, and now it is {now}");
    let (resident, all) = (value("process_resident_memory_bytes"), value("process_virtual_memory_bytes"));
    assert!(resident > 1e5 && resident <= all, "{resident} of {all}");
    let (open, most) = (value("process_open_fds"), value("process_max_fds"));
    assert!(open >= 3.0 && open <= most, "{open} of {most}");
    assert!(value("process_cpu_seconds_total") >= 0.0);
}

/// `docs/metrics.md` between the lines that mark it.
#[test]
fn the_page_lists_every_metric() {
    const BEGIN: &str = "<!-- Written by a test, from crates/server/src/metrics/numbers. -->\n";
    const END: &str = "<!-- End. -->\n";
    let mut table = String::from("\n| metric | type | counts |\n| --- | --- | --- |\n");
    for (name, help) in GAUGES {
        let _ = writeln!(table, "| `swapwire_{name}` | gauge | {help} |");
    }
    for Family { name, label, help } in FAMILIES {
        let of = of_family(Snapshot::default().iter(), name).filter(|(_, label)| !label.is_empty());
        let labels: Vec<_> = of.map(|(_, label)| format!("`{label}`")).collect();
        let by = if label.is_empty() { String::new() } else { format!(" `{label}`: {}", labels.join(", ")) };
        let _ = writeln!(table, "| `swapwire_{name}` | counter | {help}{by} |");
    }
    table.push_str("\n| metric | label | field of `Snapshot` | counts |\n| --- | --- | --- | --- |\n");
    for Family { name, .. } in FAMILIES {
        for (counter, label) in of_family(Snapshot::default().iter(), name) {
            let label = if label.is_empty() { "–".to_owned() } else { format!("`{label}`") };
            let _ = writeln!(table, "| `{name}` | {label} | `{}` | {} |", counter.name, counter.help);
        }
    }
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    let text = std::fs::read_to_string(&page).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the mark where the tables begin");
    let (_, after) = rest.split_once(END).expect("the mark where the tables end");
    is_written(&page, &format!("{before}{BEGIN}{table}\n{END}{after}"));
}

/// That a file has this text; with `WRITE_DOCS` in the environment it is written.
fn is_written(path: &Path, text: &str) {
    if std::env::var_os("WRITE_DOCS").is_some() {
        std::fs::write(path, text).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(found, text, "{} is old: WRITE_DOCS=1 cargo test -p swapwire-server writes it", path.display());
}
