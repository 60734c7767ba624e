//! What `swapwire serve` tells the service manager that started it.

#![cfg(all(target_os = "linux", feature = "systemd"))]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::Write as _;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::common::{Busy, PATIENCE, Serving, finish, start, swapwire};
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use tempfile::TempDir;

/// A service manager, as far as it listens.
struct Manager {
    socket: UnixDatagram,
    directory: TempDir,
}

impl Manager {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(directory.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, directory }
    }

    fn serve(&self, args: &[&str]) -> Command {
        let mut command = swapwire(&["serve"]);
        command.args(args).env("NOTIFY_SOCKET", self.directory.path().join("notify"));
        command
    }

    /// Takes what was told so far.
    fn empty(&self) {
        self.socket.set_nonblocking(true).unwrap();
        while self.socket.recv(&mut [0; 64]).is_ok() {}
        self.socket.set_nonblocking(false).unwrap();
    }

    /// The next states, a line each.
    fn told(&self) -> Vec<String> {
        let mut text = [0; 4096];
        let len = self.socket.recv(&mut text).expect("a state");
        std::str::from_utf8(&text[..len]).unwrap().lines().map(str::to_owned).collect()
    }
}

#[test]
fn a_manager_is_told_when_it_serves_and_when_it_drains() {
    let manager = Manager::new();
    let server = Serving::spawn(2, &mut manager.serve(&["tcp://127.0.0.1:0", "udp://127.0.0.1:0"]));
    let serving = format!("STATUS=serving {}, {}", server.endpoints[0], server.endpoints[1]);
    assert_eq!(manager.told(), ["READY=1".to_owned(), serving]);
    server.stop();
    let draining = ["STOPPING=1", "EXTEND_TIMEOUT_USEC=35000000", "STATUS=draining for at most 30s"];
    assert_eq!(manager.told(), draining);

    let server = Serving::spawn(1, &mut manager.serve(&["tcp://127.0.0.1:0", "--drain-timeout", "none"]));
    assert_eq!(manager.told()[0], "READY=1");
    server.stop();
    assert_eq!(manager.told(), ["STOPPING=1", "STATUS=draining for as long as it takes"]);
}

#[test]
fn what_does_not_serve_is_not_ready() {
    let manager = Manager::new();
    let busy = Busy::start("none");
    let taken = busy.server.endpoint().to_owned();
    for args in [&[&*taken][..], &["tcp://127.0.0.1:0", "--check"]] {
        let mut command = manager.serve(args);
        let said = finish(start(command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped())));
        assert_eq!(said.code, Some(i32::from(args.len() == 1)), "{said:?}");
    }
    manager.socket.set_nonblocking(true).unwrap();
    assert!(manager.socket.recv(&mut [0]).is_err());
}

#[test]
fn a_manager_that_is_not_there_is_complained_of_once() {
    let mut command = swapwire(&["serve", "tcp://127.0.0.1:0"]);
    let server = Serving::spawn(1, command.env("NOTIFY_SOCKET", "/nowhere/notify"));
    server.signal(Signal::SIGTERM);
    let (code, lines) = server.end();
    let first = "swapwire: notify the service manager at /nowhere/notify: No such file or directory (os error 2)";
    assert_eq!((code, &*lines[0], lines.len()), (Some(0), first, 2), "{lines:?}");
}

/// The number of the thread of this name.
fn thread_of(server: &Serving, name: &str) -> Pid {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap().map(|task| task.unwrap().path());
    let named = |task: &PathBuf| std::fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == name);
    let found = tasks.into_iter().find(named).unwrap();
    Pid::from_raw(found.file_name().unwrap().to_str().unwrap().parse().unwrap())
}

#[test]
fn a_worker_that_is_blocked_starves_the_watchdog() {
    const LONGEST: Duration = Duration::from_millis(400);
    let manager = Manager::new();
    let serve = |workers| {
        let mut command = manager.serve(&["tcp://127.0.0.1:0", "--workers", workers]);
        let server = Serving::spawn(1, command.env("WATCHDOG_USEC", LONGEST.as_micros().to_string()));
        assert_eq!(manager.told()[0], "READY=1");
        for _ in 0..3 {
            assert_eq!(manager.told(), ["WATCHDOG=1"]);
        }
        server
    };
    let stop = |server: Serving| {
        server.stop();
        assert!(std::iter::from_fn(|| Some(manager.told())).take(1000).any(|told| told[0] == "STOPPING=1"));
        manager.empty();
    };
    stop(serve("1"));
    let server = serve("2");
    // A debugger stops one thread alone.
    let worker = thread_of(&server, "swapwire-worker");
    if let Err(error) = ptrace::seize(worker, ptrace::Options::empty()) {
        // Past the capture of a passing test.
        let _ =
            writeln!(std::io::stderr(), "skipped: a worker that is blocked, ptrace(2) is not allowed here: {error}");
        return;
    }
    ptrace::interrupt(worker).unwrap();
    waitpid(worker, Some(WaitPidFlag::__WALL)).unwrap();
    manager.empty();
    // One sign may have been on its way.
    manager.socket.set_read_timeout(Some(5 * LONGEST)).unwrap();
    let signs = std::iter::from_fn(|| manager.socket.recv(&mut [0; 64]).ok()).take(3).count();
    assert!(signs <= 1, "{signs} signs of life");
    ptrace::detach(worker, None).unwrap();
    manager.socket.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(manager.told(), ["WATCHDOG=1"]);
    stop(server);
}

#[cfg(feature = "tls")]
#[test]
fn a_reload_has_a_beginning_and_an_end() {
    let manager = Manager::new();
    let directory = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| directory.path().join(name));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let endpoint = format!("tls://127.0.0.1:0?cert={}&key={}&key_mode=any", cert.display(), key.display());
    let server = Serving::spawn(1, &mut manager.serve(&[&endpoint]));
    let ready = manager.told();
    assert_eq!(ready[0], "READY=1");
    server.signal(Signal::SIGHUP);
    let reloading = manager.told();
    assert!(reloading[0] == "RELOADING=1" && reloading[1].starts_with("MONOTONIC_USEC="), "{reloading:?}");
    assert_eq!((&*reloading[2], reloading.len()), ("STATUS=reloading", 3));
    assert_eq!(manager.told(), ready);
    server.stop();
    assert_eq!(manager.told()[0], "STOPPING=1");
}
