//! `swapwire serve`: what it says, what it serves by default, how it ends.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use crate::common::{Busy, PATIENCE, Serving, connect, finish, lines, next, on_any_machine, swapwire, wait};
use nix::sys::signal::Signal;

fn dial(endpoint: &str) -> TcpStream {
    let stream = TcpStream::connect(endpoint.strip_prefix("tcp://").unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A session that is open for sure: its first message was answered.
fn open_session(endpoint: &str) -> TcpStream {
    let mut stream = dial(endpoint);
    stream.write_all(b"hello").unwrap();
    let mut reply = [0; 5];
    stream.read_exact(&mut reply).unwrap();
    assert_eq!(&reply, b"HELLO");
    stream
}

#[test]
fn real_ports_are_told() {
    let server = Serving::start(3, &["tcp://127.0.0.1:0", "tcp://127.0.0.1:0", "udp://127.0.0.1:0"]);
    for (endpoint, start) in server.endpoints.iter().zip(["tcp://127.0.0.1:", "tcp://127.0.0.1:", "udp://127.0.0.1:"]) {
        let port: u16 = endpoint.strip_prefix(start).unwrap().parse().unwrap();
        assert_ne!(port, 0);
    }
    drop(dial(&server.endpoints[1]));
    server.stop();
}

#[test]
fn what_is_not_done_at_the_drain_deadline_is_cut() {
    let busy = Busy::start("300ms");
    busy.server.signal(Signal::SIGTERM);
    let (code, stderr) = busy.server.end();
    assert_eq!(code, Some(3), "{stderr:?}");
    assert!(stderr.last().unwrap().contains("1 cut at the deadline"), "{stderr:?}");
}

#[test]
fn a_second_signal_cuts_everything_at_once() {
    let busy = Busy::start("none");
    busy.server.signal(Signal::SIGINT);
    busy.server.says("swapwire: draining for as long as it takes; a second signal cuts everything");
    busy.server.signal(Signal::SIGTERM);
    let (code, stderr) = busy.server.end();
    assert_eq!((code, stderr), (Some(3), vec!["swapwire: second signal: everything was cut".to_owned()]));
}

#[test]
fn a_second_signal_leaves_no_socket_behind() {
    let directory = tempfile::tempdir().unwrap();
    let server = Serving::start(1, &[&format!("unix:{}/s", directory.path().display())]);
    // Within the drain, when the listener may still be open.
    server.signal(Signal::SIGTERM);
    server.signal(Signal::SIGINT);
    let (code, stderr) = server.end();
    assert!(matches!(code, Some(0 | 3)), "{stderr:?}");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn an_idle_session_does_not_hold_up_the_drain() {
    let server = Serving::start(1, &["tcp://127.0.0.1:0"]);
    let mut stream = open_session(server.endpoint());
    server.signal(Signal::SIGTERM);
    assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0);
    drop(stream);
    let (code, stderr) = server.end();
    assert_eq!(code, Some(0));
    assert!(stderr.last().unwrap().contains("0 cut"), "{stderr:?}");
}

/// The threads of workers, by the name that the system knows, which it cuts at 15 bytes.
#[cfg(target_os = "linux")]
fn workers(server: &Serving) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap().flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.trim_end() == "swapwire-worker").count()
}

#[cfg(target_os = "linux")]
#[test]
fn it_serves_with_as_many_workers_as_it_is_told_or_as_there_are_processors() {
    let processors = std::thread::available_parallelism().unwrap().get();
    // One needs no thread of its own.
    let default = if processors == 1 { 0 } else { processors };
    for (args, count) in [(vec![], default), (vec!["--workers", "1"], 0), (vec!["--workers", "3"], 3)] {
        let server = Serving::start(1, &[&["tcp://127.0.0.1:0"], &args[..]].concat());
        drop(open_session(server.endpoint()));
        // A thread names itself when it first runs, which may be after another one has served.
        let begun = std::time::Instant::now();
        while workers(&server) != count {
            assert!(begun.elapsed().as_secs() < 30, "{} workers instead of {count}", workers(&server));
            std::thread::yield_now();
        }
        let second = crate::common::run(&["serve", server.endpoint(), "--workers", "3"], "");
        assert_eq!(second.code, Some(1));
        assert!(second.line().ends_with("address in use: another server is listening there"), "{second:?}");
        server.stop();
    }
}

