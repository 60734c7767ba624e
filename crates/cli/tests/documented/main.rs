//! Every command line that the help texts, the README and the documents show, run as it stands there.
//!
//! What cannot stand here (ports, paths, other hosts, lengths of time) is replaced by `here::REPLACED`. A line in which
//! something is left that the list does not know is an error, so a new example is added to the list or changed.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "../../../../tests/common/broker/mod.rs"]
mod broker;
#[path = "../common/mod.rs"]
mod common;
mod config;
mod here;
mod limits;
mod others;
mod texts;

use std::process::{Command, Stdio};

use common::{finish, lines};
use here::Here;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use texts::{Shown, shown};

/// Runs the lines of one command; gives how many there were.
fn run_all(is_meant: impl Fn(&str) -> bool) -> usize {
    let here = Here::new();
    let meant: Vec<Shown> = shown().into_iter().filter(|shown| is_meant(&shown.line)).collect();
    for shown in &meant {
        if shown.line.contains("nats://") && !here.has_broker() {
            continue;
        }
        let line = here.replace(&shown.line);
        if let Some(what) = here::left_over(&line) {
            panic!("{}: `{}`: {what} cannot stand in a test: add it to the list in here.rs", shown.source, shown.line);
        }
        let said = if serves_until_told(&line) { serve(&here, &line) } else { measure(&here, &line) };
        let codes: &[i32] = if line.contains("--slo") { &[0, 3] } else { &[0] };
        assert!(said.code.is_some_and(|code| codes.contains(&code)), "{}: `{line}`: {said:?}", shown.source);
        if let Some(result) = &shown.result {
            assert_eq!(said.text().trim_end(), result, "{}: `{line}`: {said:?}", shown.source);
        }
    }
    meant.len()
}

/// Runs a line to its end; anew, where a machine too busy did nothing in a whole round.
fn measure(here: &Here, line: &str) -> common::Said {
    let mut said = finish(here.spawn(line));
    for _ in 0..9 {
        if !said.stderr.contains("is missing: no request was begun in it") {
            break;
        }
        said = finish(here.spawn(line));
    }
    said
}

fn serves_until_told(line: &str) -> bool {
    line.starts_with("swapwire serve") && !["--check", "--print-"].iter().any(|flag| line.contains(flag))
}

/// Runs a server until it listens everywhere, then ends it as an operator would.
fn serve(here: &Here, line: &str) -> common::Said {
    let mut child = here.spawn(&format!("exec {line}"));
    let told = lines(child.stdout.take().unwrap());
    // The admin endpoint is told elsewhere.
    let is_place = |word: &&str| word.contains(':') && !word.starts_with("--");
    let places = line.split(' ').filter(is_place).count();
    let places = if line.contains("--config") { 1 } else { places };
    for _ in 0..if places == 0 { 3 } else { places } {
        let Ok(line) = told.recv_timeout(common::PATIENCE) else { return finish(child) };
        assert!(line.starts_with("listening "), "{line}");
    }
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    finish(child)
}

#[test]
fn servers_of_the_documents_run() {
    if ["127.0.0.1:8888"].iter().any(|place| std::net::TcpListener::bind(place).is_err()) {
        eprintln!("SKIPPED: port 8888, the default, is not free here");
        return;
    }
    let count = run_all(|line| line.starts_with("swapwire serve") || line.contains("| swapwire serve"));
    assert!(count >= 12, "only {count} found");
}

#[test]
fn clients_of_the_documents_run() {
    let count = run_all(|line| line.contains("swapwire connect"));
    assert!(count >= 6, "only {count} found");
}

#[test]
fn measurements_of_the_documents_run() {
    let count = run_all(|line| line.contains("swapwire bench"));
    assert!(count >= 15, "only {count} found");
}

#[test]
fn everything_else_of_the_documents_runs() {
    let known = ["swapwire serve", "swapwire connect", "swapwire bench"];
    let count = run_all(|line| line.contains("swapwire ") && !known.iter().any(|known| line.contains(known)));
    assert!(count >= 10, "only {count} found");
}

/// Tools that are not ours, where they are installed.
#[test]
fn other_clients_of_the_readme_are_answered() {
    for tool in ["nc", "socat"] {
        let there = Command::new("sh").args(["-c", &format!("command -v {tool}")]).stdout(Stdio::null()).status();
        if !there.unwrap().success() {
            eprintln!("skipped: no {tool}");
            continue;
        }
        let count = run_all(|line| line.contains(&format!("| {tool} ")));
        assert!(count >= 1, "no line with {tool}");
    }
}

#[test]
fn scripts_and_targets_of_the_documents_exist() {
    let known = others::Known::read();
    let lines = texts::commands();
    assert!(lines.len() >= 60, "only {} found", lines.len());
    let wrong: Vec<_> =
        lines.iter().filter_map(|(source, line)| Some(format!("{source}: {}", known.fault(line)?))).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn rust_blocks_of_the_documents_are_compiled() {
    let wrong = texts::uncompiled();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The list would hide a fault if it let everything pass.
#[test]
fn what_the_list_does_not_know_is_told() {
    let left = |line: &str| here::left_over(&Here::new().replace(line)).is_some();
    assert!(left("swapwire connect tcp://192.0.2.1:5000"));
    assert!(left("swapwire serve unix:/var/lib/x.sock"));
    assert!(left("swapwire bench tcp -d 7h"));
    assert!(!left("swapwire serve tcp://127.0.0.1:8888"));
}
