//! `swapwire bench` on a terminal.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;

use crate::common::swapwire;
use rexpect::session::{Options, PtySession, spawn_with_options};

/// Starts a short `bench` on a terminal of its own; `None`, aloud, where there are no terminals.
fn open(environment: &[(&str, &str)]) -> Option<PtySession> {
    if !Path::new("/dev/ptmx").exists() {
        eprintln!("SKIPPED: no pseudo-terminals here");
        return None;
    }
    let mut command = swapwire(&["bench", "mem", "-c", "1", "-d", "300ms", "--rounds", "3"]);
    command.env("TERM", "xterm").env_remove("NO_COLOR").envs(environment.iter().copied());
    Some(spawn_with_options(command, Options::new().timeout_ms(Some(60_000))).unwrap())
}

#[test]
fn the_progress_is_one_line_that_goes_away() {
    let Some(mut session) = open(&[]) else { return };
    session.exp_string("mem, 64 B, 1 connection | round 1 | 1 of 3 | ").unwrap();
    let between = session.exp_string("round 3 | 3 of 3 | ").unwrap();
    assert!(!between.contains('\n'), "it stays on its line: {between:?}");
    let rest = session.exp_eof().unwrap();
    assert!(rest.contains("\x1b[2K"), "the line is wiped: {rest:?}");
    assert!(rest.contains("\x1b[1m"), "the table has colours: {rest:?}");
}

#[test]
fn colours_can_be_switched_off() {
    let Some(mut session) = open(&[("NO_COLOR", "1")]) else { return };
    let all = session.exp_eof().unwrap();
    let is_digit = |c: char| c.is_ascii_digit() || c == ';';
    let styles = all.split("\x1b[").skip(1).filter(|code| code.trim_start_matches(is_digit).starts_with('m'));
    let styles: Vec<_> = styles.collect();
    assert!(styles.is_empty(), "{styles:?}");
}
