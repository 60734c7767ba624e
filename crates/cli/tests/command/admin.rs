//! The admin endpoint of `swapwire serve`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::common::{PATIENCE, Serving, connect, next, run, swapwire};

/// The host and port of the admin endpoint, which a server tells first on the standard error.
pub(crate) fn admin_place(server: &Serving) -> String {
    let url = next(&server.stderr);
    let place = url.strip_prefix("swapwire: the admin endpoint is http://").and_then(|url| url.strip_suffix('/'));
    place.unwrap_or_else(|| panic!("{url}")).to_owned()
}

fn talk(mut io: impl Read + Write, request: &str) -> String {
    io.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    io.read_to_string(&mut answer).unwrap();
    answer
}

/// The status and the body.
fn get(place: &str, path: &str) -> (u16, String) {
    let io = TcpStream::connect(place).unwrap();
    io.set_read_timeout(Some(PATIENCE)).unwrap();
    let answer = talk(io, &format!("GET {path} HTTP/1.1\r\nHost: {place}\r\n\r\n"));
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head["HTTP/1.1 ".len()..][..3].parse().unwrap(), body.to_owned())
}

/// Asks until there is what is wanted.
fn until<T>(ask: impl Fn() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(Instant::now() < end, "it does not come to that");
    }
}

const TCP: &str = "tcp://127.0.0.1:0";

#[test]
fn it_is_off_unless_it_is_asked_for() {
    let server = Serving::start(1, &[TCP]);
    let threads = std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    let names = threads.map(|thread| std::fs::read_to_string(thread.unwrap().path().join("comm")).unwrap());
    assert!(names.into_iter().all(|name| name.trim() != "admin"));
    server.stop();
}

#[test]
fn an_empty_table_is_a_socket_of_this_users_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("swapwire.toml");
    std::fs::write(&file, "[admin]\n[[listen]]\nname = \"front\"\nendpoint = \"tcp://127.0.0.1:0\"\n").unwrap();
    let mut command = swapwire(&["serve", "--config", file.to_str().unwrap()]);
    let server = Serving::spawn(1, command.env("XDG_RUNTIME_DIR", folder.path()));
    let socket = folder.path().join("swapwire-admin.sock");
    assert_eq!(next(&server.stderr), format!("swapwire: the admin endpoint is unix:{}", socket.display()));
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let ask = |request: &str| talk(UnixStream::connect(&socket).unwrap(), request);
    // Its loops begin behind what it says.
    let up = "\nswapwire_listener_up{listener=\"front\",transport=\"tcp\"} 1\n";
    until(|| ask("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").contains(up).then_some(()));
    server.stop();
    assert!(!socket.exists());
}

#[test]
fn status_tells_what_clients_saw() {
    let server = Serving::start(1, &[TCP, "--handler", "echo", "--framing", "lines", "--admin-listen", TCP]);
    let admin = admin_place(&server);
    assert_eq!(get(&admin, "/livez"), (200, "ok\n".to_owned()));
    let said = connect(server.endpoint(), "one\ntwo\n");
    assert_eq!((said.code, said.text()), (Some(0), "one\ntwo\n"));
    // A client may have a reply before it is counted.
    let traffic = json!({ "messages": 2, "bytes": 8 });
    let status = until(|| {
        let status: Value = serde_json::from_str(&get(&admin, "/status").1).unwrap();
        let listener = &status["listeners"][0];
        let counted = (&listener["received"], &listener["sent"], &listener["counters"]["done"]);
        (counted == (&traffic, &traffic, &json!(1))).then_some(status)
    });
    let listener = &status["listeners"][0];
    assert_eq!((&listener["sessions"], &listener["sessions_open"]), (&json!(1), &json!(0)));
    assert_eq!((&listener["endpoints"][0], &listener["is_healthy"]), (&json!(server.endpoint()), &json!(true)));
    assert_eq!((&status["version"], &status["not_ready"]), (&json!(env!("CARGO_PKG_VERSION")), &Value::Null));
    server.stop();
}

#[test]
fn it_says_that_it_is_not_ready_before_it_drains() {
    let args = [TCP, "--handler", "echo", "--admin-listen", TCP, "--drain-delay", "1h"];
    let server = Serving::start(1, &args);
    let admin = admin_place(&server);
    until(|| (get(&admin, "/readyz").0 == 200).then_some(()));
    server.signal(Signal::SIGTERM);
    server.says("swapwire: not ready; draining in 3600s; a second signal cuts everything");
    assert_eq!(get(&admin, "/readyz"), (503, "the drain begins soon\n".to_owned()));
    // It serves all the same.
    assert_eq!(connect(server.endpoint(), "still here\n").text(), "still here\n");
    server.signal(Signal::SIGTERM);
    let (code, stderr) = server.end();
    assert_eq!((code, stderr), (Some(3), vec!["swapwire: second signal: everything was cut".to_owned()]));

    let args = [TCP, "--drain-delay", "10ms", "--admin-listen", TCP];
    let server = Serving::start(1, &args);
    admin_place(&server);
    assert!(server.stop().starts_with("swapwire: drained in "));
}

#[test]
fn a_reload_without_files_changes_nothing() {
    let server = Serving::start(1, &[TCP, "--admin-listen", TCP]);
    let admin = admin_place(&server);
    let post = |header: &str| {
        let request = format!("POST /reload HTTP/1.1\r\nHost: {admin}\r\n{header}\r\n");
        talk(TcpStream::connect(&admin).unwrap(), &request)
    };
    assert!(post("").starts_with("HTTP/1.1 403 "));
    let answer = post("X-Swapwire: reload\r\n");
    assert!(answer.starts_with("HTTP/1.1 409 ") && answer.contains("there is nothing to reload"), "{answer}");
    server.stop();
}

#[test]
fn what_is_wrong_with_it_is_one_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("tcp://{}", taken.local_addr().unwrap());
    for (args, code, part) in [
        (&["--admin-listen", "tcp://0.0.0.0:0"][..], 2, "other hosts can reach this address"),
        (&["--admin-listen", "udp://127.0.0.1:0"], 2, "HTTP needs a byte stream"),
        (&["--admin-listen", "unix:@swapwire-admin"], 2, "add allow_uid=self"),
        (&["--admin-listen", "tpc://127.0.0.1:0"], 2, "did you mean \"tcp\""),
        (&["--admin-listen", "tcp://127.0.0.1:0?mode=600"], 2, "mode"),
        (&["--admin-listen", &taken], 1, "in use"),
        (&["--admin-listen", TCP, "--admin-hosts", "a:1"], 2, "write names without a port"),
    ] {
        for check in [&[][..], &["--check"]] {
            let said = run(&[&["serve", TCP], args, check].concat(), "");
            assert_eq!(said.code, Some(code), "{args:?}: {said:?}");
            assert!(said.line().contains(part), "{args:?}: {said:?}");
        }
    }
    let said = run(&["serve", TCP, "--admin-listen", "tcp://0.0.0.0:0", "--admin-expose", "--check"], "");
    assert_eq!((said.code, said.text().lines().count()), (Some(0), 2), "{said:?}");
}