#[test]
fn a_worker_that_cannot_be_started_is_told() {
    let mut shell = swapwire(&[]);
    let program = shell.get_program().to_owned();
    shell = std::process::Command::new("sh");
    shell
        .args(["-c", "ulimit -n 40; exec \"$0\" serve unix:@swapwire-test-$$?allow_uid=self --workers 30"])
        .arg(program);
    let said = finish(crate::common::start(shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped())));
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.line().contains("start worker ") || said.line().contains("bind unix:"), "{said:?}");
    assert!(said.line().contains("open files"), "{said:?}");
}

#[test]
fn it_can_end_with_its_input() {
    let mut child = crate::common::start(
        swapwire(&["serve", "tcp://127.0.0.1:0", "--until-eof"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
    );
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"what is said there means nothing").unwrap();
    let endpoint = next(&lines(child.stdout.take().unwrap())).split_off("listening ".len());
    assert_eq!(connect(&endpoint, "hello\n").text(), "HELLO\n");
    drop(stdin);
    let said = finish(child);
    assert_eq!(said.code, Some(0), "{said:?}");
    let told = on_any_machine(said.stderr.lines().map(str::to_owned).collect());
    assert!(told.len() == 1 && told[0].starts_with("swapwire: drained in "), "{said:?}");
}

#[test]
fn limits_reach_the_server() {
    for (limit, value, says, report) in [
        ("--max-message", "4", &b"hello\n"[..], "1 session had a bad frame"),
        ("--idle-timeout", "200ms", b"", "1 session was idle"),
        ("--frame-timeout", "200ms", b"hel", "1 frame took too long to arrive"),
    ] {
        let server = Serving::start(1, &["tcp://127.0.0.1:0", "--framing", "lines", limit, value]);
        let mut peer = dial(server.endpoint());
        peer.write_all(says).unwrap();
        let mut all = Vec::new();
        let _ = peer.read_to_end(&mut all);
        assert_eq!(all, b"");
        drop(peer);
        let told = server.stop();
        assert!(told.contains(report), "{limit}: {told}");
    }
}

#[test]
fn what_goes_wrong_is_told_by_default_once_a_second_for_all_workers() {
    let begun = std::time::Instant::now();
    let server = Serving::start(1, &["udp://127.0.0.1:0", "--max-message", "3", "--workers", "3"]);
    let address = server.endpoint().strip_prefix("udp://").unwrap();
    // Many clients, so that each worker has some.
    for _ in 0..100 {
        let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect(address).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        for message in [b"abcd".as_slice(), b"ab"] {
            client.send(message).unwrap();
        }
        let mut reply = [0; 4];
        assert_eq!((client.recv(&mut reply).unwrap(), &reply[..2]), (2, b"AB".as_slice()));
    }
    let told = format!("message dropped: 4 bytes, 3 allowed; max_message is the limit endpoint={}", server.endpoint());
    server.signal(Signal::SIGTERM);
    let (code, lines) = server.end();
    let seconds = begun.elapsed().as_secs() as usize;
    let count = lines.iter().filter(|line| line.contains(&told) && line.contains("WARN")).count();
    assert!((1..=seconds + 1).contains(&count), "{count} in {seconds} s: {lines:?}");
    assert_eq!((code, lines.len()), (Some(0), count + 1), "{lines:?}");
    assert!(lines[count].ends_with("100 messages, 0 cut at the deadline, 100 messages were dropped"), "{lines:?}");
}

#[test]
fn who_comes_too_much_is_refused() {
    let args = ["tcp://127.0.0.1:0", "--max-per-source", "2", "--refuse=enough"];
    let server = Serving::start(1, &args);
    let mut inside = [open_session(server.endpoint()), open_session(server.endpoint())];
    let mut said = String::new();
    dial(server.endpoint()).read_to_string(&mut said).unwrap();
    assert_eq!(said, "enough");
    inside[0].write_all(b"still here").unwrap();
    let mut answer = [0; 10];
    inside[0].read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"STILL HERE");
    drop(inside);
    let report = server.stop();
    assert!(report.contains("1 connection was refused"), "{report}");
}

