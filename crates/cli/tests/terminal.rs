//! `swapwire connect` on a terminal.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::thread;

use common::{Serving, swapwire};
use rexpect::session::{Options, PtySession, spawn_with_options};

const TIMEOUT_MS: u64 = 30_000;

/// Starts `connect` on a terminal of its own and waits for the prompt; `None`, aloud, where there are no terminals.
fn open(home: &Path, args: &[&str]) -> Option<PtySession> {
    let mut command = swapwire(&["connect"]);
    command.args(args).env("TERM", "xterm").env("XDG_STATE_HOME", home);
    let options = Options::new().timeout_ms(Some(TIMEOUT_MS));
    if !Path::new("/dev/ptmx").exists() {
        eprintln!("SKIPPED: no pseudo-terminals here");
        return None;
    }
    let mut session = spawn_with_options(command, options).unwrap();
    session.exp_string("> ").unwrap();
    Some(session)
}

/// Waits for the end of the output and of the command, and expects the exit code 0.
fn ends_well(mut session: PtySession) {
    session.exp_eof().unwrap();
    let status = format!("{:?}", session.process().wait().unwrap());
    assert!(status.starts_with("Exited(") && status.ends_with(", 0)"), "{status}");
}

#[test]
fn each_line_is_answered_and_remembered() {
    let home = tempfile::tempdir().unwrap();
    let server = Serving::start(2, &["tcp://127.0.0.1:0", "udp://127.0.0.1:0"]);
    for endpoint in &server.endpoints {
        let Some(mut session) = open(home.path(), &[endpoint]) else { return };
        session.send_line("hello").unwrap();
        session.exp_string("HELLO").unwrap();
        session.exp_string("> ").unwrap();
        // An empty line is no message.
        session.send_line("").unwrap();
        session.exp_string("> ").unwrap();
        session.send_line(" secret").unwrap();
        session.exp_string(" SECRET").unwrap();
        session.exp_string("> ").unwrap();
        session.send_control('d').unwrap();
        ends_well(session);
    }
    let history = home.path().join("swapwire/history");
    assert_eq!(history.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let history = std::fs::read_to_string(history).unwrap();
    assert!(history.lines().any(|line| line == "hello") && !history.contains("secret"), "{history}");
    let report = server.stop();
    assert!(report.contains(" 4 messages"), "{report}");
}

#[test]
fn lines_typed_ahead_are_all_answered() {
    let home = tempfile::tempdir().unwrap();
    let server = Serving::start(1, &["tcp://127.0.0.1:0"]);
    let Some(mut session) = open(home.path(), &[server.endpoint()]) else { return };
    session.send("one\rtwo\rthree\r\x04").unwrap();
    session.flush().unwrap();
    for reply in ["ONE", "TWO", "THREE"] {
        session.exp_string(reply).unwrap();
    }
    ends_well(session);
}

/// A server that speaks without being asked, then waits for the client to leave.
fn says(bytes: &'static [u8], then_end: bool) -> (String, thread::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut first = [0; 3];
        if stream.read_exact(&mut first).is_err() {
            return Vec::new();
        }
        stream.write_all(bytes).unwrap();
        let mut rest = first.to_vec();
        if !then_end {
            let _ = stream.read_to_end(&mut rest);
        }
        rest
    });
    (endpoint, server)
}

const NASTY: &[u8] = b"\x1b]52;c;aGk=\x07 \x1b[6n \xc2\x9b2J \xe2\x80\xae \xff end\n";

#[test]
fn what_could_control_the_terminal_is_escaped() {
    let home = tempfile::tempdir().unwrap();
    let (endpoint, server) = says(NASTY, false);
    let Some(mut session) = open(home.path(), &[&endpoint]) else { return };
    session.send_line("go").unwrap();
    let shown = "\\x1b]52;c;aGk=\\x07 \\x1b[6n \\u{9b}2J \\u{202e} \\xff end";
    session.exp_string(shown).unwrap();
    session.exp_string("> ").unwrap();
    session.send_control('c').unwrap();
    ends_well(session);
    assert_eq!(server.join().unwrap(), b"go\n");
}

#[test]
fn raw_shows_bytes_as_they_are() {
    let home = tempfile::tempdir().unwrap();
    let (endpoint, server) = says(b"\x1b[31mred\x1b[0m\n", false);
    let Some(mut session) = open(home.path(), &[&endpoint, "--raw"]) else { return };
    session.send_line("go").unwrap();
    session.exp_string("\x1b[31mred\x1b[0m").unwrap();
    session.send_control('c').unwrap();
    ends_well(session);
    server.join().unwrap();
}

#[test]
fn the_peers_end_ends_the_prompt() {
    let home = tempfile::tempdir().unwrap();
    let (endpoint, server) = says(b"bye\n", true);
    let Some(mut session) = open(home.path(), &[&endpoint]) else { return };
    session.send_line("go").unwrap();
    session.exp_string("bye").unwrap();
    session.exp_string(&format!("swapwire: {endpoint}: the peer ended the session")).unwrap();
    ends_well(session);
    server.join().unwrap();
}

#[test]
fn the_terminal_is_given_back_as_it_was() {
    let home = tempfile::tempdir().unwrap();
    for leave in ["\x04", "\x03", "go\r"] {
        // To a line, this peer answers and leaves while the prompt is up.
        let (endpoint, server) = says(b"bye\n", true);
        let script = "echo before=$(stty -g); \"$0\" connect \"$1\"; echo after=$(stty -g)";
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", script, env!("CARGO_BIN_EXE_swapwire"), &endpoint]);
        shell.env("TERM", "xterm").env("XDG_STATE_HOME", home.path());
        if !Path::new("/dev/ptmx").exists() {
            eprintln!("SKIPPED: no pseudo-terminals here");
            return;
        }
        let mut session = spawn_with_options(shell, Options::new().timeout_ms(Some(TIMEOUT_MS))).unwrap();
        let (_, before) = session.exp_regex("before=[0-9a-f:]+").unwrap();
        session.exp_string("> ").unwrap();
        session.send(leave).unwrap();
        session.flush().unwrap();
        let (_, after) = session.exp_regex("after=[0-9a-f:]+").unwrap();
        assert_eq!(after.strip_prefix("after="), before.strip_prefix("before="), "{leave:?}");
        ends_well(session);
        drop(server);
    }
}

#[test]
fn messages_come_unasked() {
    let home = tempfile::tempdir().unwrap();
    let server = Serving::start(1, &["tcp://127.0.0.1:0", "--handler", "chat"]);
    let (Some(mut one), Some(mut two)) =
        (open(home.path(), &[server.endpoint()]), open(home.path(), &[server.endpoint()]))
    else {
        return;
    };
    // Both are in the room when each has heard the other.
    loop {
        two.send_line("knock").unwrap();
        if one.exp_string("knock").is_ok() {
            break;
        }
    }
    one.send_line("welcome").unwrap();
    two.exp_string("welcome").unwrap();
    for session in [&mut one, &mut two] {
        session.send_control('d').unwrap();
    }
    ends_well(one);
    ends_well(two);
}
