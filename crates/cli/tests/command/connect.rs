//! `swapwire connect` from a pipe, against our own server and against odd ones.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::sync::mpsc::sync_channel;
use std::thread;

use crate::common::{PATIENCE, Serving, connect, finish, lines, next, run, swapwire};

/// Endpoints of every kind that a client can reach, in a directory and abstract namespace of their own.
fn every_wire(directory: &std::path::Path) -> Vec<String> {
    let name = directory.file_name().unwrap().display();
    let directory = directory.display();
    let mut wires = vec![
        "tcp://127.0.0.1:0".to_owned(),
        "udp://127.0.0.1:0".to_owned(),
        format!("unix:{directory}/s.sock"),
        format!("unix-dgram:{directory}/d.sock"),
    ];
    if cfg!(target_os = "linux") {
        wires.push(format!("unix:@swapwire-cli-{name}"));
    }
    wires
}

#[test]
fn one_client_for_every_wire() {
    let directory = tempfile::tempdir().unwrap();
    let wires = every_wire(directory.path());
    let server = Serving::start(wires.len(), &wires.iter().map(String::as_str).collect::<Vec<_>>());
    for endpoint in &server.endpoints {
        let said = connect(endpoint, "hello\n");
        assert_eq!((said.code, said.text(), said.stderr.as_str()), (Some(0), "HELLO\n", ""), "{endpoint}");
        // An empty line is a message where that is something; the last line needs no ending.
        let said = connect(endpoint, "one\n\n\r\ntwo\r\n\nthree");
        let datagrams = endpoint.starts_with("udp:") || endpoint.starts_with("unix-dgram:");
        let replies = if datagrams { "ONE\n\n\nTWO\n\nTHREE\n" } else { "ONE\nTWO\nTHREE\n" };
        assert_eq!((said.code, said.text()), (Some(0), replies), "{endpoint}");
        let said = connect(endpoint, "");
        assert_eq!((said.code, said.text(), said.stderr.as_str()), (Some(0), "", ""), "{endpoint}");
    }
    server.stop();
}

/// An empty line is a message there, too, and the server sees an orderly end.
#[test]
fn a_websocket_is_closed_with_its_good_bye() {
    let server = Serving::start(2, &["ws://127.0.0.1:0/upper", "wss://127.0.0.1:0?self_signed=true"]);
    for endpoint in &server.endpoints {
        let said = connect(endpoint, "one\n\ntwo");
        assert_eq!((said.code, said.text(), said.stderr.as_str()), (Some(0), "ONE\n\nTWO\n", ""), "{endpoint}");
        let said = connect(endpoint, "");
        assert_eq!((said.code, said.text(), said.stderr.as_str()), (Some(0), "", ""), "{endpoint}");
    }
    let report = server.stop();
    assert!(report.ends_with(" s: 4 sessions, 6 messages, 0 cut at the deadline"), "{report}");
}

#[test]
fn a_large_pipe_gets_all_its_replies() {
    let directory = tempfile::tempdir().unwrap();
    let wires = every_wire(directory.path());
    let server = Serving::start(wires.len(), &wires.iter().map(String::as_str).collect::<Vec<_>>());
    let text: String = (0..20_000).map(|n| format!("line {n} of many\n")).collect();
    for endpoint in &server.endpoints {
        let said = connect(endpoint, text.as_str());
        assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{endpoint}");
        assert!(said.text() == text.to_uppercase(), "{endpoint}");
    }
    let long = "x".repeat(60_000) + "\n";
    for endpoint in &server.endpoints {
        let said = connect(endpoint, long.repeat(100));
        assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{endpoint}");
        assert!(said.text() == long.to_uppercase().repeat(100), "{endpoint}");
    }
    server.stop();
}

#[test]
fn framings_are_spoken_on_streams_and_ignored_elsewhere() {
    for framing in ["length", "length:2le", "length:3", "varint", "delimiter:\\0", "lines"] {
        let server = Serving::start(2, &["tcp://127.0.0.1:0", "udp://127.0.0.1:0", "--framing", framing]);
        for endpoint in &server.endpoints {
            let said = run(&["connect", endpoint, "--framing", framing], "a\nb\n");
            assert_eq!((said.code, said.text()), (Some(0), "A\nB\n"), "{framing} {endpoint}");
        }
    }
}

