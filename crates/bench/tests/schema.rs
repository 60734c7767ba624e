//! The JSON of a run is what `docs/bench-json.md` says, and files of this schema stay readable.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value as Json;
use swapwire_bench::{
    Cell, Faults, Found, LoadInfo, Machine, Probe, Ratio, Round, Run, SCHEMA, Settings, Spectrum, Summary, TargetInfo,
    Usage, Value,
};

const PAGE: &str = include_str!("../../../docs/bench-json.md");
const GOLDEN: &str = include_str!("data/schema-1.json");

fn spectrum(micros: &[u64]) -> Spectrum {
    let mut spectrum = Spectrum::new();
    micros.iter().for_each(|micros| spectrum.record(Duration::from_micros(*micros)));
    spectrum
}

fn faults() -> Faults {
    Faults {
        wrong: 1,
        lost: 2,
        late: 1,
        duplicated: Some(3),
        reordered: Some(4),
        unsent: 5,
        broken: 6,
        client_drops: Some(8),
        server_drops: Some(9),
        errors: BTreeMap::from([("connect: connection refused".to_owned(), 7)]),
    }
}

fn usage(cpu_s: f64) -> Usage {
    Usage { cpu_s, messages: 4, busy: Some(0.5), memory: Some(6 << 20) }
}

fn round() -> Round {
    Round {
        at_s: 0.25,
        elapsed_s: 0.5,
        requests: 10,
        warmup_requests: 2,
        answered: 4,
        messages: 4,
        bytes_sent: 640,
        bytes_received: 256,
        latency: spectrum(&[100, 200, 300]),
        first_reply: spectrum(&[400]),
        connect: spectrum(&[50]),
        lag: spectrum(&[1, 2]),
        timeline: vec![1, 3],
        timeline_step_s: 0.25,
        faults: faults(),
        reconnects: 1,
        client: usage(0.000_01),
        server: Some(usage(0.000_02)),
        yardstick_ns: 3100.0,
    }
}

fn value(median: f64) -> Value {
    Value { median, low: median - 1.0, high: median + 1.0, min: median - 2.0, max: median + 2.0 }
}

/// A run in which nothing is missing. Every field is written out, so that a new one has to be added here too.
fn full() -> Run {
    let load = LoadInfo { size: "64".to_owned(), connections: 64, pipeline: 16, rate_per_s: Some(1000.0) };
    let summary = Summary {
        messages_per_s: value(8.0),
        bytes_per_s: value(1792.0),
        latency_ns: ["p50", "p90", "p99", "p99.9", "max"].map(|key| (key.to_owned(), value(200_000.0))).into(),
        latency: spectrum(&[100, 200, 300]),
        first_reply: spectrum(&[400]),
        connect: spectrum(&[50]),
        lag: spectrum(&[1, 2]),
        client_cpu_ns: Some(value(2500.0)),
        server_cpu_ns: Some(value(5000.0)),
        server_memory: Some(6 << 20),
        requests: 10,
        answered: 4,
        faults: faults(),
    };
    Run {
        schema: SCHEMA,
        tool: "swapwire 0.1.0".to_owned(),
        command: vec!["swapwire".to_owned(), "bench".to_owned()],
        started_unix_s: 1_795_380_855,
        elapsed_s: 1.5,
        machine: Machine { os: "Linux 6.1.0".to_owned(), cpu: "AMD EPYC 7B13".to_owned(), cpus: 2 },
        settings: Settings {
            rounds: 1,
            duration_s: Some(0.5),
            requests: Some(10),
            warmup_s: 0.2,
            ramp_s: 0.1,
            timeout_s: Some(1.0),
            reconnect_every: Some(100),
            framing: "chunks".to_owned(),
            message: Some("PING\\r\\n".to_owned()),
            expect: "uppercase".to_owned(),
            handler: Some("uppercase".to_owned()),
            threads: 1,
            pin: vec![0],
            spin: false,
            sources: vec!["127.0.0.2".to_owned()],
            seed: 1,
        },
        targets: vec![TargetInfo {
            name: "udp".to_owned(),
            endpoint: "udp://127.0.0.1:4000".to_owned(),
            server: "process".to_owned(),
            wire: "datagram".to_owned(),
            datagrams: true,
        }],
        cells: vec![Cell { target: 0, load: load.clone(), rounds: vec![round()], summary: Some(summary) }],
        ratios: vec![Ratio { target: 0, over: 0, load: load.clone(), metric: "p99".to_owned(), value: value(3.0) }],
        found: vec![Found {
            target: 0,
            load,
            slo: "p99<=5ms".to_owned(),
            limited_by: "objective".to_owned(),
            probes: vec![Probe { rate_per_s: 1000.0, held: false, why: "p99 was 6 ms".to_owned(), round: round() }],
        }],
        warnings: vec!["1 round cannot tell how sure a number is".to_owned()],
        partial: vec!["stopped after 1 of 7 rounds".to_owned()],
        conclusion: vec!["udp handles 8 messages per second".to_owned()],
    }
}

