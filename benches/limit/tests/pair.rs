//! The client against the server, and against worse ones.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, UdpSocket};
use std::thread;
use std::time::Duration;

use swapwire_limit::{How, Load, Server, Wire, run};

const LOAD: Load = Load { connections: 3, pipeline: 1, size: 64, duration: Duration::from_millis(100) };

/// Serves as long as the test's process lives.
fn server(wire: &Wire, how: How) -> Wire {
    let server = Server::bind(wire, how).unwrap();
    let local = server.local().clone();
    thread::spawn(move || server.run().unwrap());
    local
}

#[test]
fn every_loop_carries_every_load_on_every_wire() {
    let any = "127.0.0.1:0".parse().unwrap();
    for how in [How::Limit, How::Merge, How::Gro, How::Plain, How::Tokio] {
        let dir = tempfile::tempdir().unwrap();
        let mut served = 0;
        for (wire, longest) in [
            (Wire::Tcp(any), 200_000),
            (Wire::Udp(any), 8000),
            (Wire::Unix(dir.path().join("streams")), 200_000),
            (Wire::UnixDgram(dir.path().join("datagrams")), 8000),
            (Wire::UnixSeq(dir.path().join("messages")), 8000),
        ] {
            if !has(how, &wire) {
                let error = Server::bind(&wire, how).unwrap_err().to_string();
                assert!(error.contains("this wire has no loop"), "{error}");
                continue;
            }
            served += 1;
            let local = server(&wire, how);
            for (pipeline, size) in [(1, 16), (1, 64), (16, 64), (70, 17), (5, longest)] {
                let report = run(&local, Load { pipeline, size, ..LOAD }).unwrap();
                let what = format!("{how:?} {wire} {size} * {pipeline}: {report:?}");
                assert!(report.messages > 0 && report.p50_ns <= report.p99_ns, "{what}");
                assert!(report.cpu_s > 0.0 && report.elapsed_s >= 0.1, "{what}");
            }
        }
        assert!(served > 0, "{how:?} serves nothing");
    }
}

/// Whether that loop is for that wire.
fn has(how: How, wire: &Wire) -> bool {
    match how {
        How::Limit => true,
        How::Tokio => !matches!(wire, Wire::UnixSeq(_)),
        How::Plain => matches!(wire, Wire::Udp(_) | Wire::UnixDgram(_) | Wire::UnixSeq(_)),
        How::Merge | How::Gro => matches!(wire, Wire::Udp(_)),
    }
}

/// A frame with such a payload: a client's has a mask.
fn frame(first: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let masked = if mask.is_some() { 0x80 } else { 0 };
    let mut frame = match payload.len() {
        len @ 0..126 => vec![first, masked | len as u8],
        len @ 126..0x1_0000 => [&[first, masked | 126][..], &(len as u16).to_be_bytes()].concat(),
        len => [&[first, masked | 127][..], &(len as u64).to_be_bytes()].concat(),
    };
    frame.extend(mask.unwrap_or_default().iter().take(if mask.is_some() { 4 } else { 0 }));
    let mask = mask.unwrap_or_default().into_iter().cycle();
    frame.extend(payload.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
    frame
}

#[test]
fn a_websocket_echoes_frames_of_every_length_however_they_are_cut() {
    let Wire::Ws(at) = server(&Wire::Ws("127.0.0.1:0".parse().unwrap()), How::Limit) else { unreachable!() };
    // The example of RFC 6455, 1.3.
    let request = "GET /chat HTTP/1.1\r\nHost: a\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                  Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    let (mut sent, mut expected) = (request.as_bytes().to_vec(), answer.as_bytes().to_vec());
    let mask = Some([1, 0x82, 3, 0xfe]);
    for len in [0, 1, 7, 8, 125, 126, 0xffff, 0x1_0000, 300] {
        let payload: Vec<u8> = (0..len).map(|i| (i * 31) as u8).collect();
        sent.extend(frame(0x82, mask, &payload));
        expected.extend(frame(0x82, None, &payload.to_ascii_uppercase()));
        sent.extend([frame(0x81, mask, "grüß".as_bytes()), frame(0x89, mask, b"ping")].concat());
        expected.extend([frame(0x81, None, "GRüß".as_bytes()), frame(0x8a, None, b"ping")].concat());
    }
    for piece in [1009, 5, sent.len()] {
        let mut stream = std::net::TcpStream::connect(at).unwrap();
        stream.set_nodelay(true).unwrap();
        // It is answered before frames follow.
        stream.write_all(&sent[..request.len()]).unwrap();
        let mut replies = vec![0; answer.len()];
        stream.read_exact(&mut replies).unwrap();
        let mut reader = stream.try_clone().unwrap();
        let rest = vec![0; expected.len() - answer.len()];
        let reading = thread::spawn(move || {
            let mut rest = rest;
            reader.read_exact(&mut rest).unwrap();
            rest
        });
        sent[request.len()..].chunks(piece).for_each(|piece| stream.write_all(piece).unwrap());
        replies.extend(reading.join().unwrap());
        assert!(replies == expected, "in pieces of {piece}");
    }
    for wrong in [frame(0x82, None, b"no mask"), frame(0x02, mask, b"a fragment"), frame(0x81, mask, b"\xff")] {
        let mut stream = std::net::TcpStream::connect(at).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream.read_exact(&mut vec![0; answer.len()]).unwrap();
        stream.write_all(&wrong).unwrap();
        assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)), "{wrong:?}");
    }
}