#[test]
fn chunks_pass_bytes_as_they_are() {
    let server = Serving::start(1, &["tcp://127.0.0.1:0", "--handler", "echo"]);
    let bytes: Vec<u8> = (0..60_000_u32).map(|n| ((n * n) >> 7) as u8).collect();
    let said = run(&["connect", server.endpoint(), "--framing", "chunks"], bytes.clone());
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""));
    assert!(said.stdout == bytes);
}

#[test]
fn servers_that_speak_first_are_heard() {
    let server = Serving::start(2, &["tcp://127.0.0.1:0", "udp://127.0.0.1:0", "--handler", "daytime"]);
    for (endpoint, input) in server.endpoints.iter().zip(["", "what time is it\n"]) {
        let said = connect(endpoint, input);
        assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{endpoint}");
        assert!(said.text().ends_with("-UTC\n") || said.text().ends_with("-UTC\r\n\n"), "{said:?}");
    }
    // The input does not end, and does not have to.
    let mut child = crate::common::start(
        swapwire(&["connect", server.endpoint()]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()),
    );
    let stdin = child.stdin.take();
    let said = finish(child);
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""));
    assert!(said.text().contains("-UTC\n"));
    drop(stdin);
}

#[test]
fn replies_are_printed_as_they_come() {
    let server = Serving::start(1, &["tcp://127.0.0.1:0"]);
    let mut child = crate::common::start(
        swapwire(&["connect", server.endpoint()]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()),
    );
    let (mut stdin, replies) = (child.stdin.take().unwrap(), lines(child.stdout.take().unwrap()));
    for text in ["one", "two"] {
        writeln!(stdin, "{text}").unwrap();
        assert_eq!(next(&replies), text.to_uppercase());
    }
    drop(stdin);
    assert_eq!(finish(child).code, Some(0));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let server = Serving::start(1, &["tcp://127.0.0.1:0", "--handler", "chargen"]);
    for _ in 0..20 {
        let mut child = crate::common::start(
            swapwire(&["connect", server.endpoint()])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped()),
        );
        // chargen speaks until the client has ended its sending.
        let stdin = child.stdin.take();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line.len(), 73);
        let said = finish(child);
        assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""));
        drop(stdin);
    }
}

const MISSING: &str =
    "; datagrams can be lost, and a server may withhold a long reply to a short message (its log says so)";

#[test]
fn nobody_at_the_other_end_of_a_datagram() {
    // The port is ours and nobody reads: datagrams vanish without a word.
    let deaf = UdpSocket::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("udp://{}", deaf.local_addr().unwrap());
    let said = run(&["connect", &endpoint, "--wait", "100ms"], "a\nb\n");
    assert_eq!((said.code, said.text()), (Some(1), ""));
    assert_eq!(said.line(), format!("swapwire: receive {endpoint}: 0 of 2 replies arrived{MISSING}"));
    // Only sending was asked for.
    let said = run(&["connect", &endpoint, "--wait", "0"], "a\nb\n");
    assert_eq!((said.code, said.text(), said.stderr.as_str()), (Some(0), "", ""));
    // Nobody has the port: the system may tell.
    drop(deaf);
    let said = run(&["connect", &endpoint, "--wait", "100ms"], "a\n");
    assert_eq!((said.code, said.text()), (Some(1), ""));
    let refused = format!("swapwire: receive {endpoint}: connection refused: no server is listening there");
    assert!(said.line() == refused || said.line().contains("0 of 1 replies"), "{said:?}");
}

#[test]
fn some_replies_are_missing() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("udp://{}", socket.local_addr().unwrap());
    let server = thread::spawn(move || {
        let mut buf = [0; 10];
        for n in 0..3 {
            let (len, peer) = socket.recv_from(&mut buf).unwrap();
            if n != 1 {
                socket.send_to(&buf[..len], peer).unwrap();
            }
        }
    });
    let said = run(&["connect", &endpoint, "--wait", "3s"], "a\nb\nc\n");
    assert_eq!((said.code, said.text()), (Some(1), "a\nc\n"));
    assert_eq!(said.line(), format!("swapwire: receive {endpoint}: 2 of 3 replies arrived{MISSING}"));
    server.join().unwrap();
}

