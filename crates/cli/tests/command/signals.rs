//! Which signals stop `swapwire serve`, and which do not.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::Read as _;

use crate::common::{Busy, Serving, connect, next};
use nix::sys::signal::Signal;

#[test]
fn every_signal_that_means_stop_drains_and_reports() {
    let directory = tempfile::tempdir().unwrap();
    let socket = format!("unix:{}/s", directory.path().display());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGQUIT, Signal::SIGHUP] {
        let server = Serving::start(2, &["tcp://127.0.0.1:0", &socket]);
        assert_eq!(connect(server.endpoint(), "a\nb\n").text(), "A\nB\n");
        server.signal(signal);
        let (code, stderr) = server.end();
        assert_eq!(code, Some(0), "{signal}");
        assert!(stderr[0].starts_with("swapwire: drained in ") && stderr[0].contains(": 1 session, "), "{stderr:?}");
        assert_eq!(stderr.len(), 1, "{stderr:?}");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "{signal} leaves a socket");
    }
}

/// systemd sends one right behind SIGTERM, if it is told to; when a terminal is closed, the system and the shell send one.
#[test]
fn a_hang_up_is_never_the_second_signal() {
    const DRAINS: &str = "swapwire: draining for as long as it takes; a second signal cuts everything";
    for (first, second) in [(Signal::SIGTERM, Signal::SIGHUP), (Signal::SIGHUP, Signal::SIGTERM)] {
        let Busy { server, mut peer, directory } = Busy::start("none");
        server.signal(first);
        server.signal(second);
        server.says(DRAINS);
        server.signal(Signal::SIGHUP);
        let mut replies = Vec::new();
        peer.read_to_end(&mut replies).unwrap();
        assert_eq!(replies.len(), Busy::SENT, "{first}");
        let (code, stderr) = server.end();
        assert_eq!(code, Some(0), "{first}: {stderr:?}");
        drop(directory);
    }
    // Two others cut.
    let busy = Busy::start("none");
    busy.server.signal(Signal::SIGHUP);
    busy.server.says(DRAINS);
    busy.server.signal(Signal::SIGTERM);
    busy.server.signal(Signal::SIGINT);
    assert_eq!(busy.server.end().0, Some(3));
}

/// As under `nohup`, or in the background of a script.
#[cfg(target_os = "linux")]
#[test]
fn a_signal_that_was_ignored_stays_ignored() {
    for (name, ignored) in [("HUP", Signal::SIGHUP), ("INT", Signal::SIGINT), ("QUIT", Signal::SIGQUIT)] {
        let mut shell = std::process::Command::new("sh");
        let script = format!("trap '' {name}; exec \"$0\" serve tcp://127.0.0.1:0");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_swapwire")]);
        let server = Serving::spawn(1, &mut shell);
        server.signal(ignored);
        // One that is not ignored has been handled by then: it was sent before.
        assert_eq!(connect(server.endpoint(), "a\n").text(), "A\n", "{name}");
        assert_eq!(connect(server.endpoint(), "b\n").text(), "B\n", "{name}");
        let report = server.stop();
        assert!(report.contains(" 2 sessions"), "{name}: {report}");
    }
}

/// A pair of a certificate that signs itself and its key, and a server that has them.
#[cfg(feature = "tls")]
struct Certified {
    directory: tempfile::TempDir,
    server: Serving,
}

#[cfg(feature = "tls")]
impl Certified {
    /// Nothing but a request makes it read the files again.
    fn start(more: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        write_pair(directory.path());
        let [cert, key] = ["cert.pem", "key.pem"].map(|name| directory.path().join(name).display().to_string());
        let endpoint = format!("tls://127.0.0.1:0?cert={cert}&key={key}&reload=off");
        let server = Serving::start(1 + more.len(), &[&[&*endpoint], more].concat());
        Self { directory, server }
    }

    /// What is answered to one who knows this certificate.
    fn ask(&self, known: &str) -> crate::common::Said {
        let ca = self.directory.path().join(known);
        connect(&format!("{}?ca={}&server_name=localhost", self.server.endpoint(), ca.display()), "a\n")
    }

    /// Sends a SIGHUP, and waits for what came of it.
    fn reload(&self, told: &str) {
        self.server.signal(Signal::SIGHUP);
        while !next(&self.server.stderr).contains(told) {}
    }
}

/// Writes another one.
#[cfg(feature = "tls")]
fn write_pair(directory: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(directory.join("cert.pem"), pair.cert.pem()).unwrap();
    let key = directory.join("key.pem");
    std::fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
    std::fs::set_permissions(key, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[cfg(feature = "tls")]
#[test]
fn a_hang_up_reloads_where_there_is_something_to_reload() {
    let tried = Certified::start(&["tcp://127.0.0.1:0"]);
    let tls = tried.server.endpoint();
    assert_eq!(next(&tried.server.stderr), format!("swapwire: SIGHUP reloads {tls}; SIGTERM or SIGINT stops"));
    assert_eq!(tried.ask("cert.pem").text(), "A\n");
    let path = tried.directory.path();
    std::fs::rename(path.join("cert.pem"), path.join("old.pem")).unwrap();
    write_pair(path);
    // It has not looked by itself.
    assert_eq!(tried.ask("old.pem").text(), "A\n");
    tried.reload("the certificates were read again");
    assert_eq!(tried.ask("cert.pem").text(), "A\n");
    let unknown = tried.ask("old.pem");
    assert!(unknown.text().is_empty() && unknown.line().contains("certificate"), "{unknown:?}");
    // What cannot be used changes nothing.
    std::fs::write(path.join("key.pem"), "nonsense").unwrap();
    tried.reload("the certificates cannot be read again, and those from before stay");
    assert_eq!(tried.ask("cert.pem").text(), "A\n");
    assert_eq!(connect(&tried.server.endpoints[1], "b\n").text(), "B\n");
    // The second signal of a drain is another one.
    tried.server.signal(Signal::SIGHUP);
    let report = tried.server.stop();
    assert!(report.starts_with("swapwire: drained in "), "{report}");
}
