//! SIGHUP to a server with a configuration file: what changes, what goes on, and what is refused.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::cell::RefCell;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::common::{PATIENCE, Serving, connect, next};
use nix::sys::signal::Signal;

/// A server and its file.
struct Edited {
    server: Serving,
    directory: TempDir,
    path: String,
}

impl Edited {
    /// Serves this file, which has so many listeners. `DIR` in it is a directory of its own.
    fn start(count: usize, text: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("swapwire.toml").to_str().unwrap().to_owned();
        fs::write(&path, text.replace("DIR", directory.path().to_str().unwrap())).unwrap();
        let server = Serving::start(count, &["--config", &path]);
        server.says(&format!("swapwire: SIGHUP reloads {path}; SIGTERM or SIGINT stops"));
        Self { server, directory, path }
    }

    /// Has it read another file; what it says of that, with `FILE` for the path.
    fn edit(&self, text: &str) -> String {
        fs::write(&self.path, text.replace("DIR", self.directory.path().to_str().unwrap())).unwrap();
        self.server.signal(Signal::SIGHUP);
        loop {
            let line = next(&self.server.stderr);
            if let Some(told) = line.strip_prefix("swapwire: reload") {
                return told.replace(&self.path, "FILE");
            }
        }
    }
}

/// A stream that waits for its replies, for some time.
fn dial(endpoint: &str) -> TcpStream {
    let stream = TcpStream::connect(endpoint.strip_prefix("tcp://").unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// The reply of as many bytes as the message has.
fn ask(stream: &mut (impl Read + Write), message: &str) -> std::io::Result<String> {
    stream.write_all(message.as_bytes())?;
    let mut reply = vec![0; message.len()];
    stream.read_exact(&mut reply)?;
    Ok(String::from_utf8(reply).unwrap())
}

fn tcp(endpoint: &str, more: &str) -> String {
    format!("[[listen]]\nendpoint = \"{endpoint}\"\n{more}\n")
}

#[test]
fn what_stays_goes_on_and_what_changes_is_for_new_sessions() {
    let unix = "[[listen]]\nname = \"gone\"\nendpoint = \"unix:DIR/s\"\n";
    let port_0 = tcp("tcp://127.0.0.1:0", "");
    let edited = Edited::start(3, &(port_0.clone() + &tcp("tcp://127.0.0.1:0", "") + unix));
    let [same, changed, _] = &edited.server.endpoints[..] else { unreachable!() };
    let (mut stays, mut begun) = (dial(same), dial(changed));
    assert_eq!(
        (ask(&mut stays, "hello").unwrap(), ask(&mut begun, "hello").unwrap()),
        ("HELLO".into(), "HELLO".into())
    );
    let new = "[[listen]]\nname = \"new\"\nendpoint = \"unix:DIR/new\"\nhandler = \"echo\"\nframing = \"lines\"\nlimits.max_message = 8\n";
    let text = tcp(same, "") + &tcp(changed, "handler = \"echo\"") + new;
    // Where it listens by now, written with the port, is another endpoint of the same place.
    assert_eq!(edited.edit(&text), "ed FILE: listeners: 0 unchanged, 2 changed, 1 added, 1 removed");
    let added = next(&edited.server.stdout);
    let path = edited.directory.path().display();
    assert_eq!(added, format!("listening unix:{path}/new"));
    assert_eq!(ask(&mut stays, "still").unwrap(), "STILL");
    assert_eq!(ask(&mut begun, "still").unwrap(), "STILL", "a session ends with the handler with which it began");
    assert_eq!(ask(&mut dial(changed), "hello").unwrap(), "hello");
    assert_eq!(connect(&format!("unix:{path}/new"), "12345678\n").text(), "12345678\n");
    assert_eq!(connect(&format!("unix:{path}/new"), "123456789\n").text(), "", "its own limit");
    assert_eq!(connect(&format!("unix:{path}/s"), "").code, Some(1), "it was removed");
    // Nothing is new.
    assert_eq!(edited.edit(&text), "ed FILE: listeners: 3 unchanged, 0 changed, 0 added, 0 removed");
    // A limit of all listeners.
    let limited = text.clone() + "[limits]\nidle_timeout = \"1h\"\n";
    assert_eq!(edited.edit(&limited), "ed FILE: listeners: 0 unchanged, 3 changed, 0 added, 0 removed");
    assert_eq!(edited.edit(&limited), "ed FILE: listeners: 3 unchanged, 0 changed, 0 added, 0 removed");
    assert_eq!(ask(&mut stays, "still").unwrap(), "STILL");
    drop((stays, begun));
    edited.server.stop();
}

#[test]
fn a_wrong_file_changes_nothing_and_is_one_line() {
    let edited = Edited::start(1, &tcp("tcp://127.0.0.1:0", ""));
    let endpoint = edited.server.endpoint();
    let other = Serving::start(1, &["tcp://127.0.0.1:0"]);
    let taken = other.endpoint();
    let right = tcp(endpoint, "handler = \"echo\"");
    for (text, told) in [
        (String::new(), "no [[listen]]; write one with an endpoint".to_owned()),
        (right.clone() + "framming = \"lines\"\nbacklog = 3", ":4:1: unknown key \"framming\" in [[listen]]; did you mean \"framing\"? known: name, endpoint, handler, framing, page, limits; and 1 more: --check tells all".to_owned()),
        (right.clone() + "[server]\nworkers = 3", ":5:11: workers cannot change while the server runs; start it anew".to_owned()),
        (right.clone() + "[limits]\nmax_connections = 3", ":5:19: max_connections cannot change while the server runs; start it anew".to_owned()),
        (right.clone() + &tcp(taken, ""), format!(":5:12: bind {taken}: address in use: another server is listening there")),
        (right.clone() + &tcp("mem:x", "handler = \"chat\"\nframing = \"chunks\""), ":5:12: serve mem:x: the handler needs whole messages, and a byte stream has none: choose a framing (lines, length, …)".to_owned()),
        (tcp(&format!("{endpoint}?backlog=7"), ""), format!(":2:12: serve {endpoint}?backlog=7: backlog cannot change where it is bound: name another place, or start the server anew")),
    ] {
        let said = edited.edit(&text);
        let why = said.strip_prefix(" FILE: nothing has changed: FILE").unwrap_or_else(|| panic!("{text}: {said}"));
        assert_eq!(why.trim_start_matches(": no"), told.trim_start_matches("no"), "{text}");
        assert_eq!(ask(&mut dial(endpoint), "hello").unwrap(), "HELLO", "{text}");
    }
    fs::remove_file(&edited.path).unwrap();
    edited.server.signal(Signal::SIGHUP);
    let said = format!("swapwire: reload {0}: nothing has changed: read {0}: No such file or directory", edited.path);
    edited.server.says(&said);
    assert_eq!(edited.edit(&right), "ed FILE: listeners: 0 unchanged, 1 changed, 0 added, 0 removed");
    assert_eq!(ask(&mut dial(endpoint), "hello").unwrap(), "hello");
    other.stop();
    edited.server.stop();
}

#[test]
fn names_are_swapped_and_a_chat_stays_one_room() {
    let named = |name: &str, endpoint: &str| tcp(endpoint, &format!("name = \"{name}\"\nhandler = \"chat\""));
    let edited = Edited::start(2, &(named("a", "tcp://127.0.0.1:0") + &named("b", "tcp://127.0.0.1:0")));
    let [one, two] = &edited.server.endpoints[..] else { unreachable!() };
    let mut before = dial(one);
    assert_eq!(
        edited.edit(&(named("b", one) + &named("a", two))),
        "ed FILE: listeners: 0 unchanged, 2 changed, 0 added, 0 removed"
    );
    let mut after = dial(two);
    // Who was there before hears it, once both are in the room.
    before.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let (mut heard, begun) = (String::new(), Instant::now());
    while !heard.contains(": second\n") {
        assert!(begun.elapsed() < PATIENCE, "{heard}");
        after.write_all(b"second\n").unwrap();
        let mut bytes = [0; 256];
        match before.read(&mut bytes) {
            Ok(0) => panic!("the session has ended: {heard}"),
            Ok(count) => heard.push_str(&String::from_utf8_lossy(&bytes[..count])),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    drop((before, after));
    edited.server.stop();
}

/// Twelve lines: four listeners with two handlers.
const TWELVE_LINES: &str = r#"
[[listen]]
endpoint = "tcp://127.0.0.1:0"
[[listen]]
endpoint = "unix:DIR/s"
handler = "echo"
[[listen]]
endpoint = "tcp://127.0.0.1:0"
handler = "uppercase-echo"
[[listen]]
name = "datagrams"
endpoint = "udp://127.0.0.1:0"
limits.max_message = "1KiB"
"#;

/// Whether the handlers or limits of others change makes no difference to who asks.
#[test]
fn no_request_is_lost_while_a_file_is_read_again_a_hundred_times() {
    assert_eq!(TWELVE_LINES.trim().lines().count(), 12);
    let edited = Edited::start(4, TWELVE_LINES);
    let [tcp, unix, changing, _] = &edited.server.endpoints[..] else { unreachable!() };
    let over = AtomicBool::new(false);
    // Asks until it is over; how often.
    let load = |one: &dyn Fn() -> String, expected: &str| {
        let mut answered = 0_u64;
        while !over.load(Relaxed) {
            assert_eq!(one().to_uppercase(), expected);
            answered += 1;
        }
        answered
    };
    thread::scope(|scope| {
        let over_one_session = scope.spawn(|| {
            let session = RefCell::new(dial(tcp));
            load(&|| ask(&mut *session.borrow_mut(), "hello").unwrap(), "HELLO")
        });
        let over_one_socket = scope.spawn(|| {
            let session = UnixStream::connect(unix.strip_prefix("unix:").unwrap()).unwrap();
            session.set_read_timeout(Some(PATIENCE)).unwrap();
            let session = RefCell::new(session);
            load(&|| ask(&mut *session.borrow_mut(), "hello").unwrap(), "HELLO")
        });
        let new_each_time = [tcp, changing]
            .map(|endpoint| scope.spawn(move || load(&|| ask(&mut dial(endpoint), "hello").unwrap(), "HELLO")));
        for reload in 0..100 {
            let handler = if reload % 2 == 0 { "echo" } else { "uppercase-echo" };
            let text = TWELVE_LINES.replace("\"uppercase-echo\"", &format!("{handler:?}"));
            let told = edited.edit(&text.replace("1KiB", &format!("{}KiB", reload + 2)));
            assert_eq!(told, "ed FILE: listeners: 2 unchanged, 2 changed, 0 added, 0 removed", "{reload}");
        }
        over.store(true, Relaxed);
        let [first, second] = new_each_time;
        for load in [over_one_session, over_one_socket, first, second] {
            assert!(load.join().unwrap() > 0);
        }
    });
    edited.server.stop();
}

#[test]
fn the_admin_endpoint_reloads_as_a_signal_does() {
    let file = |listener: &str| format!("[admin]\nlisten = \"unix:DIR/a\"\n{listener}");
    let edited = Edited::start(1, &file(&tcp("tcp://127.0.0.1:0", "")));
    let post = |request: &str| {
        let mut stream = UnixStream::connect(edited.directory.path().join("a")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(format!("{request} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.replace(&edited.path, "FILE")
    };
    let write = |text: &str| {
        fs::write(&edited.path, text.replace("DIR", edited.directory.path().to_str().unwrap())).unwrap();
    };
    write(&file(&tcp("tcp://127.0.0.1:0", "handler = \"echo\"")));
    let answer = post("POST /reload");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("listeners: 0 unchanged, 1 changed, 0 added, 0 removed"), "{answer}");
    assert_eq!(ask(&mut dial(edited.server.endpoint()), "hello").unwrap(), "hello");
    write(&tcp("tcp://127.0.0.1:0", "handler = \"discard\""));
    let answer = post("POST /reload");
    assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    assert!(answer.contains("[admin] cannot change while the server runs; start it anew; and 1 more"), "{answer}");
    let told = edited.edit(&file(&tcp("tcp://127.0.0.1:0", "handler = \"ecco\"")));
    assert!(
        told.starts_with(" FILE: nothing has changed: FILE:5:11: unknown handler \"ecco\"; did you mean "),
        "{told}"
    );
    let metrics = post("GET /metrics");
    for line in ["swapwire_config_reloads_total 3", "swapwire_config_last_reload_successful 0"] {
        assert!(metrics.lines().any(|other| other == line), "{line}: {metrics}");
    }
    edited.server.stop();
}
