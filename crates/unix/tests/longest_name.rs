//! Clients of another process, whose name fills `sun_path` to its last byte. In a file of their own: a process that starts has
//! copies of all descriptors for a moment, and other tests look at what happens when the last one is closed.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{accept, endpoint, listen, receive, socket};
use swapwire_core::{Addr, ErrorClass, Link, SendBatch, UnixAddr};
use swapwire_unix::MAX_MESSAGE;
use tokio::io::AsyncReadExt as _;

/// Binds a socket of another process to a path of `dir` that fills `sun_path` to its last byte, without the terminating
/// NUL, which `unix(7)` allows; connects it to `server` and sends `hello`. Gives the path, or `None` without perl, the one
/// common tool that can do this.
fn hello_from_the_longest_name(dir: &Path, server: &Path, kind: &str) -> Option<PathBuf> {
    const SCRIPT: &str = "my ($from, $to, $kind) = @ARGV; \
        socket(my $s, AF_UNIX, $kind eq 'stream' ? SOCK_STREAM : SOCK_DGRAM, 0) or die; \
        bind($s, pack_sockaddr_un($from)) or die $!; \
        connect($s, pack_sockaddr_un($to)) or die $!; \
        syswrite($s, 'hello') == 5 or die $!;";
    let path = dir.join("x".repeat(108 - dir.as_os_str().len() - 1));
    let status = Command::new("perl").args(["-MSocket", "-e", SCRIPT]).args([&path, server]).arg(kind).status();
    let Ok(status) = status else {
        eprintln!("skipped: there is no perl");
        return None;
    };
    assert!(status.success());
    assert!(path.exists());
    Some(path)
}

fn unix(path: &Path) -> Addr {
    Addr::Unix(UnixAddr::from_path(path).unwrap())
}

#[tokio::test]
async fn a_client_with_the_longest_name_of_all_is_a_client() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let mut listener = listen(&endpoint("unix", &path)).await;
    let Some(name) = hello_from_the_longest_name(dir.path(), &path, "stream") else { return };
    let Link::Bytes { mut io, info } = accept(&mut listener).await else { panic!("no bytes") };
    assert_eq!(info.peer.addr(), &unix(&name));
    let mut got = Vec::new();
    io.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, b"hello");
}

#[tokio::test]
async fn a_sender_with_the_longest_name_of_all_does_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let mut server = socket(&endpoint("unix-dgram", &path)).await;
    let Some(name) = hello_from_the_longest_name(dir.path(), &path, "datagram") else { return };
    let (meta, bytes) = receive(&mut server, 1, MAX_MESSAGE + 1).await.remove(0);
    assert_eq!((meta.peer, bytes.as_slice()), (Some(unix(&name)), b"hello".as_slice()));
    let mut batch = SendBatch::new();
    batch.push(b"", unix(&name), None);
    let error = poll_fn(|cx| server.poll_send(cx, &batch, 0)).await.unwrap_err();
    assert_eq!(server.classify(&error), ErrorClass::PeerNoise);
}
