//! Bad input: one clear line, the right exit code, no panic.

#![cfg(unix)]

use crate::common::{Serving, run};

/// Runs with nothing on the standard input and expects exactly this end.
fn expect(args: &[&str], code: i32, line: &str) {
    let said = run(args, "");
    assert_eq!((said.code, said.line()), (Some(code), line), "{args:?}");
    assert_eq!(said.text(), "");
}

/// The same, where only the beginning of the line is ours.
fn expect_start(args: &[&str], code: i32, start: &str) {
    let said = run(args, "");
    assert!(said.line().starts_with(start), "{args:?}: {said:?}");
    assert_eq!((said.code, said.text()), (Some(code), ""), "{args:?}: {said:?}");
}

#[test]
fn malformed_endpoints() {
    for command in ["serve", "connect"] {
        let cases = [
            ("127.0.0.1", "no scheme; write for example tcp://127.0.0.1:8888, unix:/run/x.sock or mem:name"),
            ("tcp://127.0.0.1", "no port; write tcp://127.0.0.1:PORT"),
            ("tcp://127.0.0.1:99999", "port 99999 is too large; the largest is 65535"),
            ("tcp://::1:80", "an IPv6 address needs brackets, as in [::1]:8888"),
            ("tcp://127.0.0.1:80?backlog", "option \"backlog\" has no value; write key=value"),
            (
                "unix:",
                "nothing after \"unix\"; write a host and port, a path or a name there, as in tcp://127.0.0.1:8888, unix:/run/x.sock or mem:name",
            ),
            ("", "no scheme; write for example tcp://127.0.0.1:8888, unix:/run/x.sock or mem:name"),
        ];
        for (endpoint, reason) in cases {
            expect(&[command, endpoint], 2, &format!("swapwire: endpoint {endpoint:?}: {reason}"));
        }
    }
    // What is shown cannot control the terminal.
    let said = run(&["connect", "tcp://\x1b[2J\u{202e}:1"], "");
    assert_eq!(said.code, Some(2));
    assert!(!said.line().contains(['\x1b', '\u{202e}']), "{said:?}");
}

#[test]
fn unknown_schemes_options_handlers_and_framings() {
    let sockets = if cfg!(all(target_os = "linux", feature = "systemd")) { "fd, systemd, " } else { "" };
    let nats = if cfg!(feature = "nats") { "nats, " } else { "" };
    let known = &format!(
        "known: mem, mem-dgram, mem-seq, {nats}tcp, udp, unix, unix-dgram, unix-seq, {sockets}proxy, tls, ws, wss"
    );
    let unknown = format!("unknown scheme \"tpc\"; did you mean \"tcp\"? {known}");
    expect(&["serve", "tpc://h:1"], 2, &format!("swapwire: bind tpc://h:1: {unknown}"));
    expect(&["connect", "tpc://h:1"], 2, &format!("swapwire: connect tpc://h:1: {unknown}"));
    // Before what is wrong behind it.
    for command in ["serve", "connect", "bench"] {
        for endpoint in ["tpc://:1", "tpc://h", "TPC://::1:80", "tpc:"] {
            expect(&[command, endpoint], 2, &format!("swapwire: endpoint {endpoint:?}: {unknown}"));
        }
    }
    expect_start(&["bench", "tpc"], 2, "swapwire: unknown scheme \"tpc\"; did you mean \"tcp\"? known: ");
    expect_start(
        &["serve", "tcp://127.0.0.1:0?colour=red"],
        2,
        "swapwire: bind tcp://127.0.0.1:0?colour=red: unknown option \"colour\"; known: backlog,",
    );
    expect_start(
        &["serve", "tcp://127.0.0.1:0?no_delay=1"],
        2,
        "swapwire: bind tcp://127.0.0.1:0?no_delay=1: unknown option \"no_delay\"; did you mean \"nodelay\"? known: ",
    );
    expect_start(
        &["connect", "tcp://127.0.0.1:1?backlog=3"],
        2,
        "swapwire: connect tcp://127.0.0.1:1?backlog=3: option \"backlog\" is for binding only",
    );
    expect_start(
        &["serve", "udp://127.0.0.1:0?ttl=many"],
        2,
        "swapwire: bind udp://127.0.0.1:0?ttl=many: option ttl=many: ",
    );
    expect_start(
        &["serve", "mem:x", "--handler", "ecco"],
        2,
        "swapwire: unknown handler \"ecco\"; did you mean \"echo\"? known: chargen, chat, daytime, discard, echo, time, uppercase-echo",
    );
    for args in [["serve", "mem:x"], ["connect", "mem:x"]] {
        expect_start(
            &[&args[..], &["--framing", "words"]].concat(),
            2,
            "swapwire: framing \"words\": write chunks, lines,",
        );
    }
    expect_start(&["serve", "mem:x", "--log", "a=b=c"], 2, "swapwire: log filter \"a=b=c\": ");
}

#[test]
fn contradictions() {
    expect(
        &["serve", "tcp://127.0.0.1:0", "--handler", "chat", "--framing", "chunks"],
        2,
        "swapwire: serve tcp://127.0.0.1:0: the handler needs whole messages, and a byte stream has none: choose a \
         framing (lines, length, …)",
    );
    expect(&["serve", "mem:x", "--max-message", "0"], 2, "swapwire: limits: max_message must be at least 1");
    expect(&["serve", "mem:x", "--max-connections", "0"], 2, "swapwire: limits: max_connections must be at least 1");
    expect(&["serve", "mem:x", "--workers", "1025"], 2, "swapwire: limits: workers must be from 1 to 1024");
    expect_start(&["serve", "mem:x", "--workers", "0"], 2, "swapwire: invalid value '0' for '--workers <N>': ");
    expect_start(&["serve", "udp://0.0.0.0:0", "--handler", "chargen"], 2, "swapwire: serve udp://0.0.0.0:0: ");
    expect_start(&["connect", "mem:x", "--max-message", "0"], 2, "swapwire: --max-message 0: ");
    expect_start(&["connect", "tcp://127.0.0.1:0"], 2, "swapwire: connect tcp://127.0.0.1:0: port 0 cannot be dialled");
}

