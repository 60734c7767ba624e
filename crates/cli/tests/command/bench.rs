//! `swapwire bench`: what it measures, prints and writes.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::net::TcpStream;
use std::sync::atomic::Ordering::SeqCst;

use crate::common::bench::{Foreign, bench, read};
use crate::common::{Serving, run};
use swapwire_bench::Run;

#[test]
fn wires_are_measured_side_by_side_by_servers_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| format!("{}/{name}", directory.path().display());
    let files = ["json", "csv", "markdown", "html", "hlog"].map(|name| (format!("--{name}"), path(name)));
    let outputs: Vec<&str> = files.iter().flat_map(|(flag, path)| [flag.as_str(), path.as_str()]).collect();
    let said = bench(&[&["tcp", "unix", "--size", "64,1k", "-c", "2"][..], &outputs].concat());
    assert_eq!(said.code, Some(0), "{said:?}");
    let text = said.text();
    assert!(text.lines().any(|line| line.starts_with("tcp ")), "{text}");
    assert!(text.lines().any(|line| line.starts_with("unix ")), "{text}");
    assert!(text.contains("as many messages per second as tcp at 64 B, 2 connections"), "{text}");
    assert!(
        said.line().starts_with("swapwire: measuring tcp, unix under 2 loads each: 2 rounds of 500 requests"),
        "{said:?}"
    );
    // Nothing but text where nobody watches.
    assert!(!said.stdout.contains(&0x1b) && !said.stderr.contains(['\x1b', '\r']), "{said:?}");

    let run = read(&directory.path().join("json"));
    assert_eq!(run.targets.iter().map(|target| target.name.as_str()).collect::<Vec<_>>(), ["tcp", "unix"]);
    assert!(run.targets.iter().all(|target| target.server == "process"), "{:?}", run.targets);
    assert_eq!((run.settings.handler.as_deref(), run.partial.len()), (Some("uppercase-echo"), 0));
    let cells: Vec<_> = run.cells.iter().map(|cell| (cell.target, cell.load.size.as_str())).collect();
    assert_eq!(cells, [(0, "64"), (1, "64"), (0, "1024"), (1, "1024")]);
    for cell in &run.cells {
        assert_eq!((cell.load.connections, cell.load.pipeline, cell.rounds.len()), (2, 1, 2));
        assert!(cell.summary.as_ref().unwrap().server_cpu_ns.is_some());
        assert!(cell.rounds.iter().all(|round| round.messages > 0 && round.faults.wrong == 0));
    }
    for (flag, path) in &files {
        assert!(fs::metadata(path).unwrap().len() > 0, "{flag}");
    }
    // The server is gone, and so is its socket.
    let [tcp, unix] = [0, 1].map(|at: usize| run.targets[at].endpoint.split_once(':').unwrap().1);
    assert!(TcpStream::connect(tcp.trim_start_matches("//")).is_err());
    assert!(!fs::exists(unix).unwrap() && !fs::exists(std::path::Path::new(unix).parent().unwrap()).unwrap(), "{unix}");
}

#[test]
fn stacks_are_served_by_their_short_names() {
    let stacks =
        ["tcp", "ws", "wss", "ws+mem", "--size", "0,64,20k", "--framing", "lines", "--rounds", "1", "--json", "-"];
    let said = bench(&stacks);
    assert_eq!(said.code, Some(0), "{said:?}");
    let run: Run = serde_json::from_slice(&said.stdout).unwrap();
    let names: Vec<_> = run.targets.iter().map(|target| target.name.as_str()).collect();
    assert_eq!(names, ["tcp", "ws+tcp", "ws+tls+tcp", "ws+mem"]);
    assert_eq!(run.cells.len(), 12);
    assert!(run.cells.iter().all(|cell| cell.rounds[0].answered == 500), "{:?}", run.cells);
}