#[test]
fn a_check_binds_tells_every_mistake_and_ends() {
    let directory = tempfile::tempdir().unwrap();
    let socket = format!("unix:{}/x.sock", directory.path().display());
    let said = crate::common::run(&["serve", &socket, "--check"], "");
    assert_eq!((said.code, said.text()), (Some(0), &*format!("ok {socket}\n")), "{said:?}");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);

    let server = Serving::start(1, &[&socket]);
    let said = crate::common::run(&["serve", &socket, "--check"], "");
    assert_eq!(said.code, Some(1), "{said:?}");
    let said =
        crate::common::run(&["serve", &socket, "tcp://127.0.0.1:0?ttl=0", "udp://127.0.0.1:0?gro=x", "--check"], "");
    assert_eq!((said.code, said.stderr.lines().count()), (Some(2), 3), "{said:?}");
    server.stop();
}

/// What peers say or are called is in the log, and cannot do anything there.
#[cfg(target_os = "linux")]
#[test]
fn nothing_that_a_peer_says_controls_the_log() {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    let name = format!("swapwire-log-{}", std::process::id());
    let args = [&format!("unix-dgram:@{name}"), "tcp://127.0.0.1:0", "--framing", "length", "--log", "trace"];
    let server = Serving::start(2, &args);
    let all: Vec<u8> = (0..=255).collect();
    for chunk in all.chunks(64) {
        let own = [name.as_bytes(), chunk].concat();
        let peer = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&own).unwrap()).unwrap();
        peer.connect_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        peer.send(chunk).unwrap();
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        peer.recv(&mut [0; 100]).unwrap();
        // A length that is no length, and what may be in its place.
        let mut stream = dial(&server.endpoints[1]);
        stream.write_all(&[&[0xff; 4], chunk].concat()).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    }
    server.signal(Signal::SIGTERM);
    let (code, lines) = server.end();
    assert_eq!(code, Some(0));
    assert!(lines.iter().any(|line| line.contains("bad frame")), "{lines:?}");
    let bad = |c: char| c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}');
    assert!(!lines.iter().any(|line| line.contains(bad)), "{lines:?}");
}

#[test]
fn by_default_it_listens_on_this_machine_alone() {
    let directory = tempfile::tempdir().unwrap();
    for port in [
        ("tcp", std::net::TcpListener::bind("127.0.0.1:8888").map(drop)),
        ("udp", std::net::UdpSocket::bind("127.0.0.1:8888").map(drop)),
    ] {
        if let (scheme, Err(error)) = port {
            eprintln!("SKIPPED: {scheme} port 8888 is not free here: {error}");
            return;
        }
    }
    let mut command = swapwire(&["serve"]);
    let server = Serving::spawn(3, command.env("XDG_RUNTIME_DIR", directory.path()));
    let socket = directory.path().join("swapwire.sock");
    let unix = format!("unix:{}", socket.display());
    assert_eq!(server.endpoints, ["tcp://127.0.0.1:8888", "udp://127.0.0.1:8888", &unix]);
    assert_eq!(socket.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    for endpoint in &server.endpoints {
        assert_eq!(connect(endpoint, "hello\n").text(), "HELLO\n", "{endpoint}");
    }
    server.stop();
    assert!(!socket.exists());

    // What the environment names may be no place for a socket.
    let deep = directory.path().join("d".repeat(100));
    std::fs::create_dir(&deep).unwrap();
    let here = format!("unix:{}", socket.display());
    for (usual, why) in [(deep, "the path is "), (directory.path().join("missing"), "does not exist")] {
        let mut command = swapwire(&["serve"]);
        command.env("XDG_RUNTIME_DIR", &usual).env("TMPDIR", directory.path());
        let server = Serving::spawn(3, &mut command);
        assert_eq!(server.endpoints[2], here);
        let said = next(&server.stderr);
        assert!(said.starts_with("swapwire: the socket is not at its usual place: bind unix:"), "{said}");
        assert!(said.contains(why), "{said}");
        // One that is there is the usual place: a second server does not go elsewhere.
        let second = finish(crate::common::start(
            swapwire(&["serve"])
                .env("XDG_RUNTIME_DIR", directory.path())
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped()),
        ));
        assert_eq!(second.code, Some(1));
        assert!(second.stderr.contains(&format!("bind {here}: another server is listening there")), "{second:?}");
        server.stop();
    }
}

