//! `swapwire compare` and `swapwire report`.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::bench::{bench, read};
use crate::common::{Said, run};
use swapwire_bench::{Run, Spectrum};
use tempfile::TempDir;

/// A directory with the file of a short run.
fn measured(wire: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run.json");
    let said = bench(&[wire, "--rounds", "5", "--quiet", "--json", path.to_str().unwrap()]);
    assert_eq!(said.code, Some(0), "{said:?}");
    (directory, path)
}

fn write(path: &Path, run: &Run) {
    fs::write(path, serde_json::to_vec(run).unwrap()).unwrap();
}

fn command(name: &str, paths: &[&Path], flags: &[&str]) -> Said {
    let paths = paths.iter().map(|path| path.to_str().unwrap());
    run(&[name].into_iter().chain(paths).chain(flags.iter().copied()).collect::<Vec<_>>(), "")
}

#[test]
fn a_report_is_what_the_run_said() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let [json, csv, markdown, hlog, html] = ["json", "csv", "markdown", "hlog", "html"].map(path);
    let flag = |name: &'static str, path: &Path| [name.to_owned(), path.to_str().unwrap().to_owned()];
    let flags = |files: &[(&'static str, &Path)]| -> Vec<String> {
        files.iter().flat_map(|(name, path)| flag(name, path)).collect()
    };
    let first = flags(&[("--json", &json), ("--csv", &csv), ("--markdown", &markdown), ("--hlog", &hlog)]);
    let said = bench(&["mem", "unix"].into_iter().chain(first.iter().map(String::as_str)).collect::<Vec<_>>());
    assert_eq!(said.code, Some(0), "{said:?}");
    let before = [&csv, &markdown, &hlog].map(|path| fs::read_to_string(path).unwrap());
    for path in [&csv, &markdown, &hlog] {
        fs::remove_file(path).unwrap();
    }
    let again = flags(&[("--csv", &csv), ("--markdown", &markdown), ("--hlog", &hlog), ("--html", &html)]);
    let report = command("report", &[&json], &again.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!((report.code, report.text(), report.stderr.as_str()), (Some(0), said.text(), ""));
    assert_eq!([&csv, &markdown, &hlog].map(|path| fs::read_to_string(path).unwrap()), before);
    assert!(fs::read_to_string(&html).unwrap().contains("<svg"));
}

#[test]
fn several_runs_are_reported_one_after_the_other() {
    let (_directory, path) = measured("mem");
    let report = command("report", &[&path, &path], &[]);
    let headings = report.text().lines().filter(|line| Some(*line) == path.to_str());
    assert_eq!((report.code, headings.count()), (Some(0), 2), "{report:?}");
    let refused = command("report", &[&path, &path], &["--csv", "-", "--hlog", "-"]);
    assert_eq!((refused.code, refused.stderr.lines().count()), (Some(2), 2), "{refused:?}");
    assert!(refused.stderr.starts_with("swapwire: --csv: of one run alone"), "{refused:?}");
}

#[test]
fn a_run_is_no_regression_of_itself() {
    let (_directory, path) = measured("mem");
    let said = command("compare", &[&path, &path], &[]);
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{said:?}");
    assert!(!said.stdout.is_empty());
}

#[test]
fn a_run_that_is_much_slower_is_a_regression() {
    let (directory, before) = measured("mem");
    let after = directory.path().join("after.json");
    let mut run = read(&before);
    // However much this machine has to do: rounds that agree.
    let first = run.cells[0].rounds[0].clone();
    run.cells[0].rounds.fill(first);
    run.evaluate();
    write(&before, &run);
    for round in &mut run.cells[0].rounds {
        round.messages /= 3;
        round.bytes_sent /= 3;
        round.bytes_received /= 3;
        round.requests /= 3;
        round.answered /= 3;
        let mut slower = Spectrum::new();
        for value in round.latency.histogram().iter_recorded() {
            for _ in 0..value.count_at_value() {
                slower.record(std::time::Duration::from_nanos(value.value_iterated_to() * 3));
            }
        }
        round.latency = slower;
    }
    run.evaluate();
    write(&after, &run);
    let said = command("compare", &[&before, &after], &["--fail-if", "throughput<-5%"]);
    assert_eq!((said.code, said.stderr.lines().count()), (Some(3), 1), "{said:?}");
    assert!(!said.stdout.is_empty());
    // The other way round it is an improvement.
    assert_eq!(command("compare", &[&after, &before], &[]).code, Some(0));
}

#[test]
fn runs_that_have_nothing_in_common_cannot_be_compared() {
    let ((_a, mem), (_b, unix)) = (measured("mem"), measured("unix"));
    let said = command("compare", &[&mem, &unix], &[]);
    assert_eq!((said.code, said.text()), (Some(1), ""), "{said:?}");
    assert!(said.line().starts_with(&format!("swapwire: compare {} with {}: ", unix.display(), mem.display())));
    let said = command("compare", &[&mem, &mem], &["--fail-if", "p99", "--fail-if", "x>1%"]);
    assert_eq!((said.code, said.stderr.lines().count()), (Some(2), 2), "{said:?}");
    assert!(said.stderr.lines().all(|line| line.starts_with("swapwire: rule ")), "{said:?}");
}

#[test]
fn files_that_are_no_runs_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.json");
    let shown = path.display();
    let cases: [(&[u8], &str); 6] = [
        (b"", "not JSON: EOF while parsing"),
        (b"\xff\xfe", "not JSON: "),
        (b"{\"schema\": 1", "not JSON: EOF while parsing"),
        (b"[1, 2]", "not a run of swapwire bench: it has no schema"),
        (b"{\"schema\": 1}", "not a whole run: missing field"),
        (b"{\"schema\": 99, \"x\": 1}", "written by a newer swapwire (schema 99; this one knows 1): use that one"),
    ];
    for (content, line) in cases {
        fs::write(&path, content).unwrap();
        for command in [&["report"][..], &["compare", path.to_str().unwrap()]] {
            let said = run(&[command, &[path.to_str().unwrap()]].concat(), "");
            let line = format!("swapwire: read {shown}: {line}");
            assert_eq!(said.code, Some(1), "{said:?}");
            assert!(said.stderr.lines().all(|told| told.starts_with(&line)), "{line}: {said:?}");
        }
    }
    let said = run(&["report", "/no/such.json", "/"], "");
    let lines = ["swapwire: read /no/such.json: No such file or directory", "swapwire: read /: Is a directory"];
    assert_eq!((said.code, said.stderr.lines().collect::<Vec<_>>()), (Some(1), lines.to_vec()));
}

#[test]
fn a_run_that_somebody_has_tampered_with_is_no_danger() {
    let (_directory, path) = measured("mem");
    let mut run = read(&path);
    run.cells[0].target = 99;
    run.conclusion = vec!["\x1b[2Jgone".to_owned()];
    write(&path, &run);
    for said in [command("report", &[&path], &["--html", "-"]), command("compare", &[&path, &path], &[])] {
        assert!(matches!(said.code, Some(0 | 1)), "{said:?}");
        assert!(!said.stdout.contains(&0x1b) && !said.stderr.contains('\x1b'), "{said:?}");
    }
}
