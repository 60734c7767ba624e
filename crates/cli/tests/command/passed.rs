//! `swapwire serve` on sockets that were passed to it.

#![cfg(all(target_os = "linux", feature = "systemd"))]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::process::{Command, Stdio};

use crate::common::{PATIENCE, Running, Said, Serving, connect, finish, start, swapwire, until_dialled};

/// `swapwire serve` with these arguments, which `script` runs in a shell whose standard input is `descriptor`.
fn shell(descriptor: impl Into<OwnedFd>, script: &str, args: &[&str]) -> Command {
    let served = swapwire(args);
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).arg(served.get_program()).arg("serve").args(args);
    for (name, _) in served.get_envs() {
        shell.env_remove(name);
    }
    shell.stdin(descriptor.into()).stdout(Stdio::piped()).stderr(Stdio::piped());
    shell
}

/// It is descriptor 3.
const AS_3: &str = "exec 3<&0 0</dev/null; exec \"$0\" \"$@\"";

/// It is passed as a service manager passes two, of the names `web` and `dns`.
const AS_TWO: &str =
    "exec 3<&0 4<&0 0</dev/null; export LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=web:dns; exec \"$0\" \"$@\"";

fn said(descriptor: impl Into<OwnedFd>, script: &str, args: &[&str]) -> Said {
    finish(start(&mut shell(descriptor, script, args)))
}

fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
    (listener, endpoint)
}

#[test]
fn a_stream_by_number_is_served_and_never_shut_down() {
    let (listener, endpoint) = listener();
    for workers in ["1", "2"] {
        let mut served = shell(listener.try_clone().unwrap(), AS_3, &["fd:3", "--workers", workers]);
        let server = Serving::watch(1, start(&mut served));
        assert_eq!(server.endpoint(), endpoint);
        assert_eq!(connect(&endpoint, "hello\n").text(), "HELLO\n");
        assert!(server.stop().contains(" 1 session"));
    }
    // It still listens, and takes who comes.
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.write_all(b"x").unwrap();
    listener.accept().unwrap().0.read_exact(&mut [0]).unwrap();
}

#[test]
fn a_socket_file_stays_where_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let server = Serving::watch(1, start(&mut shell(listener.try_clone().unwrap(), AS_3, &["fd:3"])));
    assert_eq!(server.endpoint(), format!("unix:{}", path.display()));
    assert_eq!(connect(server.endpoint(), "hello\n").text(), "HELLO\n");
    server.stop();
    assert!(std::fs::metadata(&path).unwrap().file_type().is_socket());
    let files = std::fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(files, 1, "a lock is there");
    UnixStream::connect(&path).unwrap();
}

#[test]
fn datagrams_by_number_are_answered() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("udp://{}", socket.local_addr().unwrap());
    let server = Serving::watch(1, start(&mut shell(socket, AS_3, &["fd:3", "--workers", "2"])));
    assert_eq!(server.endpoint(), endpoint);
    assert_eq!(connect(&endpoint, "hello\n").text(), "HELLO\n");
    server.stop();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let server = Serving::watch(1, start(&mut shell(UnixDatagram::bind(&path).unwrap(), AS_3, &["fd:3"])));
    assert_eq!(server.endpoint(), format!("unix-dgram:{}", path.display()));
    assert_eq!(connect(server.endpoint(), "hello\n").text(), "HELLO\n");
    server.stop();
}

#[cfg(feature = "ws")]
#[test]
fn layers_stand_on_a_passed_stream_and_not_on_datagrams() {
    let (listener, endpoint) = listener();
    let server = Serving::watch(1, start(&mut shell(listener, AS_3, &["ws+fd:3?path=/chat"])));
    assert_eq!(server.endpoint(), format!("ws+{endpoint}/chat"));
    assert_eq!(connect(server.endpoint(), "hello\n").text(), "HELLO\n");
    server.stop();
    let said = said(UdpSocket::bind("127.0.0.1:0").unwrap(), AS_3, &["ws+fd:3"]);
    let reason = "scheme \"ws+fd\": ws needs a byte stream, and udp gives a datagram wire";
    assert_eq!((said.code, said.line()), (Some(2), &*format!("swapwire: bind ws+fd:3: {reason}")));
}

#[test]
fn sockets_by_name_are_served_once_each() {
    let (listener, endpoint) = listener();
    let server = Serving::watch(2, start(&mut shell(listener, AS_TWO, &["systemd:web", "fd:4"])));
    // Both are the same one here.
    assert_eq!(server.endpoints, [&*endpoint, &*endpoint]);
    assert_eq!(connect(&endpoint, "hello\n").text(), "HELLO\n");
    server.stop();
    let server = Serving::watch(1, start(&mut shell(self::listener().0, AS_TWO, &["systemd:web"])));
    server.says("swapwire: descriptor 4 (\"dns\") is not served; write systemd:dns");
    server.stop();
    for (args, code, reason) in [
        (&["systemd:wbe"][..], 2, "systemd:wbe: no socket was passed under the name \"wbe\"; known: dns, web"),
        (&["systemd:web", "fd:3"], 1, "fd:3: descriptor 3 (\"web\") is served already, and is served once"),
        (&["fd:5"], 2, "fd:5: descriptor 5 was not passed to this process; start it with a socket there"),
        (&["fd:999"], 2, "fd:999: descriptor 999 is not open; start this process with a socket there"),
        (&["fd:2"], 2, "fd:2: \"2\" is not the number of a passed socket; write fd:3 or a higher one"),
        (
            &["fd:3?backlog=9"],
            2,
            "fd:3?backlog=9: option backlog=9: the program that opened the socket has set this; leave the option out",
        ),
    ] {
        let said = said(self::listener().0, AS_TWO, args);
        assert_eq!((said.code, said.line()), (Some(code), &*format!("swapwire: bind {reason}")));
    }
}