/// Asks until there is an answer.
fn until_answered(endpoint: &str) {
    let begun = std::time::Instant::now();
    while connect(endpoint, "hello\n").code != Some(0) {
        assert!(begun.elapsed().as_secs() < 60, "{endpoint} cannot be reached");
    }
}

#[test]
fn a_socket_whose_file_goes_is_bound_again_and_told_once() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let places = [format!("unix:{}", at("s").display()), format!("unix-dgram:{}", at("d").display())];
    for (workers, handler) in [("1", "uppercase-echo"), ("3", "uppercase-echo"), ("3", "chat")] {
        let server = Serving::start(2, &[&places[0], &places[1], "--workers", workers, "--handler", handler]);
        let mut open = std::os::unix::net::UnixStream::connect(at("s")).unwrap();
        open.set_read_timeout(Some(PATIENCE)).unwrap();
        for name in ["s", "d"] {
            std::fs::remove_file(at(name)).unwrap();
        }
        if handler == "chat" {
            // It answers others alone.
            crate::common::bench::wait_until("the files", || at("s").exists() && at("d").exists());
        } else {
            places.iter().for_each(|place| until_answered(place));
            open.write_all(b"still here").unwrap();
            let mut answer = [0; 10];
            open.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"STILL HERE");
        }
        drop(open);
        server.signal(Signal::SIGTERM);
        let (code, stderr) = server.end();
        assert_eq!(code, Some(0), "{stderr:?}");
        for place in &places {
            let about =
                |line: &&String| line.contains("the path was bound again") && line.contains(&format!("={place}"));
            assert_eq!(stderr.iter().filter(about).count(), 1, "{place}: {stderr:?}");
        }
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}

#[test]
fn a_path_that_somebody_took_is_given_up_and_told_once() {
    use std::os::unix::net::UnixListener;
    for scheme in ["unix", "unix-dgram"] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let server = Serving::start(1, &[&format!("{scheme}:{}", path.display()), "--workers", "3"]);
        // It may bind again before somebody else does.
        let taker = loop {
            let _ = std::fs::remove_file(&path);
            if let Ok(taker) = UnixListener::bind(&path) {
                break taker;
            }
        };
        let told = loop {
            let line = next(&server.stderr);
            if line.contains("no longer served here") {
                break line;
            }
        };
        assert!(told.contains("ERROR") && told.contains("another server is listening there"), "{told}");
        assert!(!directory.path().join("s.lock").exists());
        server.signal(Signal::SIGTERM);
        let (code, stderr) = server.end();
        assert_eq!((code, stderr.len()), (Some(0), 1), "{stderr:?}");
        assert!(path.exists(), "it belongs to the other one");
        drop(taker);
    }
}

#[test]
fn a_group_of_the_socket_file_is_looked_up() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let at = |query: &str| format!("unix:{}?{query}", path.display());
    let group = nix::unistd::Group::from_gid(nix::unistd::getegid()).unwrap().unwrap();
    let server = Serving::start(1, &[&at(&format!("mode=660&group={}", group.name))]);
    assert_eq!(connect(server.endpoint(), "hello\n").text(), "HELLO\n");
    server.stop();
    for (query, why) in [
        ("mode=660&group=no-such-group", "option group=no-such-group: there is no such group; write the name of one"),
        ("group=0", "option group=0: the mode 600 does not allow the group to connect; add mode=660"),
    ] {
        let said = crate::common::run(&["serve", &at(query)], "");
        assert_eq!(said.code, Some(2));
        assert!(said.line().contains(why), "{said:?}");
    }
}

