//! `swapwire serve --config`: what a file serves, what wins over it, and what is said of a wrong one.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;

use crate::common::{Said, Serving, connect, finish, run, start, swapwire};
use nix::sys::signal::Signal;

/// A file in a directory of its own. `DIR` in it is the directory.
fn file(text: &str) -> (TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("swapwire.toml");
    fs::write(&path, text.replace("DIR", directory.path().to_str().unwrap())).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (directory, path)
}

/// What the command says to a file, with this environment.
fn serve_with(variables: &[(&str, &str)], args: &[&str]) -> Said {
    let mut command = swapwire(&[&["serve"], args].concat());
    command.envs(variables.iter().copied()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    finish(start(&mut command))
}

/// The lines of the standard error, where `FILE` stands for the path of the file.
fn complaints(text: &str, args: &[&str]) -> (Option<i32>, Vec<String>) {
    let (_directory, path) = file(text);
    let said = run(&[&["serve", "--config", &path], args].concat(), "");
    assert_eq!(said.text(), "", "{said:?}");
    (said.code, said.stderr.lines().map(|line| line.replace(&path, "FILE")).collect())
}

const TWELVE_LINES: &str = r#"
[[listen]]
endpoint = "tcp://127.0.0.1:0"
[[listen]]
endpoint = "udp://127.0.0.1:0"
[[listen]]
endpoint = "unix:DIR/s"
handler = "echo"
[[listen]]
name = "browsers"
endpoint = "ws://127.0.0.1:0"
handler = "echo"
limits.max_message = "64KiB"
"#;

#[test]
fn twelve_lines_serve_four_listeners_with_two_handlers() {
    assert_eq!(TWELVE_LINES.trim().lines().count(), 12);
    let (_directory, path) = file(TWELVE_LINES);
    let server = Serving::start(4, &["--config", &path]);
    let (small, large) = ("x".repeat(60_000) + "\n", "x".repeat(70_000) + "\n");
    for (endpoint, reply) in server.endpoints.iter().zip(["HELLO\n", "HELLO\n", "hello\n", "hello\n"]) {
        let said = run(&["connect", endpoint, "--wait", "2s"], "hello\n");
        assert_eq!((said.code, said.text()), (Some(0), reply), "{endpoint}: {said:?}");
    }
    let [_, _, unix, browsers] = &server.endpoints[..] else { unreachable!() };
    assert_eq!(connect(unix, large.clone()).text(), large);
    assert_eq!(connect(browsers, small.clone()).text(), small);
    assert_eq!(connect(browsers, large).code, Some(1), "a limit of this listener alone");
    server.stop();
}

#[test]
fn a_check_binds_nothing_and_finds_what_a_bind_would_find() {
    let (_directory, path) = file("[[listen]]\nendpoint = \"unix:DIR/s\"\n[[listen]]\nendpoint = \"mem:x\"");
    let server = Serving::start(2, &["--config", &path]);
    let said = run(&["serve", "--config", &path, "--check"], "");
    let socket = format!("unix:{}/s", Path::new(&path).parent().unwrap().display());
    assert_eq!((said.code, said.text()), (Some(0), &*format!("ok {socket}\nok mem:x\n")), "{said:?}");
    server.stop();
    let (_directory, path) = file("[[listen]]\nendpoint = \"unix:DIR/none/s\"");
    assert_eq!(run(&["serve", "--config", &path, "--check"], "").code, Some(0), "the directory may come later");

    let (code, lines) = complaints(
        "[[listen]]\nendpoint = \"tcp://127.0.0.1:0?backlog=no\"\n\
         [[listen]]\nendpoint = \"tls://127.0.0.1:0?cert=DIR/none.pem&key=DIR/none.pem\"\n\
         [[listen]]\nhandler = \"chargen\"\nendpoint = \"udp://0.0.0.0:0\"\n\
         [[listen]]\nendpoint = \"mem:x?backlgo=1\"\n",
        &["--check"],
    );
    assert_eq!((code, lines.len()), (Some(2), 4), "{lines:?}");
    for (line, (start, part)) in lines.iter().zip([
        ("FILE:2:12: bind tcp://127.0.0.1:0?backlog=no: ", "option backlog=no: "),
        ("FILE:4:12: bind tls://127.0.0.1:0?cert=", "none.pem"),
        ("FILE:7:12: serve udp://0.0.0.0:0: ", "forged senders"),
        ("FILE:9:12: bind mem:x?backlgo=1: ", "did you mean \"backlog\"?"),
    ]) {
        assert!(line.starts_with(&format!("swapwire: {start}")) && line.contains(part), "{line}");
    }
}

#[test]
fn a_wrong_file_is_a_line_for_each_mistake() {
    let known = "known: chargen, chat, daytime, discard, echo, time, uppercase-echo";
    let (code, lines) = complaints("[[listen]]\nendpoint = \"mem:x\"\nhandler = \"ecco\"\nframing = \"words\"", &[]);
    assert_eq!((code, lines.len()), (Some(2), 2));
    assert_eq!(lines[0], format!("swapwire: FILE:3:11: unknown handler \"ecco\"; did you mean \"echo\"? {known}"));
    assert!(lines[1].starts_with("swapwire: FILE:4:11: framing \"words\": write chunks, "), "{lines:?}");
    for (text, line) in [
        ("", "FILE: no [[listen]]; write one with an endpoint"),
        (
            "[limits]\nmax_mesage = 3\n[[listen]]\nendpoint = \"mem:x\"",
            "FILE:2:1: unknown key \"max_mesage\" in [limits]; did you mean ",
        ),
        (
            "[[listen]]\nendpoint = \"tpc://:1\"",
            "FILE:2:12: endpoint \"tpc://:1\": unknown scheme \"tpc\"; did you mean \"tcp\"? ",
        ),
        (
            "[server]\nworkers = 1025\n[[listen]]\nendpoint = \"mem:x\"",
            "FILE:2:11: limits: workers must be from 1 to 1024",
        ),
        (
            "[limits]\nmax_message = 0\n[[listen]]\nendpoint = \"mem:x\"\nlimits.peer_queue = 3",
            "FILE:2:15: max_message must be at least 1",
        ),
        ("[log]\nlevel = \"a=b=c\"\n[[listen]]\nendpoint = \"mem:x\"", "FILE:2:9: log filter \"a=b=c\": "),
        (
            "[[listen]]\nendpoint = \"mem:x\"\npage = true",
            "FILE:3:8: page: mem:x has no ws; write it as ws://127.0.0.1:8080",
        ),
        ("[[listen]]\nendpoint = \"ws:DIR/s\"\npage = \"DIR/none\"", "FILE:3:8: page: "),
        (
            "[[listen]]\nendpoint = \"ws:DIR/s\"\npage = true",
            "FILE:3:8: page: without a file it is for the handler chat, not ",
        ),
        (
            "[[listen]]\nendpoint = \"tcp://127.0.0.1:0\"\nhandler = \"chat\"\nframing = \"chunks\"",
            "FILE:2:12: serve tcp://127.0.0.1:0: the handler needs whole messages, ",
        ),
        (
            "[[listen]]\nname = \"a\"\nendpoint = \"mem:x\"\n[[listen]]\nname = \"a\"\nendpoint = \"mem:y\"",
            "FILE:5:8: name \"a\": each listener has one of its own, ",
        ),
        ("[[listen]]\nendpoint = \"unix:DIR/s\"\n[[listen]]\nendpoint = \"unix:DIR/s?mode=600\"", "FILE:4:12: unix:"),
        (
            "[[listen]]\nendpoint = \"tcp://127.0.0.1:1\"\n[[listen]]\nendpoint = \"ws://127.0.0.1:1\"",
            "FILE:4:12: ws://127.0.0.1:1 and tcp://127.0.0.1:1 are one place",
        ),
        ("[[listen]]\nendpoint = \"mem:x\"\n[[listen]]\nendpoint = \"mem:x\"", "FILE:4:12: mem:x is there twice"),
        ("[[listen]]\nname = \"\"\nendpoint = \"mem:x\"", "FILE:2:8: name \"\": each listener has one of its own, "),
    ] {
        for check in [&[][..], &["--check"], &["--print-config"]] {
            let (code, lines) = complaints(text, check);
            assert_eq!((code, lines.len()), (Some(2), 1), "{text}: {lines:?}");
            assert!(lines[0].starts_with(&format!("swapwire: {line}")), "{text}: {lines:?}");
        }
    }
    let said = run(&["serve", "--config", "/nowhere/x.toml"], "");
    assert_eq!((said.code, said.line()), (Some(2), "swapwire: read /nowhere/x.toml: No such file or directory"));
    let (_directory, path) = file("[[listen]]\nendpoint = \"mem:x\"");
    let said = run(&["serve", "--config", &path, "mem:y"], "");
    assert!(said.line().starts_with("swapwire: the argument '--config <FILE>' cannot be used with "), "{said:?}");
}

#[test]
fn a_place_that_is_taken_is_told_with_its_line() {
    let server = Serving::start(1, &["tcp://127.0.0.1:0"]);
    let (code, lines) = complaints(&format!("[[listen]]\nendpoint = {:?}", server.endpoint()), &[]);
    assert_eq!(code, Some(1));
    assert_eq!(
        lines,
        [format!("swapwire: FILE:2:12: bind {}: address in use: another server is listening there", server.endpoint())]
    );
    server.stop();
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let (_directory, path) =
        file("[server]\nuntil_eof = true\n[limits]\nmax_message = 1\nmax_peers = 2\n[[listen]]\nendpoint = \"mem:x\"");
    let args = ["--config", &path, "--print-config", "--max-message", "3"];
    let environment = [("SWAPWIRE_MAX_MESSAGE", "2"), ("SWAPWIRE_HANDLER", "echo"), ("SWAPWIRE_UNTIL_EOF", "no")];
    let said = serve_with(&environment, &args);
    let expected = "[server]\nuntil_eof = false\n\n[limits]\nmax_message = 3\nmax_peers = 2\n\n\
                    [[listen]]\nendpoint = \"mem:x\"\nhandler = \"echo\"\n";
    assert_eq!((said.code, said.text()), (Some(0), expected), "{said:?}");
    let by_environment = serve_with(&[("SWAPWIRE_CONFIG", &path)], &["--check"]);
    assert_eq!((by_environment.code, by_environment.text()), (Some(0), "ok mem:x\n"), "{by_environment:?}");
    let said = serve_with(&[("SWAPWIRE_CONFIG", &path)], &["mem:y"]);
    assert!(said.line().ends_with("(SWAPWIRE_CONFIG of the environment)"), "{said:?}");
    // What the environment says is said to be its.
    let said = serve_with(&[("SWAPWIRE_IDLE_TIMEOUT", "soon")], &["mem:x"]);
    assert!(said.line().contains("invalid value 'soon' for '--idle-timeout <TIME>': "), "{said:?}");
    assert!(said.line().ends_with("(SWAPWIRE_IDLE_TIMEOUT of the environment)"), "{said:?}");
    let said = serve_with(&[("SWAPWIRE_IDLE_TIMEOUT", "soon")], &["mem:x", "--idle-timeout=late"]);
    assert!(said.line().contains("'late'") && !said.line().contains("environment"), "{said:?}");
}

#[test]
fn a_command_line_becomes_a_file() {
    let args =
        ["tcp://127.0.0.1:0", "--handler", "echo", "--framing", "lines", "--max-message", "10", "--workers", "2"];
    let said = run(&[&["serve", "--print-config"], &args[..]].concat(), "");
    assert_eq!(said.code, Some(0), "{said:?}");
    let (_directory, path) = file(said.text());
    let again = run(&["serve", "--config", &path, "--print-config"], "");
    assert_eq!((again.code, again.text()), (Some(0), said.text()), "{again:?}");
    let server = Serving::start(1, &["--config", &path]);
    assert_eq!(connect(server.endpoint(), "hello\n").text(), "hello\n");
    assert_eq!(connect(server.endpoint(), "far too long\n").text(), "");
    server.stop();
    // Without arguments, the endpoints are those that `serve` has then.
    let said = run(&["serve", "--print-config"], "");
    assert!(said.text().starts_with("[[listen]]\nendpoint = \"tcp://127.0.0.1:8888\"\n"), "{said:?}");
    assert_eq!(said.text().matches("[[listen]]").count(), 3);
}

#[test]
fn the_schema_is_printed() {
    let said = run(&["serve", "--print-schema"], "");
    let schema: Value = serde_json::from_str(said.text()).unwrap();
    assert_eq!(schema["properties"]["listen"]["items"]["required"], serde_json::json!(["endpoint"]));
}

/// The lines of a standard error, each an object with what every line has.
fn objects<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<Value> {
    let object = |line: &str| {
        let object: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        for key in ["timestamp", "level", "message", "target"] {
            assert!(object[key].is_string(), "{line}");
        }
        object
    };
    lines.into_iter().map(object).collect()
}

#[test]
fn every_line_of_the_standard_error_is_an_object_if_asked() {
    let listen = "[[listen]]\nendpoint = \"unix:@swapwire-log-test\"\nframing = \"lines\"\nlimits.max_message = 10";
    let (_directory, path) = file(&format!("[log]\nformat = \"json\"\nlevel = \"warn\"\n{listen}"));
    let server = Serving::start(1, &["--config", &path]);
    assert_eq!(connect(server.endpoint(), "x".repeat(20)).text(), "");
    server.signal(Signal::SIGTERM);
    let (code, lines) = server.end();
    assert_eq!(code, Some(0), "{lines:?}");
    let objects = objects(lines.iter().map(String::as_str));
    let logged: Vec<_> = objects.iter().filter(|object| object["level"] == "WARN").collect();
    assert!(logged.iter().any(|object| object["endpoint"] == "unix:@swapwire-log-test"), "{lines:?}");
    let last = objects.last().unwrap();
    assert_eq!((&last["level"], &last["target"]), (&Value::from("INFO"), &Value::from("swapwire")), "{lines:?}");
}

#[test]
fn what_is_wrong_is_an_object_if_asked() {
    let said = run(&["serve", "--log-format", "json", "--config", "/nowhere/x.toml"], "");
    let [object] = &objects(said.stderr.lines())[..] else { panic!("{said:?}") };
    assert_eq!((said.code, &object["level"]), (Some(2), &Value::from("ERROR")));
    assert_eq!(object["message"], "read /nowhere/x.toml: No such file or directory");
    let said = run(&["serve", "mem:x", "--log-format", "xml"], "");
    assert!(said.line().contains("invalid value 'xml' for '--log-format <FORMAT>'"), "{said:?}");
}