#[test]
fn a_reply_that_is_cut_is_not_one_that_is_missing() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("udp://{}", socket.local_addr().unwrap());
    let answer = thread::spawn(move || {
        let (_, peer) = socket.recv_from(&mut [0; 10]).unwrap();
        socket.send_to(&[b'x'; 500], peer).unwrap();
        socket
    });
    let said = run(&["connect", &endpoint, "--max-message", "100"], "a\n");
    assert_eq!((said.code, said.text()), (Some(1), ""));
    let why = "a reply of 500 bytes is longer than --max-message 100; it was dropped";
    assert_eq!(said.line(), format!("swapwire: receive {endpoint}: {why}"));
    drop(answer.join().unwrap());

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("d");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    let answer = thread::spawn(move || {
        let (_, peer) = socket.recv_from(&mut [0; 10]).unwrap();
        socket.send_to_addr(&[b'x'; 70_000], &peer).unwrap();
    });
    let endpoint = format!("unix-dgram:{}", path.display());
    let said = connect(&endpoint, "a\n");
    assert_eq!((said.code, said.text()), (Some(1), ""));
    let why = "a reply was cut at 65536 bytes, the longest that is received; it was dropped";
    assert_eq!(said.line(), format!("swapwire: receive {endpoint}: {why}"));
    answer.join().unwrap();
}

#[test]
fn a_message_that_the_system_does_not_take_is_told_with_its_length_and_the_limit() {
    let directory = tempfile::tempdir().unwrap();
    let server = Serving::start(1, &[&format!("unix-dgram:{}", directory.path().join("d").display())]);
    let endpoint = format!("{}?send_buffer=4096", server.endpoint());
    let said = connect(&endpoint, format!("a\n{}\nb\n", "x".repeat(60_000)));
    assert_eq!((said.code, said.text()), (Some(1), "A\nB\n"));
    let line = said.line();
    let known = line.contains("a message of 60000 bytes is longer than the limit of ");
    assert!(known && line.starts_with("swapwire: send unix-dgram:"), "{line}");
}

#[test]
fn a_message_that_is_too_long_is_told_and_the_rest_goes_on() {
    let server = Serving::start(2, &["udp://127.0.0.1:0", "tcp://127.0.0.1:0"]);
    let input = format!("a\n{}\nb\n", "x".repeat(70_000));
    let said = connect(server.endpoint(), input.as_str());
    assert_eq!((said.code, said.text()), (Some(1), "A\nB\n"));
    let why = "a message of 70000 bytes is longer than the limit of 65507";
    assert_eq!(said.line(), format!("swapwire: send {}: {why}", server.endpoint()));
    let said = run(&["connect", &server.endpoints[1], "--max-message", "3"], "abc\nabcd\nab\n");
    assert_eq!((said.code, said.text()), (Some(1), "ABC\nAB\n"));
    said.line();
}

/// A peer at a datagram socket that echoes, and tells what it got.
fn echo_of_datagrams(count: usize) -> (String, thread::JoinHandle<Vec<Vec<u8>>>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("udp://{}", socket.local_addr().unwrap());
    let echo = move |_| {
        let mut buf = [0; 1000];
        let (len, peer) = socket.recv_from(&mut buf).unwrap();
        socket.send_to(&buf[..len], peer).unwrap();
        buf[..len].to_vec()
    };
    (endpoint, thread::spawn(move || (0..count).map(echo).collect()))
}

#[test]
fn a_file_is_one_datagram_and_its_reply_is_printed_as_it_is() {
    let sip = b"OPTIONS sip:a@127.0.0.1 SIP/2.0\r\nCall-ID: 1\r\n\r\n";
    let dns = b"\x0a\x0d\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x0a\x00\x00\x01";
    for message in [&sip[..], dns, b"\n", &[0xff; 900]] {
        let (endpoint, server) = echo_of_datagrams(1);
        let said = run(&["connect", &endpoint, "--framing", "chunks"], message);
        assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""));
        assert!(said.stdout == message, "{said:?}");
        assert_eq!(server.join().unwrap(), [message]);
    }
}

