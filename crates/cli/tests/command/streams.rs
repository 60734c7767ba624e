//! Standard streams that somebody else has made non-blocking, has filled, or has closed.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _, pipe};
use std::net::TcpListener;
use std::process::Stdio;

use crate::common::narrow::{file_of, full, has_room, page, unblock};
use crate::common::{Serving, finish, kill_with, lines, next, run, swapwire, wait};
use nix::sys::signal::Signal;

/// What a command writes to a pipe of one page that waits for nobody, and how it ends.
fn narrow_output(args: &[&str], input: &[u8]) -> (Vec<u8>, crate::common::Said) {
    let (mut reader, writer) = page();
    unblock(&writer);
    let watched = writer.try_clone().unwrap();
    let mut command = swapwire(args);
    command.stdin(file_of(input)).stdout(writer).stderr(Stdio::piped());
    let mut child = crate::common::start(&mut command);
    // The writer in this process is a part of the command.
    drop(command);
    // Nobody reads before it is full.
    while has_room(&watched) && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    drop(watched);
    let mut got = Vec::new();
    reader.read_to_end(&mut got).unwrap();
    (got, finish(child))
}

#[test]
fn no_output_is_cut() {
    let server = Serving::start(2, &["tcp://127.0.0.1:0", "udp://127.0.0.1:0", "--framing", "lines"]);
    let text = [&[b'x'; 999][..], b"\n"].concat().repeat(400);
    for (endpoint, framing) in [(0, "lines"), (0, "chunks"), (1, "lines")] {
        let args = ["connect", &server.endpoints[endpoint], "--framing", framing];
        let (got, said) = narrow_output(&args, &text);
        assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{args:?}");
        assert!(got == text.to_ascii_uppercase(), "{args:?}: {} of {} bytes", got.len(), text.len());
    }
    for args in [&["bench", "--help"][..], &["completions", "bash"], &["transports", "--options"]] {
        let whole = run(args, "");
        let (got, said) = narrow_output(args, b"");
        assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{args:?}");
        assert!(got == whole.stdout, "{args:?}: {} of {} bytes", got.len(), whole.stdout.len());
    }
}

#[test]
fn no_report_is_cut() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("run.json").display().to_string();
    let measured = ["bench", "mem", "-c", "1", "-n", "500", "--rounds", "3", "--quiet", "--json"];
    let (json, said) = narrow_output(&[&measured[..], &["-"]].concat(), b"");
    assert_eq!(said.code, Some(0), "{said:?}");
    let run_of: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert!(json.len() > 4096 && run_of["schema"].is_number());
    std::fs::write(&file, &json).unwrap();
    for args in [&["report", &file, &file, &file, &file][..], &["report", &file, "--markdown", "-"]] {
        let whole = run(args, "");
        assert_eq!(whole.code, Some(0), "{whole:?}");
        let (got, said) = narrow_output(args, b"");
        assert_eq!(said.code, Some(0), "{said:?}");
        assert!(got == whole.stdout, "{args:?}: {} of {} bytes", got.len(), whole.stdout.len());
    }
}

#[test]
fn an_input_that_comes_late_is_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
    for framing in ["lines", "chunks"] {
        let (reader, mut writer) = pipe().unwrap();
        unblock(&reader);
        let mut command = swapwire(&["connect", &endpoint, "--framing", framing]);
        let mut child = crate::common::start(command.stdin(reader).stdout(Stdio::piped()).stderr(Stdio::piped()));
        let (mut stream, _) = listener.accept().unwrap();
        // Connected: it has most likely looked for input, and found none.
        stream.write_all(b"first\n").unwrap();
        // By then it has looked for input, and found none.
        let said = lines(child.stdout.take().unwrap());
        assert_eq!(next(&said), "first");
        writer.write_all(b"late\n").unwrap();
        drop(writer);
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        assert_eq!(got, b"late\n");
        drop(stream);
        let said = finish(child);
        assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{framing}");
    }
}

#[test]
fn an_input_that_has_not_come_is_not_its_end() {
    let (reader, writer) = pipe().unwrap();
    unblock(&reader);
    let mut command = swapwire(&["serve", "tcp://127.0.0.1:0", "--until-eof"]);
    let mut child = crate::common::start(command.stdin(reader).stdout(Stdio::piped()).stderr(Stdio::piped()));
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let endpoint = line.trim_end().strip_prefix("listening ").unwrap();
    for _ in 0..20 {
        assert_eq!(crate::common::connect(endpoint, "hello\n").text(), "HELLO\n");
    }
    drop(writer);
    let said = finish(child);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.stderr.contains(" 20 sessions"), "{said:?}");
}

/// Nobody reads the log, whose pipe is full before the first line.
#[test]
fn a_full_standard_error_stops_neither_serving_nor_the_drain() {
    for workers in ["1", "2"] {
        let (reader, writer) = full();
        let args = ["serve", "tcp://127.0.0.1:0", "udp://127.0.0.1:0", "--log", "trace", "--workers", workers];
        let mut command = swapwire(&args);
        let mut child = crate::common::start(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(writer));
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().take(2);
        let endpoints: Vec<_> = lines.map(|line| line.unwrap().split_off("listening ".len())).collect();
        for endpoint in endpoints.iter().cycle().take(10) {
            assert_eq!(crate::common::connect(endpoint, "hello\n").text(), "HELLO\n", "{endpoint}");
        }
        kill_with(&child, Signal::SIGTERM);
        assert_eq!(wait(&mut child).code(), Some(0), "{workers} workers");
        drop(reader);
    }
}

/// What was asked for is said when somebody reads, and nobody waits for that.
#[test]
fn a_full_standard_output_does_not_stop_a_server() {
    for workers in ["1", "2"] {
        let directory = tempfile::tempdir().unwrap();
        let endpoint = format!("unix:{}/s", directory.path().display());
        let (mut reader, writer) = full();
        let mut command = swapwire(&["serve", &endpoint, "--workers", workers]);
        let mut child = crate::common::start(command.stdin(Stdio::null()).stdout(writer).stderr(Stdio::null()));
        drop(command);
        // Nobody tells when it listens; a client tries again until then.
        let begun = std::time::Instant::now();
        while crate::common::connect(&endpoint, "hello\n").text() != "HELLO\n" {
            assert!(begun.elapsed().as_secs() < 60, "it does not serve");
        }
        let (mut said, line) = (Vec::new(), format!("listening {endpoint}\n"));
        while !said.ends_with(line.as_bytes()) {
            let mut piece = [0; 4096];
            let len = reader.read(&mut piece).unwrap();
            assert!(len > 0, "it has not said where it listens");
            said.extend_from_slice(&piece[..len]);
        }
        kill_with(&child, Signal::SIGTERM);
        assert_eq!(wait(&mut child).code(), Some(0));
    }
}

/// The notices of other commands are not waited for either.
#[test]
fn a_full_standard_error_stops_no_command() {
    for args in [&["bench", "mem", "-c", "1", "-n", "500", "--rounds", "3"][..], &["connect", "tcp://x"]] {
        let (reader, writer) = full();
        let mut command = swapwire(args);
        let mut child = crate::common::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(writer));
        let code = if args[0] == "bench" { 0 } else { 2 };
        assert_eq!(wait(&mut child).code(), Some(code), "{args:?}");
        drop(reader);
    }
}
