//! `swapwire serve` when it is full.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use crate::common::{PATIENCE, Serving, run};

trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

fn dial(endpoint: &str) -> Box<dyn Stream> {
    match endpoint.split_once(':').unwrap() {
        ("unix", path) => {
            let stream = UnixStream::connect(path).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            Box::new(stream)
        }
        (_, place) => {
            let stream = TcpStream::connect(place.trim_start_matches("//")).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            Box::new(stream)
        }
    }
}

/// A server that is full says so on every stream wire, with whatever end of line it was told to.
#[test]
fn a_full_server_says_so_on_every_wire() {
    let dir = tempfile::tempdir().unwrap();
    for workers in ["1", "2"] {
        for endpoint in ["tcp://127.0.0.1:0".to_owned(), format!("unix:{}", dir.path().join("s").display())] {
            let how = ["--framing", "lines", "--max-connections", "1", "--refuse=full\n", "--workers", workers];
            let server = Serving::start(1, &[&[endpoint.as_str()], &how[..]].concat());
            let mut inside = dial(server.endpoint());
            inside.write_all(b"hello\n").unwrap();
            let mut reply = [0; 6];
            inside.read_exact(&mut reply).unwrap();
            for _ in 0..20 {
                let mut said = String::new();
                dial(server.endpoint()).read_to_string(&mut said).unwrap();
                assert_eq!(said, "full\n", "{endpoint}, {workers} workers");
            }
            drop(inside);
            server.stop();
        }
    }
    let said = run(&["serve", "tcp://127.0.0.1:0", "--framing", "fixed:3", "--refuse=full"], "");
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.line().contains("the text for connections that are refused: "), "{said:?}");
}