#[test]
fn a_closed_standard_output_and_error_do_not_stop_it() {
    let directory = tempfile::tempdir().unwrap();
    let endpoint = format!("unix:{}/x.sock", directory.path().display());
    let mut child = crate::common::start(
        swapwire(&["serve", &endpoint, "--log", "trace"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
    );
    drop((child.stdout.take(), child.stderr.take()));
    // Nobody tells when it listens; a client tries again until then.
    let begun = std::time::Instant::now();
    let said = loop {
        let said = connect(&endpoint, "hello\n");
        if said.code == Some(0) || begun.elapsed().as_secs() > 30 {
            break said;
        }
    };
    assert_eq!(said.text(), "HELLO\n");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(wait(&mut child).code(), Some(0));
}

#[test]
fn the_soft_limit_on_descriptors_is_raised() {
    use std::os::unix::process::CommandExt as _;
    let (_, hard) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
    if hard < 400 || !std::path::Path::new("/proc/self/limits").exists() {
        eprintln!("SKIPPED: needs /proc and a hard limit above 400 descriptors; it is {hard}");
        return;
    }
    let mut shell = std::process::Command::new("sh");
    shell.args([
        "-c",
        "ulimit -S -n 64; exec \"$0\" \"$@\"",
        env!("CARGO_BIN_EXE_swapwire"),
        "serve",
        "tcp://127.0.0.1:0",
    ]);
    let server = Serving::spawn(1, shell.arg0("sh"));
    let sessions: Vec<_> = (0..100).map(|_| open_session(server.endpoint())).collect();
    drop(sessions);
    server.stop();
}

/// A line of the log has colours when the environment asks for them, and help has.
#[cfg(target_os = "linux")]
#[test]
fn the_environment_decides_on_colours() {
    let place = format!("unix:@swapwire-colours-{}", std::process::id());
    let commands: [(&[&str], bool); 3] =
        [(&["serve", &place, "--check"], true), (&["--help"], false), (&["connect", "--help"], false)];
    for (args, on_stderr) in commands {
        let colored = |set: &[(&str, &str)]| {
            let mut command = swapwire(args);
            command.envs(set.iter().copied()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let said = finish(crate::common::start(&mut command));
            assert_eq!(said.code, Some(0), "{said:?}");
            let text = if on_stderr { said.stderr.as_bytes() } else { &said.stdout };
            text.contains(&0x1b)
        };
        assert!(!colored(&[]), "{args:?}");
        assert!(colored(&[("CLICOLOR_FORCE", "1")]), "{args:?}");
        assert!(!colored(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]), "{args:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_abstract_name_that_everybody_can_reach_is_warned_of() {
    let place = format!("unix:@swapwire-warned-{}", std::process::id());
    let said = crate::common::run(&["serve", &place, "--check"], "");
    assert_eq!((said.code, said.stderr.lines().count()), (Some(0), 1), "{said:?}");
    assert!(said.stderr.contains("every user of this host can connect"), "{said:?}");
    let said = crate::common::run(&["serve", &format!("{place}?allow_uid=self"), "--check"], "");
    assert_eq!((said.code, &*said.stderr), (Some(0), ""), "{said:?}");
}

#[test]
fn a_budget_of_memory_is_checked() {
    let said = crate::common::run(&["serve", "tcp://127.0.0.1:0", "--memory-budget", "1MiB", "--check"], "");
    assert_eq!((said.code, &*said.stderr), (Some(0), ""), "{said:?}");
    let said = crate::common::run(&["serve", "tcp://127.0.0.1:0", "--memory-budget", "1k", "--check"], "");
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.line().contains("memory_budget must be at least 1048576"), "{said:?}");
}