type Fields = BTreeMap<String, BTreeSet<String>>;

/// The names of the fields of each object, by the field that it stands in; the run itself stands in none.
fn written(name: &str, json: &Json, fields: &mut Fields) {
    match json {
        Json::Object(object) => {
            fields.entry(name.to_owned()).or_default().extend(object.keys().cloned());
            object.iter().for_each(|(key, value)| written(key, value, fields));
        }
        Json::Array(items) => items.iter().for_each(|item| written(name, item, fields)),
        _ => {}
    }
}

fn quoted(text: &str) -> impl Iterator<Item = String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned)
}

/// The same as the page tells it: each section says where its object stands, and has a row for each field.
fn documented() -> Fields {
    let mut fields = Fields::new();
    for section in PAGE.split("\n## ").skip(1) {
        let Some(stands) = section.lines().find(|line| line.starts_with("Stands in ")) else { continue };
        let places: Vec<_> =
            if stands.contains("the file itself") { vec![String::new()] } else { quoted(stands).collect() };
        let rows = section.lines().filter(|line| line.starts_with("| `"));
        let names: BTreeSet<_> = rows.filter_map(|row| quoted(row.split('|').nth(1)?).next()).collect();
        for place in places {
            assert!(
                fields.insert(place.clone(), names.clone()).is_none(),
                "two sections tell what stands in `{place}`"
            );
        }
    }
    fields
}

#[test]
fn the_page_tells_every_field_and_no_other() {
    let mut fields = Fields::new();
    written("", &serde_json::to_value(full()).unwrap(), &mut fields);
    // Its keys are not names but kinds of errors.
    assert_eq!(fields.remove("errors").map(|kinds| kinds.len()), Some(1));
    let mut documented = documented();
    assert_eq!(documented.remove("errors"), Some(BTreeSet::from(["KIND".to_owned()])));
    for (place, names) in &fields {
        assert_eq!(documented.get(place), Some(names), "the object in `{place}`, on the page (left) and as written");
    }
    let (written, told): (Vec<_>, Vec<_>) = (fields.keys().collect(), documented.keys().collect());
    assert_eq!(told, written, "where objects stand");
}

#[test]
fn the_example_on_the_page_is_a_run() {
    let example =
        PAGE.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).expect("there is an example");
    let run: Run = serde_json::from_str(example).unwrap();
    assert_eq!(run.schema, SCHEMA);
    assert_eq!(run.cells[0].rounds[0].latency.count(), 3);
}

#[test]
fn what_is_written_is_read_again() {
    let full = full();
    assert_eq!(serde_json::from_str::<Run>(&serde_json::to_string(&full).unwrap()).unwrap(), full);
}

#[test]
fn a_file_of_schema_1_is_read_as_it_always_was() {
    let run: Run = serde_json::from_str(GOLDEN).unwrap();
    assert_eq!(run.schema, 1);
    let (cell, found) = (&run.cells[0], &run.found[0]);
    assert_eq!(cell.load.rate_per_s, Some(1000.0));
    assert_eq!(cell.rounds[0].latency, spectrum(&[100, 200, 300]));
    // It had no counts of what the system dropped.
    assert_eq!(cell.rounds[0].faults, Faults { client_drops: None, server_drops: None, ..faults() });
    assert_eq!(cell.summary.as_ref().unwrap().latency_ns["p99.9"].median, 200_000.0);
    assert_eq!(found.probes[0].round.server.as_ref().unwrap().memory, Some(6 << 20));
    assert_eq!(run.ratios[0].value.high, 4.0);
}

#[test]
fn what_follows_from_the_rounds_may_be_missing() {
    let mut json = serde_json::to_value(full()).unwrap();
    let object = json.as_object_mut().unwrap();
    for derived in ["ratios", "found", "warnings", "partial", "conclusion"] {
        object.remove(derived);
    }
    object["cells"][0].as_object_mut().unwrap().remove("summary");
    let run: Run = serde_json::from_value(json).unwrap();
    assert!(run.cells[0].summary.is_none() && run.found.is_empty());
}
