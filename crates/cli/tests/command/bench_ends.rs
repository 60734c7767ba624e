//! How `swapwire bench` ends early, and that it leaves nothing behind.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::process::Stdio;
use std::sync::mpsc::sync_channel;

use crate::common::bench::{Foreign, bench, read, wait_until};
use crate::common::{PATIENCE, Running, finish, kill_with, lines, next, swapwire, wait};
use nix::sys::signal::Signal;

fn start(args: &[&str]) -> Running {
    let mut command = swapwire(&["bench", "-c", "1", "--warmup", "0"]);
    // Of one that is killed, an empty directory stays.
    command
        .args(args)
        .env("TMPDIR", env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    crate::common::start(&mut command)
}

/// The processes that this one has started and that run.
fn children(parent: u32) -> Vec<u32> {
    let pids = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| stat(*pid).is_some_and(|(state, of)| of == parent && state != "Z")).collect()
}

/// The state of a process, and its parent.
fn stat(pid: u32) -> Option<(String, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}

/// The processors that a process or a thread may use.
fn allowed(status: &str) -> String {
    let status = fs::read_to_string(status).unwrap();
    status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim().to_owned()
}

fn is_gone(pid: u32) -> bool {
    stat(pid).is_none_or(|(state, _)| state == "Z")
}

#[test]
fn a_killed_bench_leaves_no_server() {
    let mut child = start(&["tcp", "udp", "unix", "-d", "1h"]);
    // By then all of them listen.
    assert!(next(&lines(child.stderr.take().unwrap())).contains("measuring tcp, udp, unix"));
    let servers = children(child.id());
    assert_eq!(servers.len(), 3);
    kill_with(&child, Signal::SIGKILL);
    wait(&mut child);
    for server in servers {
        wait_until("the end of a server", || is_gone(server));
    }
}

#[test]
fn started_servers_are_bound_with_all_their_threads() {
    let mine = allowed("/proc/self/status");
    let cpu = mine.split(['-', ',']).next().unwrap();
    let mut child = start(&["tcp", "-d", "1h", "--server-pin", cpu]);
    let stderr = lines(child.stderr.take().unwrap());
    assert!(next(&stderr).contains("measuring tcp"));
    let servers = children(child.id());
    assert_eq!(servers.len(), 1);
    let tasks = || fs::read_dir(format!("/proc/{}/task", servers[0])).unwrap().flatten().map(|task| task.path());
    wait_until("its threads", || tasks().count() > 1);
    for task in tasks() {
        assert_eq!(allowed(&format!("{}/status", task.display())), cpu);
    }
    kill_with(&child, Signal::SIGTERM);
    assert_eq!(wait(&mut child).code(), Some(1));
    let last = stderr.iter().last().unwrap();
    assert!(last.contains("stopped in round 1 of 7"), "{last}");
    assert!(is_gone(servers[0]));
}

/// Its server does not come to listen, as on a machine that swaps.
#[test]
fn a_signal_ends_it_while_its_servers_start() {
    let stopped_at_the_start = || {
        let child = start(&["tcp", "-d", "1h"]);
        wait_until("the server", || !children(child.id()).is_empty());
        let server = children(child.id())[0];
        let pid = nix::unistd::Pid::from_raw(i32::try_from(server).unwrap());
        nix::sys::signal::kill(pid, Signal::SIGSTOP).unwrap();
        kill_with(&child, Signal::SIGTERM);
        let said = finish(child);
        assert_eq!(said.code, Some(1), "{said:?}");
        wait_until("the end of the server", || is_gone(server));
        said.stderr == "swapwire: bench: stopped by a signal before the measurement\n"
    };
    assert!((0..50).any(|_| stopped_at_the_start()), "it always listens before it can be stopped");
}