#[test]
fn every_problem_is_a_line_of_its_own() {
    let said = run(&["serve", "tcp://127.0.0.1", "nonsense", "--handler", "ecco", "--framing", "words"], "");
    assert_eq!(said.code, Some(2));
    let starts = ["unknown handler", "framing", "endpoint \"tcp://127.0.0.1\"", "endpoint \"nonsense\""];
    assert_eq!(said.stderr.lines().count(), starts.len(), "{said:?}");
    for (line, start) in said.stderr.lines().zip(starts) {
        assert!(line.starts_with(&format!("swapwire: {start}")), "{line}");
    }
    let said = run(&["serve", "tpc://h:1", "mem:x", "--max-message", "0"], "");
    assert_eq!((said.code, said.stderr.lines().count()), (Some(2), 2), "{said:?}");
}

#[test]
fn flags_that_are_wrong() {
    expect(
        &["serve", "--idle-timeout", "soon"],
        2,
        "swapwire: invalid value 'soon' for '--idle-timeout <TIME>': write a time, as 500ms, 30s, 5m or 1h, or none; \
         see --help",
    );
    expect_start(&["serve", "--max-message", "big"], 2, "swapwire: invalid value 'big' for '--max-message <SIZE>': ");
    expect_start(
        &["serve", "--max-connections", "many"],
        2,
        "swapwire: invalid value 'many' for '--max-connections <N>'",
    );
    expect_start(&["serve", "--handeler", "echo"], 2, "swapwire: unexpected argument '--handeler' found; tip: ");
    expect_start(&["connect"], 2, "swapwire: the following required arguments were not provided: <ENDPOINT>; ");
    expect_start(&["sevre"], 2, "swapwire: unrecognized subcommand 'sevre'; tip: ");
    expect_start(&["completions", "tcsh"], 2, "swapwire: invalid value 'tcsh' for '<SHELL>'");
}

#[test]
fn pages_that_cannot_be_shown() {
    let problem = "swapwire: --page: no endpoint has ws; write one as ws://127.0.0.1:8080";
    expect(&["serve", "tcp://127.0.0.1:0", "--page"], 2, problem);
    let ws = |page: &str, start: &str| expect_start(&["serve", "ws://127.0.0.1:0", page], 2, start);
    ws("--page", "swapwire: --page: without a file it is for the handler chat, not uppercase-echo; write --page=FILE");
    ws("--page=/nowhere/x.html", "swapwire: --page=/nowhere/x.html: No such file or directory");
    ws("--page=/dev/zero", "swapwire: --page=/dev/zero: longer than 1048576 bytes, the most of a page");
    ws("--page=/", "swapwire: --page=/: Is a directory");
}

#[test]
fn ports_and_paths_in_use() {
    let directory = tempfile::tempdir().unwrap();
    let path = format!("unix:{}/x.sock", directory.path().display());
    let server = Serving::start(3, &["tcp://127.0.0.1:0", "udp://127.0.0.1:0", &path]);
    for endpoint in &server.endpoints {
        expect_start(&["serve", endpoint], 1, &format!("swapwire: bind {endpoint}: "));
    }
    expect(
        &["serve", server.endpoint()],
        1,
        &format!("swapwire: bind {}: address in use: another server is listening there", server.endpoint()),
    );
    server.stop();
}

#[test]
fn refused_connections() {
    let server = Serving::start(1, &["tcp://127.0.0.1:0"]);
    let endpoint = server.endpoint().to_owned();
    server.stop();
    let refused = format!("swapwire: connect {endpoint}: connection refused: no server is listening there");
    expect(&["connect", &endpoint], 1, &refused);
    expect(&["connect", "mem:x"], 1, "swapwire: connect mem:x: connection refused: no server is listening there");
    expect_start(&["connect", "unix:@nobody-is-here-for-sure"], 1, "swapwire: connect unix:@nobody-is-here-for-sure: ");
}

#[test]
fn unix_paths_that_are_missing_too_long_or_taken() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path().display();
    expect_start(
        &["connect", &format!("unix:{directory}/none.sock")],
        1,
        &format!("swapwire: connect unix:{directory}/none.sock: "),
    );
    let said = run(&["serve", &format!("unix:{directory}/none/x.sock")], "");
    assert!(said.line().starts_with(&format!("swapwire: bind unix:{directory}/none/x.sock: ")), "{said:?}");
    // The transport decides whether the place is at fault or the system.
    assert_eq!(said.code, Some(1), "{said:?}");
    let long = format!("unix:{directory}/{}", "x".repeat(120));
    for (command, operation) in [("serve", "bind"), ("connect", "connect")] {
        expect_start(&[command, &long], 2, &format!("swapwire: {operation} {long}: "));
    }
    let file = format!("{directory}/file");
    std::fs::write(&file, "precious").unwrap();
    let said = run(&["serve", &format!("unix:{file}")], "");
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.line().starts_with(&format!("swapwire: bind unix:{file}: ")), "{said:?}");
    let said = run(&["connect", &format!("unix:{file}")], "");
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.line().starts_with(&format!("swapwire: connect unix:{file}: ")), "{said:?}");
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
}
