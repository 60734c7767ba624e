//! The page. Each test leaves its page in the target directory, to be looked at.

use std::fs;
use std::path::Path;

use swapwire_bench::report::html;
use swapwire_bench::{LoadInfo, Run};

use super::fixture::{found, hostile, load, run, silent};

fn page(name: &str, runs: &[(&str, Run)]) -> String {
    let runs: Vec<_> = runs.iter().map(|(file, run)| ((*file).to_owned(), run.clone())).collect();
    let page = html(&runs);
    fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name), &page).unwrap();
    page
}

/// Everything that stands between tags, without the style.
fn words(page: &str) -> String {
    let body = page.split_once("</style>").unwrap().1;
    body.split('<')
        .filter_map(|part| part.split_once('>'))
        .map(|(_, words)| words)
        .collect::<Vec<_>>()
        .join(" ")
        .replace("&#x2f;", "/")
}

/// Tags are opened and closed in pairs.
fn well_formed(page: &str) {
    let mut open: Vec<&str> = Vec::new();
    for part in page.split('<').skip(2) {
        let tag = part.split('>').next().unwrap();
        let name = tag.trim_start_matches('/').split([' ', '/', '\n']).next().unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "before {part}");
        } else if !tag.ends_with('/') && name != "meta" {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn a_page_needs_nothing_else_and_is_small() {
    let page = page("full.html", &[("run.json", run(5, &["64", "1024", "16384"].map(load), 7))]);
    well_formed(&page);
    assert!(page.len() < 500_000, "{} bytes", page.len());
    for outside in ["<script", "<link", "<img", "<iframe", "src=", "url(", "@import", "https:"] {
        assert!(!page.contains(outside), "{outside}");
    }
    // The name of a namespace that inline SVG does not need.
    assert!(!page.contains("http:"), "nothing to fetch");
}

#[test]
fn every_drawing_has_a_title_and_its_numbers_in_words() {
    let run = run(5, &["64", "1024", "16384"].map(load), 7);
    let page = page("drawings.html", &[("run.json", run.clone())]);
    let drawings: Vec<_> = page.split("<svg ").skip(1).map(|part| part.split("</svg>").next().unwrap()).collect();
    assert_eq!(
        drawings.len(),
        5 + 3 * 4 + 2,
        "a sample for each target, four plots for each load, of which the first stands at the top, two by size"
    );
    for drawing in drawings {
        assert!(drawing.starts_with("role=\"img\" aria-label=\""), "{drawing}");
        assert!(drawing.contains("<title>") && drawing.contains("<desc>"), "{drawing}");
        assert!(!drawing.contains('#') && !drawing.contains("NaN") && !drawing.contains("inf"), "{drawing}");
    }
    for caption in ["Messages per second", "CPU time per message", "Latency spectrum", "Throughput over time"] {
        assert_eq!(page.matches(&format!("<figcaption><b>{caption}</b>")).count(), 3, "{caption}");
    }
    let words = words(&page).replace('\u{a0}', " ");
    let summary = run.cells[3].summary.as_ref().unwrap();
    let rate = format!("{:.0}k ± ", summary.messages_per_s.median / 1e3);
    assert!(words.contains(&rate), "{rate}");
    for word in [
        "yardstick",
        "Closed loop: each connection keeps 1 request under way",
        "mem: client and server share a process",
    ] {
        assert!(words.contains(word), "{word}");
    }
    assert!(!words.contains("Open loop: requests have intended"), "what was not done is not explained");
}

#[test]
fn names_never_become_markup() {
    let page = page("hostile.html", &[("<u>.json", hostile())]);
    well_formed(&page);
    for markup in ["<script", "<img", "<b>the", "<i>udp", "<u>"] {
        assert!(!page.contains(markup), "{markup}");
    }
    let words = words(&page);
    assert!(words.contains("&lt;b&gt;the generator&lt;"), "a warning is shown");
    assert!(words.contains("stopped after 3 of 7 rounds"), "so is what is missing");
    let place = |what: &str| page.find(what).unwrap();
    assert!(
        place("&lt;i&gt;udp") < place("<svg ") && place("<svg ") < place("the generator"),
        "findings and a plot first"
    );
    assert!(place("the generator") < place("<table"), "before any table");
}

#[test]
fn one_target_twelve_cells_and_no_reply_at_all_make_pages_too() {
    let one = page("one.html", &[("one.json", run(1, &[load("64")], 1))]);
    well_formed(&one);
    assert!(!one.contains("k ± "), "one round has no uncertainty to tell");
    let open = ["64", "1024", "file:sizes.txt"].map(|size| LoadInfo {
        rate_per_s: Some(20_000.0),
        pipeline: 16,
        ..load(size)
    });
    let twelve = page("twelve.html", &[("twelve.json", run(4, &open, 5))]);
    well_formed(&twelve);
    assert!(twelve.contains("Open loop: requests have intended send times"));
    assert!(words(&twelve).contains("how late it handed requests over"), "the lag of an open loop is shown");
    let silent = page("silent.html", &[("silent.json", silent())]);
    well_formed(&silent);
    assert!(!silent.contains("NaN"), "{silent}");
    assert!(words(&silent).contains("timeout × 640"), "{silent}");
    well_formed(&page("empty.html", &[("empty.json", run(2, &[load("64")], 0))]));
}

#[test]
fn a_page_tells_where_its_run_comes_from_and_from_four_loads_on_what_it_holds() {
    let contents = "aria-label=\"Contents\"";
    let three = page("three.html", &[("", run(2, &["64", "1024", "16384"].map(load), 3))]);
    assert!(!three.contains(contents));
    assert!(three.contains("<title>swapwire bench: tcp, udp: 3 loads, 2026-11-22 20:54 UTC</title>"), "{three}");
    for said in ["swapwire bench --message ", "swapwire 0.1.0", "Linux 6.1.0, AMD EPYC 7B13, 2 processors"] {
        assert!(words(&three).replace('\u{a0}', " ").contains(said), "{said}");
    }
    let four = page("four.html", &[("", run(5, &["64", "256", "1024", "16384"].map(load), 3))]);
    well_formed(&four);
    assert!(four.contains(contents));
    let targets: Vec<_> = four.split("href=\"#").skip(1).map(|part| part.split('"').next().unwrap()).collect();
    assert_eq!(targets.len(), 5, "four loads and what they cost by size");
    assert!(targets.iter().all(|target| four.contains(&format!("<h2 id=\"{target}\">"))), "{targets:?}");
    assert!(!words(&four).contains("stream: may") && words(&four).contains("datagrams: loses nothing"));
}

#[test]
fn plots_say_their_numbers_without_a_script() {
    let sizes = [("64", "64 B"), ("1024", "1 KiB"), ("16384", "16 KiB")];
    let run = run(2, &sizes.map(|(size, _)| load(size)), 3);
    let page = page("numbers.html", &[("", run.clone())]).replace('\u{a0}', " ");
    let texts = |title: &str| {
        let drawing = page.split(&format!("<title>{title}")).nth(1).unwrap().split("</svg>").next().unwrap();
        let texts =
            drawing.split("<text ").skip(1).map(|text| text.split(['>', '<']).nth(1).unwrap().trim().to_owned());
        texts.collect::<Vec<_>>()
    };
    let three_digits =
        |number: f64| format!("{number:.*}", if number < 9.995 { 2 } else { usize::from(number < 99.95) });
    for cell in &run.cells {
        let summary = cell.summary.as_ref().unwrap();
        let size = sizes.iter().find(|(size, _)| *size == cell.load.size).unwrap().1;
        let rate = three_digits(summary.messages_per_s.median / 1e3);
        let over_time = texts(&format!("Throughput over time, {size}, 64 connections"));
        assert!(over_time.contains(&format!("{rate}k/s")), "{rate} in {over_time:?}");
        let by_size = texts("Throughput by message size");
        assert!(by_size.iter().any(|text| text.ends_with(&format!("{rate}k"))), "{rate} in {by_size:?}");
        let p99 = three_digits(summary.latency.percentile(99.0) as f64 / 1e6);
        let spectrum = texts(&format!("Latency spectrum, {size}, 64 connections"));
        assert!(spectrum.contains(&format!("{p99} ms")), "{p99} in {spectrum:?}");
    }
    let searched = html(&[(String::new(), found())]);
    assert!(searched.contains("tcp 90k/s"), "{searched}");
}

#[test]
fn a_cell_of_a_target_that_is_not_listed_is_no_harm() {
    let mut run = run(2, &[load("64")], 3);
    run.targets.pop();
    well_formed(&page("unlisted.html", &[("unlisted.json", run)]));
}

#[test]
fn a_search_is_drawn_and_tabulated() {
    let page = page("found.html", &[("found.json", found())]);
    well_formed(&page);
    assert!(page.contains("Rates that were tried"));
    assert!(words(&page).contains("90k/s"));
}

#[test]
fn several_runs_stand_one_below_the_other() {
    let page =
        page("several.html", &[("before.json", run(2, &[load("64")], 3)), ("after.json", run(2, &[load("64")], 3))]);
    well_formed(&page);
    for file in ["before.json", "after.json"] {
        assert!(page.contains(&format!("<h2 class=\"run\">{file}</h2>")), "{file}");
    }
    let mut ids: Vec<_> = page.split(" id=\"").skip(1).map(|part| part.split('"').next().unwrap()).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "no two things have the same name");
}