#[test]
fn a_signal_keeps_the_rounds_that_are_done() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run.json");
    let (accepted, connections) = sync_channel(100);
    let server = Foreign::watched(move |number| {
        let _ = accepted.try_send(number);
    });
    let flags = ["--expect", "echo", "-n", "500", "--rounds", "1000", "--json", path.to_str().unwrap()];
    let child = start(&[&[server.endpoint.as_str()][..], &flags].concat());
    // Every round opens its own connection: when the third is there, a round is done.
    while connections.recv_timeout(PATIENCE).unwrap() < 3 {}
    // Not SIGINT, which is ignored where the tests run in the background of a shell.
    kill_with(&child, Signal::SIGTERM);
    let said = finish(child);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.stderr.contains("stopped in round"), "{said:?}");
    assert!(said.text().contains("PARTIAL"), "{said:?}");
    let run = read(&path);
    let rounds = run.cells[0].rounds.len();
    assert!((1..1000).contains(&rounds), "{rounds}");
    assert!(run.partial[0].starts_with("stopped in round"), "{:?}", run.partial);
}

#[test]
fn a_target_that_dies_spoils_only_its_own_part() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run.json");
    let (dying, living) = (Foreign::dying_after(2), Foreign::echo());
    let flags = ["--expect", "echo", "--rounds", "5", "--json", path.to_str().unwrap()];
    let said = bench(&[&[dying.endpoint.as_str(), living.endpoint.as_str()][..], &flags].concat());
    assert_eq!(said.code, Some(1), "{said:?}");
    let told =
        said.stderr.lines().filter(|line| line.contains(&dying.endpoint) && line.contains("given up in round 3"));
    assert_eq!(told.count(), 1, "{said:?}");
    let run = read(&path);
    assert_eq!(run.cells.iter().map(|cell| cell.rounds.len()).collect::<Vec<_>>(), [2, 5]);
}

#[test]
fn a_server_of_its_own_that_dies_is_told() {
    let child = start(&["tcp", "-d", "100ms", "--rounds", "1000", "--quiet"]);
    wait_until("the server", || !children(child.id()).is_empty());
    let server = children(child.id())[0];
    // As soon as it listens, it has threads.
    let threads = || fs::read_dir(format!("/proc/{server}/task")).map_or(0, Iterator::count);
    wait_until("its threads", || threads() > 1);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(i32::try_from(server).unwrap()), Signal::SIGKILL).unwrap();
    let said = finish(child);
    assert_eq!(said.code, Some(1), "{said:?}");
    let told = said.stderr.contains("ended during the measurement (signal: 9 (SIGKILL))");
    assert!(told || said.stderr.contains("start a server on tcp: it ended without a message"), "{said:?}");
}

#[test]
fn a_target_that_nobody_serves_is_one_line() {
    let address = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    // Another test may start a process, which has all our descriptors until it is the program.
    wait_until("the end of the listener", || std::net::TcpStream::connect(address).is_err());
    let endpoint = format!("tcp://{address}");
    let said = bench(&[&endpoint, "--quiet"]);
    assert_eq!((said.code, said.text()), (Some(1), ""));
    assert!(said.line().contains(&endpoint) && said.line().contains("connection refused"), "{said:?}");
    // What an earlier run wrote stays.
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(&file, "precious").unwrap();
    bench(&[&endpoint, "--quiet", "--json", file.path().to_str().unwrap()]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
}

#[test]
fn a_signal_ends_it_while_nobody_takes_the_outputs() {
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut child = start(&["mem", "-n", "50", "--rounds", "100", "--json", fifo.to_str().unwrap()]);
    let reader = fs::File::open(&fifo).unwrap();
    let (stdout, stderr) = (lines(child.stdout.take().unwrap()), lines(child.stderr.take().unwrap()));
    // The table comes before the files; the pipe holds 64 KiB, which is less than a hundred rounds.
    while !next(&stdout).starts_with("mem ") {}
    kill_with(&child, Signal::SIGTERM);
    assert_eq!(wait(&mut child).code(), Some(1));
    assert_eq!(stderr.iter().last().unwrap(), "swapwire: bench: stopped by a signal while the outputs were written");
    drop(reader);
}
