//! `swapwire connect` on a terminal.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::thread;

use crate::common::Serving;
use rexpect::session::{Options, PtySession, spawn_with_options};

const TIMEOUT_MS: u64 = 30_000;

/// Starts `connect` on a terminal of its own and waits for the prompt; `None`, aloud, where there are no terminals.
fn open(home: &Path, args: &[&str]) -> Option<PtySession> {
    let mut session = open_on("xterm", home, args)?;
    session.exp_string("> ").unwrap();
    Some(session)
}

/// As `open`, on a terminal of this kind, without waiting.
fn open_on(term: &str, home: &Path, args: &[&str]) -> Option<PtySession> {
    // The terminals of `rexpect` have no echo, others have.
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "stty echo; exec \"$0\" connect \"$@\"", env!("CARGO_BIN_EXE_swapwire")]);
    command.args(args).env("TERM", term).env("XDG_STATE_HOME", home);
    let options = Options::new().timeout_ms(Some(TIMEOUT_MS));
    if !Path::new("/dev/ptmx").exists() {
        eprintln!("SKIPPED: no pseudo-terminals here");
        return None;
    }
    Some(spawn_with_options(command, options).unwrap())
}

/// Waits for the end of the output and of the command, and expects the exit code 0.
fn ends_well(session: PtySession) {
    ends_with(session, 0);
}

fn ends_with(mut session: PtySession, code: i32) {
    let rest = session.exp_eof().unwrap();
    let status = format!("{:?}", session.process().wait().unwrap());
    assert!(status.starts_with("Exited(") && status.ends_with(&format!(", {code})")), "{status}: {rest}");
}

/// Keys.
fn press(session: &PtySession, keys: &[u8]) {
    session.process().get_file_handle().unwrap().write_all(keys).unwrap();
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
        // An empty line is a message where that is something.
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
    assert!(report.contains(" 5 messages"), "{report}");
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

#[test]
fn the_end_of_the_input_sends_the_rest_of_the_line() {
    let home = tempfile::tempdir().unwrap();
    let server = Serving::start(2, &["tcp://127.0.0.1:0", "udp://127.0.0.1:0"]);
    for term in ["xterm", "dumb"] {
        for endpoint in &server.endpoints {
            let Some(mut session) = open_on(term, home.path(), &[endpoint]) else { return };
            session.exp_string("> ").unwrap();
            press(&session, b"half a line");
            session.exp_string("half a line").unwrap();
            // The system's own way of reading lines takes the first for the end of a piece.
            press(&session, if term == "dumb" { b"\x04\x04" } else { b"\x04" });
            session.exp_string("HALF A LINE").unwrap();
            ends_well(session);
        }
    }
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
    ends_with(session, 1);
    server.join().unwrap();
}

/// A server on which somebody logs in, and what it heard.
fn login() -> (String, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
        let mut heard = Vec::new();
        for question in ["Welcome\r\nlogin: ", "password: ", "Hello\r\n$ ", "and what e", "lse? "] {
            (&stream).write_all(question.as_bytes()).unwrap();
            if question != "and what e" {
                heard.extend(lines.next());
            }
        }
        heard
    });
    (endpoint, server)
}

#[test]
fn questions_are_shown_and_answers_are_not_kept() {
    for args in [&[][..], &["--framing", "chunks"]] {
        let home = tempfile::tempdir().unwrap();
        let (endpoint, server) = login();
        let Some(mut session) = open(home.path(), &[&[endpoint.as_str()], args].concat()) else { return };
        session.exp_string("Welcome\r\n").unwrap();
        for (question, answer) in
            [("login: ", "ann"), ("password: ", "hidden"), ("Hello\r\n\r$ ", "ls"), ("what else? ", "no")]
        {
            session.exp_string(question).unwrap();
            session.send_line(answer).unwrap();
        }
        ends_with(session, 1);
        assert_eq!(server.join().unwrap(), ["ann", "hidden", "ls", "no"]);
        let history = std::fs::read_to_string(home.path().join("swapwire/history")).unwrap_or_default();
        assert!(!["ann", "hidden", "ls", "no"].iter().any(|answer| history.contains(answer)), "{history}");
    }
}

#[test]
fn a_secret_does_not_come_back_with_the_arrow_keys() {
    let home = tempfile::tempdir().unwrap();
    let (endpoint, server) = login();
    let Some(mut session) = open(home.path(), &[&endpoint]) else { return };
    session.exp_string("login: ").unwrap();
    session.send_line("ann").unwrap();
    session.exp_string("password: ").unwrap();
    session.send_line("hidden").unwrap();
    session.exp_string("$ ").unwrap();
    press(&session, b"\x1b[A\r");
    session.exp_string("else? ").unwrap();
    session.send_line("no").unwrap();
    ends_with(session, 1);
    assert_eq!(server.join().unwrap(), ["ann", "hidden", "ann", "no"]);
}

/// The question is gone when the answer is entered, or when the peer has gone.
#[test]
fn a_secret_that_comes_too_late_is_not_kept() {
    for ends in [false, true] {
        let home = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
        let Some(mut session) = open_on("xterm", home.path(), &[&endpoint]) else { return };
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"Password: ").unwrap();
        session.exp_string("Password: ").unwrap();
        press(&session, b"hidden");
        session.exp_string("hidden").unwrap();
        stream.write_all(b"\r\nLogin timed out\r\n").unwrap();
        session.exp_string("Login timed out").unwrap();
        if !ends {
            press(&session, b"\r");
            let mut heard = [0; 7];
            stream.read_exact(&mut heard).unwrap();
            assert_eq!(&heard, b"hidden\n");
        }
        drop(stream);
        ends_with(session, 1);
        let history = std::fs::read_to_string(home.path().join("swapwire/history")).unwrap_or_default();
        assert!(!history.contains("hidden"), "{history}");
    }
}