#[test]
fn a_load_that_is_none_is_refused() {
    let nobody = Wire::Udp("127.0.0.1:9".parse().unwrap());
    for (load, problem) in [
        (Load { size: 15, ..LOAD }, "size 15: write at least 16"),
        (Load { pipeline: 0, ..LOAD }, "write at least 1"),
        (Load { connections: 0, ..LOAD }, "write at least 1"),
    ] {
        let error = run(&nobody, load).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
}

#[test]
fn one_wrong_byte_at_the_end_of_a_reply_is_found() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = Wire::Tcp(listener.local_addr().unwrap());
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let datagrams = Wire::Udp(socket.local_addr().unwrap());
    let spoil = |reply: &mut [u8; 64]| {
        reply.make_ascii_uppercase();
        reply[63] ^= 1;
    };
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reply = [0; 64];
        stream.read_exact(&mut reply).unwrap();
        spoil(&mut reply);
        stream.write_all(&reply).unwrap();
        let _ = stream.read(&mut reply); // open until the client goes
    });
    thread::spawn(move || {
        let mut reply = [0; 64];
        let (_, client) = socket.recv_from(&mut reply).unwrap();
        spoil(&mut reply);
        socket.send_to(&reply, client).unwrap();
    });
    for wire in [stream, datagrams] {
        let error = run(&wire, Load { connections: 1, ..LOAD }).unwrap_err().to_string();
        assert_eq!(error, "receive: a wrong reply", "{wire}");
    }
}

#[test]
fn a_server_that_closes_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let wire = Wire::Tcp(listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut [0; 64]).unwrap();
    });
    let error = run(&wire, Load { connections: 1, ..LOAD }).unwrap_err().to_string();
    assert_eq!(error, "receive: the server has closed the connection");
}

#[test]
fn lost_datagrams_are_sent_again_and_counted() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let wire = Wire::Udp(socket.local_addr().unwrap());
    thread::spawn(move || {
        let mut buffer = [0; 64];
        socket.recv_from(&mut buffer).unwrap(); // the first two are lost
        socket.recv_from(&mut buffer).unwrap();
        loop {
            let (len, client) = socket.recv_from(&mut buffer).unwrap();
            buffer[..len].make_ascii_uppercase();
            socket.send_to(&buffer[..len], client).unwrap();
        }
    });
    let duration = Duration::from_secs(1);
    let report = run(&wire, Load { connections: 1, pipeline: 2, duration, ..LOAD }).unwrap();
    assert_eq!(report.resent, 2, "{report:?}");
    assert!(report.messages > 2, "{report:?}");
}