#[test]
fn without_a_target_every_wire_is_measured() {
    let said = bench(&["--json", "-", "--rounds", "1"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let run: Run = serde_json::from_slice(&said.stdout).expect("the standard output is JSON alone");
    let names: Vec<_> = run.targets.iter().map(|target| target.name.as_str()).collect();
    assert_eq!(names, ["tcp", "udp", "unix", "unix-dgram", "mem"]);
    assert_eq!(run.targets[4].server, "same-process");
    assert!(said.stderr.contains("mem (served within this process)"), "{said:?}");
    assert!(said.stderr.lines().any(|line| line.starts_with("unix-dgram ")), "the table is there instead: {said:?}");
}

#[test]
fn quiet_says_nothing_when_all_is_well() {
    let said = bench(&["mem", "--quiet"]);
    assert_eq!((said.code, said.text(), said.stderr.as_str()), (Some(0), "", ""));
}

#[test]
fn any_server_that_answers_can_be_measured() {
    let server = Foreign::echo();
    let said = bench(&[&server.endpoint, "--expect", "echo", "--json", "-"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let run: Run = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!((run.targets[0].server.as_str(), run.settings.handler), ("elsewhere", None));
    assert!(run.cells[0].summary.as_ref().unwrap().server_cpu_ns.is_none());
}

#[test]
fn wrong_replies_fail_the_run() {
    let server = Foreign::echo();
    let said = bench(&[&server.endpoint, "--quiet"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.stderr.contains(" wrong replies; right would be uppercase, see --expect"), "{said:?}");
}

#[test]
fn a_process_that_is_named_is_looked_at() {
    let server = Serving::start(1, &["tcp://127.0.0.1:0"]);
    let pid = server.pid().to_string();
    let said = bench(&[server.endpoint(), "--server-pid", &pid, "--json", "-"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let run: Run = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(run.targets[0].server, "process");
    assert!(run.cells[0].summary.as_ref().unwrap().server_cpu_ns.is_some());
    server.stop();
}

#[test]
fn the_handler_decides_what_is_right() {
    let said = bench(&["mem", "unix", "--handler", "echo", "--json", "-"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let run: Run = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!((run.settings.expect.as_str(), run.settings.handler.as_deref()), ("echo", Some("echo")));
}

#[test]
fn the_same_wire_twice_has_two_names() {
    let said = bench(&["mem", "mem", "--json", "-"]);
    let run: Run = serde_json::from_slice(&said.stdout).unwrap();
    let names: Vec<_> = run.targets.iter().map(|target| target.name.as_str()).collect();
    assert_eq!(names, ["mem:bench-0", "mem:bench-1"]);
}

#[test]
fn a_round_can_be_a_number_of_requests_of_sizes_from_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let sizes = directory.path().join("sizes");
    fs::write(&sizes, "10\n20\n").unwrap();
    let sizes = format!("file:{}", sizes.display());
    let args = ["bench", "mem", "-c", "1", "-n", "1k", "--rounds", "1", "--size", &sizes, "--json", "-"];
    let said = run(&args, "");
    assert_eq!(said.code, Some(0), "{said:?}");
    let run: Run = serde_json::from_slice(&said.stdout).unwrap();
    let round = &run.cells[0].rounds[0];
    assert_eq!((round.requests, round.answered), (1000, 1000));
    assert!((10_000..20_000).contains(&round.bytes_received), "{}", round.bytes_received);
}

#[test]
fn a_missed_objective_is_exit_code_3() {
    let said = bench(&["mem", "--slo", "p99=1us", "--quiet"]);
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(said.line().contains("p99"), "{said:?}");
    assert_eq!(bench(&["mem", "--slo", "p50=10s", "--quiet"]).code, Some(0));
}

#[test]
fn a_search_fails_unless_it_finds_a_rate() {
    let said = bench(&[
        "mem",
        "--find-max",
        "--slo",
        "p50=1s",
        "--rate",
        "2k",
        "--timeout",
        "200ms",
        "-d",
        "50ms",
        "--json",
        "-",
    ]);
    let run: Run = serde_json::from_slice(&said.stdout).unwrap();
    assert!(run.found[0].probes.len() > 1);
    assert_eq!(run.found[0].probes[0].rate_per_s, 2000.0);
    // A machine that is busy with other tests may hold no rate at all.
    assert_eq!(said.code == Some(0), run.found[0].load.rate_per_s.is_some() && run.partial.is_empty(), "{said:?}");
    assert!(matches!(said.code, Some(0 | 1 | 3)), "{said:?}");
}

#[test]
fn a_file_that_cannot_be_written_does_not_hinder_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let csv = directory.path().join("run.csv");
    let said = bench(&["mem", "--quiet", "--json", "/dev/full", "--csv", csv.to_str().unwrap()]);
    assert_eq!((said.code, said.line()), (Some(1), "swapwire: write /dev/full: No space left on device"));
    assert!(fs::read_to_string(csv).unwrap().lines().count() > 1);
    // Before anything is measured: it would take a day.
    let said = bench(&["mem", "-d", "24h", "--json", "/no/such/directory/run.json"]);
    let line = "swapwire: write /no/such/directory/run.json: No such file or directory";
    assert_eq!((said.code, said.line()), (Some(1), line));
}

#[test]
fn the_server_gets_as_many_requests_as_were_asked_for() {
    let server = Foreign::echo();
    let file = tempfile::NamedTempFile::new().unwrap();
    for (requests, connections, threads) in [("10", "3", "2"), ("401", "40", "2"), ("1", "20", "2"), ("7", "64", "1")] {
        let before = server.bytes.load(SeqCst);
        let load = ["-n", requests, "-c", connections, "-t", threads, "--warmup", "0", "--expect", "echo", "--quiet"];
        let outputs = [&server.endpoint, "--json", file.path().to_str().unwrap()];
        let said = bench(&[&load[..], &outputs].concat());
        assert_eq!(said.code, Some(0), "{said:?}");
        let round = read(file.path()).cells[0].rounds[0].clone();
        assert_eq!((round.requests.to_string().as_str(), round.warmup_requests), (requests, 0));
        let came = (server.bytes.load(SeqCst) - before) / 64;
        assert_eq!(came, 2 * round.requests, "two rounds of {requests} on {connections} connections");
    }
    let before = server.bytes.load(SeqCst);
    let said = bench(&[&server.endpoint, "--expect", "echo", "--json", file.path().to_str().unwrap()]);
    let warmup: u64 = read(file.path()).cells[0].rounds.iter().map(|round| round.warmup_requests).sum();
    assert_eq!((server.bytes.load(SeqCst) - before) / 64, 2 * 500 + warmup, "{said:?}");
    assert!(said.text().contains(" of warm-up (") && warmup > 0, "{said:?}");
}

#[test]
fn a_server_of_ones_own_gets_the_requests_that_it_knows() {
    let server = Foreign::answering(|line| if line == b"PING\r\n" { b"+PONG\r\n" } else { b"-ERR\r\n" });
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    fs::write(file.path(), "PING\r").unwrap();
    let json = tempfile::NamedTempFile::new().unwrap();
    for flags in [
        &["--framing", "delimiter:\\r\\n", "--message", "PING"][..],
        &["--framing", "lines", "--message", "PING\\r", "--pipeline", "4"],
        &["--framing", "lines", "--message-file", path],
        &["--message", "PING\\r\\n"],
    ] {
        let said = bench(
            &[&[&server.endpoint, "--expect", "regex:^\\+PONG", "--json", json.path().to_str().unwrap()], flags]
                .concat(),
        );
        assert_eq!(said.code, Some(0), "{flags:?}: {said:?}");
        let run = read(json.path());
        let message =
            if flags.contains(&"--message-file") { format!("file:{path}") } else { flags[flags.len() - 1].to_owned() };
        assert!(
            run.settings.message.is_some_and(|said| flags.contains(&said.as_str()) || said == message),
            "{flags:?}"
        );
        assert!(run.cells[0].rounds.iter().all(|round| round.answered == 500), "{flags:?}");
    }
    let wrong = bench(&[&server.endpoint, "--framing", "lines", "--message", "PONG", "--expect", "regex:^\\+PONG"]);
    assert!(wrong.code == Some(1) && wrong.stderr.contains("wrong replies"), "{wrong:?}");
    // Servers of its own get it too, on every wire.
    for wire in ["tcp", "udp", "unix-dgram", "mem-seq"] {
        let said = bench(&[wire, "--message", "hello\\x00", "--quiet"]);
        assert_eq!(said.code, Some(0), "{said:?}");
    }
}

#[test]
fn connections_come_from_the_addresses_in_turn() {
    let (peers, peer) = std::sync::mpsc::sync_channel(100);
    let server =
        Foreign::watched_by(move |_, stream| drop(peers.try_send(stream.peer_addr().unwrap().ip().to_string())));
    let flags = ["--expect", "echo", "-c", "2", "-n", "12", "--reconnect-every", "2", "--rounds", "1", "--warmup", "0"];
    let said = bench(&[&[&server.endpoint, "--source", "127.0.0.2,127.0.0.3,127.0.0.4"][..], &flags].concat());
    assert_eq!(said.code, Some(0), "{said:?}");
    let came: Vec<_> = peer.try_iter().collect();
    for source in ["127.0.0.2", "127.0.0.3", "127.0.0.4"] {
        assert!(came.iter().filter(|peer| *peer == source).count() >= 2, "{came:?}");
    }
    assert!(!came.contains(&"127.0.0.1".to_owned()), "{came:?}");
    let said = bench(&[&server.endpoint, "--source", "192.0.2.1", "--quiet"]);
    assert!(said.code == Some(1) && said.stderr.contains("source=192.0.2.1 is no address of this machine"), "{said:?}");
}
