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
        How::Limit | How::Tokio => true,
        How::Plain => matches!(wire, Wire::Udp(_) | Wire::UnixDgram(_)),
        How::Merge | How::Gro => matches!(wire, Wire::Udp(_)),
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
