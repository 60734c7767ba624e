//! The terminal's table and Markdown.

use swapwire_bench::report::{markdown, text};

use super::fixture::{found, hostile, load, run, silent};

fn widest(text: &str) -> usize {
    text.lines().map(|line| line.chars().count()).max().unwrap_or(0)
}

/// The words of the line that begins with `name`.
fn line<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(name));
    line.unwrap_or_else(|| panic!("no line of {name} in\n{text}")).split_whitespace().collect()
}

#[test]
fn the_table_shows_what_was_measured_and_fits_the_terminal() {
    let mut run = run(5, &[load("64")], 7);
    let summary = run.cells[2].summary.as_mut().unwrap();
    summary.messages_per_s.median = 143_000.0;
    (summary.messages_per_s.low, summary.messages_per_s.high) = (142_000.0, 144_000.0);
    summary.latency_ns.get_mut("p99").unwrap().median = 2_340_000.0;
    summary.server_cpu_ns.as_mut().unwrap().median = 6_210.0;
    summary.server_memory = Some(6 << 20);
    run.conclusion = vec!["unix handles 1.42 ± 0.03 times as many messages per second as tcp".to_owned()];
    let text = text(&run, false);
    assert!(widest(&text) <= 110, "{}:\n{text}", widest(&text));
    let unix = line(&text, "unix");
    assert_eq!(unix[1..4], ["143k", "±", "1k"], "{text}");
    for word in ["2.34ms", "6.21µs", "6.00MiB"] {
        assert!(unix.contains(&word), "{word} in {unix:?}");
    }
    assert_eq!(line(&text, "tcp")[4], "1", "the first target is what the others are compared with: {text}");
    assert!(
        text.contains("closed loop: a latency runs from handing a request over to having its whole reply"),
        "{text}"
    );
    assert!(!text.contains("open loop:"), "{text}");
    assert!(text.contains("mem: client and server share a process"), "{text}");
    assert!(text.contains("udp: 21 lost (under 0.001 %)") || text.contains("udp: 21 lost (0.002 %)"), "{text}");
    assert_eq!(text.lines().last(), Some("unix handles 1.42 ± 0.03 times as many messages per second as tcp"));
    assert!(!text.contains('\u{1b}') && !text.contains('\u{a0}'), "{text}");
}

#[test]
fn colours_say_nothing_that_words_do_not() {
    let run = hostile();
    let colored = text(&run, true);
    assert!(colored.contains("\u{1b}[1;33mWARNING: "), "{colored}");
    let mut plain = colored;
    for code in ["\u{1b}[1m", "\u{1b}[2m", "\u{1b}[1;33m", "\u{1b}[0m"] {
        plain = plain.replace(code, "");
    }
    assert_eq!(plain, text(&run, false), "and nothing else is written to the terminal");
}

#[test]
fn nothing_in_a_run_reaches_the_terminal_as_a_command() {
    let text = text(&hostile(), false);
    assert!(!text.contains('\u{1b}'), "{text}");
    assert!(text.contains("WARNING: <b>the generator</b> was the bottleneck\u{fffd}[2J for udp"), "{text}");
    assert!(text.contains("PARTIAL: stopped after 3 of 7 rounds"), "{text}");
    assert!(text.contains("7 wrong"), "{text}");
    assert!(text.lines().filter(|line| line.contains(" ± ")).all(|line| line.chars().count() <= 110), "{text}");
}

#[test]
fn twelve_cells_are_a_table_for_each_load() {
    let loads = ["64", "1024", "16384"].map(load);
    let text = text(&run(4, &loads, 3), false);
    for title in [
        "64 B, 64 connections, closed loop",
        "1 KiB, 64 connections, closed loop",
        "16 KiB, 64 connections, closed loop",
    ] {
        assert_eq!(text.lines().filter(|line| *line == title).count(), 1, "{title} in\n{text}");
    }
    assert!(widest(&text) <= 110, "{text}");
}

#[test]
fn where_no_reply_came_there_are_no_times() {
    let text = text(&silent(), false);
    let tcp = line(&text, "tcp");
    assert_eq!(tcp[1], "0", "{text}");
    assert!(text.contains("tcp: 640 lost (100 %), errors: timeout × 640"), "{text}");
    assert!(!text.contains("latency  "), "a column without a number is left out: {text}");
}

#[test]
fn a_search_ends_in_the_rates_that_held() {
    let text = text(&found(), false);
    assert!(widest(&text) <= 110, "{text}");
    let tcp = line(&text, "tcp");
    assert!(tcp.contains(&"90k/s"), "{tcp:?}");
    assert!(text.contains("the generator: it may be higher"), "{text}");
    assert_eq!(
        text.lines().filter(|line| line.contains("p99 was 5.4 ms")).count(),
        4,
        "each probe that failed: {text}"
    );
    assert!(text.contains("open loop: a latency runs from the intended send time"), "{text}");
}

#[test]
fn markdown_is_tables_that_nothing_breaks() {
    let text = markdown(&hostile());
    assert!(!text.contains("<script") && !text.contains("<b>") && !text.contains('\u{1b}'), "{text}");
    assert!(text.contains("* **WARNING**: &lt;b\\>the generator"), "{text}");
    for rows in text.split("\n\n").filter(|part| part.starts_with('|')) {
        let cells = |row: &str| row.replace("\\|", "").matches('|').count();
        let head = cells(rows.lines().next().unwrap());
        assert!(rows.lines().all(|row| cells(row) == head), "{rows}");
    }
    let text = markdown(&run(5, &[load("64")], 7));
    for said in [
        "* Command: swapwire bench --message 'it'\\\\''s'",
        "Linux 6.1.0, AMD EPYC 7B13, 2 processors",
        "(datagrams: loses nothing)",
        "7 rounds of 1 s after 200 ms of warm-up",
        "### 64 B, 64 connections, closed loop",
        "| unix-dgram |",
    ] {
        assert!(text.replace('\u{a0}', " ").contains(said), "{said} in\n{text}");
    }
}
