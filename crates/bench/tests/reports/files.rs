//! CSV and the interval log.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use swapwire_bench::report::{csv, hlog};

use super::fixture::{found, hostile, load, run};

/// Rows of RFC 4180.
fn rows(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut quoted) = (vec![vec![String::new()]], false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let row = rows.last_mut().unwrap();
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => row.last_mut().unwrap().extend(chars.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(String::new()),
            '\r' if !quoted && chars.peek() == Some(&'\n') => {
                chars.next();
                rows.push(vec![String::new()]);
            }
            c => row.last_mut().unwrap().push(c),
        }
    }
    assert_eq!(rows.pop().unwrap(), [""], "the last line ends too");
    rows
}

#[test]
fn csv_has_a_row_for_each_round_with_as_many_fields_as_its_head() {
    let mut run = run(5, &[load("64"), load("1024")], 3);
    run.cells[0].rounds[1].elapsed_s = 0.5;
    run.cells[0].rounds[1].messages = 1_000;
    let rows = rows(&csv(&run));
    assert_eq!(rows.len(), 1 + 5 * 2 * 3);
    assert!(rows.iter().all(|row| row.len() == rows[0].len()));
    let field = |row: usize, name: &str| rows[row][rows[0].iter().position(|head| head == name).unwrap()].clone();
    let second = (1..rows.len()).find(|row| field(*row, "number") == "2").unwrap();
    assert_eq!(field(second, "target"), "tcp");
    assert_eq!(field(second, "messages_per_s"), "2000");
    assert_eq!(field(second, "rate_per_s"), "", "a closed loop has none");
    assert_eq!(field(second, "latency_p99_ns"), run.cells[0].rounds[1].latency.percentile(99.0).to_string());
    assert_eq!(field(second, "lag_p99_ns"), "", "what is not known is empty");
    let at: Vec<f64> = (1..rows.len()).map(|row| field(row, "at_s").parse().unwrap()).collect();
    assert!(at.is_sorted(), "in the order of measuring: {at:?}");
}

#[test]
fn csv_quotes_what_would_end_a_field() {
    let rows = rows(&csv(&hostile()));
    assert!(rows.iter().all(|row| row.len() == rows[0].len()));
    assert!(rows[1].contains(&"connect: <u>refused</u>, \"twice\" × 12".to_owned()), "{:?}", rows[1]);
}

#[test]
fn probes_of_a_search_are_rows_and_intervals_too() {
    let run = found();
    let rows = rows(&csv(&run));
    assert_eq!(rows.len(), 1 + 2 * 8);
    assert!(rows[1..].iter().all(|row| row[0] == "probe"));
    assert_eq!(hlog(&run).lines().filter(|line| line.starts_with("Tag=")).count(), 2 * 8);
}

#[test]
fn the_interval_log_gives_every_histogram_back() {
    let mut run = run(5, &[load("64")], 2);
    run.targets[0].name = "tcp, the first".to_owned();
    let log = hlog(&run);
    let mut read = Vec::new();
    for entry in IntervalLogIterator::new(log.as_bytes()) {
        if let LogEntry::Interval(interval) = entry.unwrap() {
            let bytes = BASE64_STANDARD.decode(interval.encoded_histogram()).unwrap();
            let histogram: Histogram<u64> = Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
            read.push((
                interval.tag().unwrap().as_str().to_owned(),
                interval.start_timestamp().as_secs_f64(),
                histogram,
            ));
        }
    }
    assert_eq!(read.len(), 10);
    let (tag, at, histogram) = &read[5];
    assert_eq!(tag, "tcp__the_first:64:c64:p1:round2");
    let round = &run.cells[0].rounds[1];
    assert!((at - round.at_s).abs() < 0.001);
    assert_eq!(histogram.len(), round.latency.count());
    assert_eq!(histogram.value_at_quantile(0.99), round.latency.histogram().value_at_quantile(0.99));
}