#[test]
fn what_was_passed_to_nobody_or_to_another_process_is_told() {
    let said = said(listener().0, AS_3, &["systemd:web"]);
    let reason = "no sockets were passed: LISTEN_FDS is not set; start the program by a socket unit, or by systemd-socket-activate";
    assert_eq!((said.code, said.line()), (Some(2), &*format!("swapwire: bind systemd:web: {reason}")));
    let script = "exec 3<&0 0</dev/null; export LISTEN_PID=1 LISTEN_FDS=1; exec \"$0\" \"$@\"";
    let said = self::said(listener().0, script, &["systemd:web"]);
    let begin =
        "swapwire: bind systemd:web: the sockets were passed to another process: LISTEN_PID is \"1\", and this is ";
    assert!(said.code == Some(2) && said.line().starts_with(begin), "{said:?}");
}

#[test]
fn a_descriptor_that_cannot_be_served_is_called_by_what_it_is() {
    let (listener, _) = listener();
    let addr = listener.local_addr().unwrap();
    let client = TcpStream::connect(addr).unwrap();
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    datagrams.connect(addr).unwrap();
    let connection = "is a connection; a server needs the socket that listens: Accept=no in a socket unit";
    let wrong: [(OwnedFd, &str); 6] = [
        (tempfile::tempfile().unwrap().into(), "is a file, and not a socket"),
        (std::io::pipe().unwrap().0.into(), "is a pipe, and not a socket"),
        (client.into(), connection),
        (listener.accept().unwrap().0.into(), connection),
        (UnixStream::pair().unwrap().0.into(), connection),
        (datagrams.into(), "is connected, so it hears one peer alone; a server needs one that is bound only"),
    ];
    for (descriptor, reason) in wrong {
        let said = said(descriptor, AS_3, &["fd:3", "--check"]);
        assert_eq!((said.code, said.line()), (Some(2), &*format!("swapwire: bind fd:3: descriptor 3 {reason}")));
    }
}

/// Starts `swapwire serve` by systemd's program, which waits for the first client.
fn activate(flags: &[&str], places: &[&str], names: &str, args: &[&str]) -> Option<Running> {
    let served = swapwire(args);
    let mut command = Command::new("systemd-socket-activate");
    command.args(flags).args(places.iter().flat_map(|place| ["-l", place])).arg(format!("--fdname={names}"));
    command.arg(served.get_program()).arg("serve").args(args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    match Running::start(&mut command) {
        Ok(running) => Some(running),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // Past the capture of a passing test.
            let _ = writeln!(std::io::stderr(), "skipped: socket activation, systemd-socket-activate is not installed");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn systemd_activates_a_stream_and_a_named_pair() {
    let directory = tempfile::tempdir().unwrap();
    let [one, other] = ["one", "other"].map(|name| directory.path().join(name).display().to_string());
    let Some(running) = activate(&[], &[&one, &other], "web:admin", &["systemd:web", "systemd:admin"]) else { return };
    let mut client = until_dialled(|| UnixStream::connect(&other));
    client.write_all(b"hello\n").unwrap();
    let server = Serving::watch(2, running);
    assert_eq!(server.endpoints, [format!("unix:{one}"), format!("unix:{other}")]);
    // Who woke it is answered, though it came before there was a server.
    let mut answer = [0; 6];
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HELLO\n");
    assert_eq!(connect(&server.endpoints[0], "hello\n").text(), "HELLO\n");
    drop(client);
    server.stop();
}

#[test]
fn systemd_activates_datagrams_and_messages() {
    let directory = tempfile::tempdir().unwrap();
    let [place, own] = ["server", "client"].map(|name| directory.path().join(name).display().to_string());
    let Some(running) = activate(&["--datagram"], &[&place], "dns", &["systemd:dns"]) else { return };
    let client = UnixDatagram::bind(own).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    until_dialled(|| client.send_to(b"hello", &place));
    let server = Serving::watch(1, running);
    assert_eq!(server.endpoint(), format!("unix-dgram:{place}"));
    let mut answer = [0; 9];
    let len = client.recv(&mut answer).unwrap();
    assert_eq!(&answer[..len], b"HELLO");
    server.stop();

    let place = directory.path().join("seq").display().to_string();
    let Some(running) = activate(&["--seqpacket"], &[&place], "seq", &["systemd:seq"]) else { return };
    let endpoint = format!("unix-seq:{place}");
    let said = until_dialled(|| match connect(&endpoint, "hello\n") {
        Said { code: Some(0), stdout, .. } => Ok(stdout),
        said => Err(std::io::Error::other(format!("{said:?}"))),
    });
    assert_eq!(said, b"HELLO\n");
    let server = Serving::watch(1, running);
    assert_eq!(server.endpoint(), endpoint);
    server.stop();
}