#[test]
fn tabs_and_bytes_that_are_no_text_are_sent_as_they_are() {
    let home = tempfile::tempdir().unwrap();
    for (term, framing) in [("xterm", "lines"), ("xterm", "chunks"), ("dumb", "lines")] {
        let (endpoint, server) = says(b"thanks\n", false);
        let Some(mut session) = open_on(term, home.path(), &[&endpoint, "--framing", framing]) else { return };
        session.exp_string("> ").unwrap();
        let typed = [&b"set\tkey\tvalue\r"[..], b"caf\xe9 \xff\r", "größe 日本\r".as_bytes()].concat();
        press(&session, &typed);
        session.exp_string("thanks").unwrap();
        press(&session, b"\x04");
        let heard = server.join().unwrap();
        ends_well(session);
        let expected: Vec<_> = typed.iter().map(|byte| if *byte == b'\r' { b'\n' } else { *byte }).collect();
        assert_eq!(heard, expected, "{term} {framing}");
    }
}

#[test]
fn poor_terminals_work_and_can_be_left() {
    let home = tempfile::tempdir().unwrap();
    let server = Serving::start(2, &["tcp://127.0.0.1:0", "udp://127.0.0.1:0"]);
    for (term, leave) in
        [("dumb", "\x04"), ("dumb", "\x03"), ("emacs", "\x04"), ("cons25", "\x03"), ("", "\x04"), ("xterm", "\x03")]
    {
        for endpoint in &server.endpoints {
            let Some(mut session) = open_on(term, home.path(), &[endpoint]) else { return };
            session.exp_string(&format!(" to {endpoint}; Ctrl-D ends, Ctrl-C leaves at once")).unwrap();
            session.exp_string("> ").unwrap();
            session.send("hel").unwrap();
            session.flush().unwrap();
            session.exp_string("hel").unwrap();
            session.send("lo\r").unwrap();
            session.flush().unwrap();
            session.exp_string("HELLO").unwrap();
            session.send(leave).unwrap();
            session.flush().unwrap();
            ends_well(session);
        }
    }
}

#[test]
fn a_poor_terminal_gets_a_prompt_after_each_line() {
    let home = tempfile::tempdir().unwrap();
    for handler in ["discard", "uppercase-echo"] {
        let server = Serving::start(1, &["tcp://127.0.0.1:0", "--handler", handler]);
        let Some(mut session) = open_on("dumb", home.path(), &[server.endpoint()]) else { return };
        session.exp_string("> ").unwrap();
        for line in ["one", "", "", "two"] {
            press(&session, &[line.as_bytes(), b"\r"].concat());
            session.exp_string(&format!("{line}\r\n")).unwrap();
            let said = session.exp_string("> ").unwrap();
            // On a busy machine there may be one before the reply.
            assert!(["", "ONE\r\n", "TWO\r\n"].contains(&&*said), "{handler}: {line:?}: {said:?}");
        }
        session.send_control('c').unwrap();
        ends_well(session);
    }
}

/// A terminal without a size has none; one of a single column has no room.
#[test]
fn terminals_of_any_width_work() {
    let home = tempfile::tempdir().unwrap();
    let server = Serving::start(1, &["tcp://127.0.0.1:0"]);
    for columns in ["0", "1", "2", "7"] {
        if !Path::new("/dev/ptmx").exists() {
            eprintln!("SKIPPED: no pseudo-terminals here");
            return;
        }
        let mut shell = std::process::Command::new("sh");
        let script = format!("stty cols {columns}; \"$0\" connect \"$1\"");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_swapwire"), server.endpoint()]);
        shell.env("TERM", "xterm").env("XDG_STATE_HOME", home.path());
        let mut session = spawn_with_options(shell, Options::new().timeout_ms(Some(TIMEOUT_MS))).unwrap();
        session.exp_string("leaves at once").unwrap();
        session.send_line("a line that is longer than that").unwrap();
        session.exp_string("A LINE THAT IS LONGER THAN THAT").unwrap();
        session.send_control('d').unwrap();
        ends_well(session);
    }
}

#[test]
fn it_can_be_left_although_the_peer_does_not_read() {
    let home = tempfile::tempdir().unwrap();
    for (leave, code) in [(&b"\x03"[..], 0), (b"\x04", 1), (b"\x04\x04", 0)] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("tcp://{}?send_buffer=4096", listener.local_addr().unwrap());
        let Some(session) = open(home.path(), &[&endpoint, "--wait", "300ms"]) else { return };
        let (deaf, _) = listener.accept().unwrap();
        // More than both systems and the session take for a peer, and less than may be typed ahead.
        press(&session, &[&[b'x'; 1000][..], b"\r"].concat().repeat(500));
        press(&session, leave);
        ends_with(session, code);
        drop(deaf);
    }
}

#[test]
fn what_was_typed_when_the_peer_went_is_kept() {
    let home = tempfile::tempdir().unwrap();
    let (endpoint, server) = says(b"bye\n", true);
    let Some(mut session) = open(home.path(), &[&endpoint]) else { return };
    // It leaves after three bytes.
    session.send("go\rhalf a line").unwrap();
    session.flush().unwrap();
    let all = session.exp_string("the peer ended the session; the last input was not sent").unwrap();
    assert!(all.contains("half a line\r\n"), "{all:?}");
    ends_with(session, 1);
    server.join().unwrap();
    let history = std::fs::read_to_string(home.path().join("swapwire/history")).unwrap();
    assert!(history.ends_with("half a line\n"), "{history}");
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