#[test]
fn a_file_that_is_no_datagram_is_told() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("udp://{}", socket.local_addr().unwrap());
    let said = run(&["connect", &endpoint, "--framing", "chunks", "--max-message", "1000"], [b'x'; 70_000]);
    assert_eq!((said.code, said.text()), (Some(1), ""));
    assert!(said.line().contains("70000 bytes") && said.line().contains("--max-message 1000"), "{said:?}");
    // No input is no message.
    let said = run(&["connect", &endpoint, "--framing", "chunks"], "");
    assert_eq!((said.code, said.text(), said.stderr.as_str()), (Some(0), "", ""));
    socket.set_nonblocking(true).unwrap();
    assert!(socket.recv(&mut [0; 1]).is_err());
}

#[test]
fn an_empty_line_is_an_empty_datagram() {
    let (endpoint, server) = echo_of_datagrams(2);
    let said = connect(&endpoint, "\n\r\n");
    assert_eq!((said.code, said.text(), said.stderr.as_str()), (Some(0), "\n\n", ""));
    assert_eq!(server.join().unwrap(), [b"", b""]);
}

/// A TCP server for one connection.
fn odd_server(serve: impl FnOnce(std::net::TcpStream) + Send + 'static) -> (String, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
    (endpoint, thread::spawn(move || serve(listener.accept().unwrap().0)))
}

#[test]
fn a_connection_that_breaks_is_one_line() {
    // Closing with unread input makes the system send a reset.
    let (endpoint, server) = odd_server(|stream| {
        stream.peek(&mut [0; 1]).unwrap();
    });
    let said = connect(&endpoint, "hello\n");
    assert_eq!((said.code, said.text()), (Some(1), ""));
    assert!(said.line().starts_with(&format!("swapwire: receive {endpoint}: ")), "{said:?}");
    server.join().unwrap();
}

