//! What `swapwire serve` tells the service manager that started it.

#![cfg(all(target_os = "linux", feature = "systemd"))]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::os::unix::net::UnixDatagram;
use std::process::Command;

use crate::common::{Busy, PATIENCE, Serving, finish, start, swapwire};
use nix::sys::signal::Signal;
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