#[test]
fn a_peer_that_ends_before_the_input_is_an_error() {
    let (endpoint, server) = odd_server(|mut stream| {
        stream.read_exact(&mut [0; 6]).unwrap();
        stream.write_all(b"bye\n").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        // Until the client leaves.
        let _ = stream.read(&mut [0; 1]);
    });
    let mut child = crate::common::start(
        swapwire(&["connect", &endpoint, "--wait", "100ms"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
    );
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"hello\n").unwrap();
    let said = finish(child);
    assert_eq!((said.code, said.text()), (Some(1), "bye\n"));
    assert_eq!(said.line(), format!("swapwire: send {endpoint}: the peer ended before the input did"));
    server.join().unwrap();
}

#[test]
fn a_peer_that_ends_without_a_reply_is_an_error() {
    for framing in ["lines", "chunks", "length"] {
        let (endpoint, server) = odd_server(|mut stream| {
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let said = run(&["connect", &endpoint, "--framing", framing], "hello\n");
        assert_eq!((said.code, said.text()), (Some(1), ""), "{framing}: {said:?}");
        let why = format!("swapwire: receive {endpoint}: the peer ended without a reply; ");
        assert!(said.line().starts_with(&why) && said.line().contains("--no-shutdown"), "{said:?}");
        server.join().unwrap();
    }
    // Nothing was said, or only saying was asked for.
    for (args, input) in [(&[][..], ""), (&["--wait", "0"], "hello\n")] {
        let (endpoint, server) = odd_server(|mut stream| {
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let said = run(&[&["connect", &endpoint], args].concat(), input);
        assert_eq!((said.code, said.text(), said.stderr.as_str()), (Some(0), "", ""), "{args:?}");
        server.join().unwrap();
    }
}

#[test]
fn the_sending_half_can_be_kept_open() {
    // A server that takes the end of the sending half for the end of the connection.
    let until_the_end = |mut stream: std::net::TcpStream| {
        let _ = stream.read_to_end(&mut Vec::new());
    };
    for framing in ["lines", "chunks"] {
        let (endpoint, server) = odd_server(until_the_end);
        let said = run(&["connect", &endpoint, "--framing", framing], "hello\n");
        assert_eq!((said.code, said.text()), (Some(1), ""));
        assert!(said.line().contains("the peer ended without a reply"), "{said:?}");
        server.join().unwrap();
        // It sees no end, and does not end: the wait is over.
        let (endpoint, server) = odd_server(until_the_end);
        let said = run(&["connect", &endpoint, "--framing", framing, "--no-shutdown", "--wait", "100ms"], "hello\n");
        assert_eq!((said.code, said.text()), (Some(1), ""));
        assert_eq!(said.line(), format!("swapwire: receive {endpoint}: no reply arrived within 100ms"));
        server.join().unwrap();
        let (endpoint, server) = odd_server(|mut stream| {
            stream.read_exact(&mut [0; 6]).unwrap();
            stream.write_all(b"HELLO\n").unwrap();
        });
        let said = run(&["connect", &endpoint, "--framing", framing, "--no-shutdown"], "hello\n");
        assert_eq!((said.code, said.text(), said.stderr.as_str()), (Some(0), "HELLO\n", ""));
        server.join().unwrap();
    }
}

#[test]
fn a_peer_that_never_ends_is_left_after_the_wait() {
    let (leave, left) = sync_channel::<()>(0);
    let (endpoint, server) = odd_server(move |mut stream| {
        stream.write_all(b"moment\n").unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"hello\n");
        // Its own half stays open until the client is gone.
        let _ = left.recv_timeout(PATIENCE);
    });
    let said = run(&["connect", &endpoint, "--wait", "3s"], "hello\n");
    assert_eq!((said.code, said.text()), (Some(0), "moment\n"));
    assert_eq!(said.line(), format!("swapwire: receive {endpoint}: the peer did not end within 3s"));
    drop(leave);
    server.join().unwrap();
}

#[test]
fn a_pipe_gets_the_peers_bytes_as_they_are() {
    let server = Serving::start(2, &["tcp://127.0.0.1:0", "udp://127.0.0.1:0", "--handler", "echo"]);
    let bytes: Vec<u8> = (0..=255).filter(|byte| *byte != b'\n').chain([b'\n']).collect();
    for endpoint in &server.endpoints {
        assert_eq!(connect(endpoint, bytes.clone()).stdout, bytes, "{endpoint}");
    }
}

/// A file with such a mode.
fn file(directory: &std::path::Path, text: &str, mode: u32) -> String {
    let path = directory.join(format!("headers-{mode:o}"));
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path.display().to_string()
}

#[test]
fn a_websocket_is_asked_for_with_headers_of_flags_and_of_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("ws://{}", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
        let head: Vec<_> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
        (&stream).write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno\n").unwrap();
        head
    });
    let secret = file(directory.path(), "Authorization: Bearer x\n\nX-Two:2\n", 0o640);
    let said = run(&["connect", &endpoint, "--ws-header", "X-One: 1: 1", "--ws-header-file", &secret], "");
    assert!(said.code != Some(0) && said.line().contains("403 Forbidden"), "{said:?}");
    let head = server.join().unwrap();
    for line in ["X-One: 1: 1", "Authorization: Bearer x", "X-Two: 2"] {
        assert!(head.iter().any(|header| header == line), "{line} is none of {head:?}");
    }
}

#[test]
fn headers_that_cannot_be_sent_are_told_before_anything_is_connected() {
    let directory = tempfile::tempdir().unwrap();
    let open = file(directory.path(), "Authorization: Bearer x\n", 0o644);
    let no_header = file(directory.path(), "X-One: 1\n\nbad\n", 0o600);
    let readable = format!("--ws-header-file {open}: every user can read it (mode 644): chmod 640 {open}");
    let third = format!("--ws-header-file {no_header}: line 3: write NAME: VALUE");
    for (endpoint, flag, value, problem) in [
        ("ws://127.0.0.1:1", "--ws-header-file", &*open, &*readable),
        ("ws://127.0.0.1:1", "--ws-header-file", &no_header, &third),
        ("ws://127.0.0.1:1", "--ws-header-file", "/nowhere", "--ws-header-file /nowhere: No such file"),
        ("ws://127.0.0.1:1", "--ws-header", "bad", "--ws-header: write NAME: VALUE"),
        ("ws://127.0.0.1:1", "--ws-header", "Host: x", "--ws-header: "),
        ("ws://127.0.0.1:1", "--ws-header", "A: b\nC: d", "--ws-header: "),
        ("tcp://127.0.0.1:1", "--ws-header", "A: b", "--ws-header: only a WebSocket has headers"),
    ] {
        for command in ["connect", "bench"] {
            let said = run(&[command, endpoint, flag, value], "");
            assert_eq!(said.code, Some(2), "{command} {flag} {value}: {said:?}");
            assert!(said.line().starts_with(&format!("swapwire: {problem}")), "{command} {flag} {value}: {said:?}");
        }
    }
}
