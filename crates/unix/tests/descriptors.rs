//! Descriptors that a peer sends (`unix(7)`, `SCM_RIGHTS`) do not stay open: nobody asks for any.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;
#[path = "common/rights.rs"]
mod rights;

use std::future::poll_fn;
use std::io::PipeReader;
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;

use bytes::BytesMut;
use common::{accept, connect, endpoint, listen, socket};
use rights::{are_closed, send, sender};
use swapwire_core::{ByteStream, Link, RecvBatch};
use swapwire_unix::MAX_MESSAGE;
use tokio::io::AsyncReadExt as _;

/// What the system tells: on systems with `recvmmsg(2)`, that there were descriptors.
const TOLD: bool = cfg!(all(any(target_os = "linux", target_os = "android"), not(swapwire_plain)));
/// As many as one message can carry (`SCM_MAX_FD`), and fewer.
const COUNTS: [usize; 3] = [1, 50, 253];

fn bytes(link: Link) -> Box<dyn ByteStream> {
    match link {
        Link::Bytes { io, .. } => io,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_datagram_socket_takes_none_and_counts_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let mut server = socket(&endpoint("unix-dgram", &path)).await;
    // Slots that hold the message, and such that cut it off.
    for size in [MAX_MESSAGE + 1, 3] {
        for name in [None, Some(dir.path().join(format!("c{size}")))] {
            let peer = sender(name.as_deref());
            let pipes: Vec<_> = COUNTS.iter().map(|count| send(&peer, b"hello", Some(&path), *count)).collect();
            UnixDatagram::unbound().unwrap().send_to(b"plain", &path).unwrap();
            assert!(!pipes.iter().any(are_closed), "they are under way");
            let mut batch = RecvBatch::new(8, size);
            poll_fn(|cx| server.poll_recv(cx, &mut batch)).await.unwrap();
            assert_eq!((batch.len(), batch.with_descriptors()), (4, if TOLD { 3 } else { 0 }));
            let cut = size < 5;
            let whole = |message: &[u8]| message == &b"hello"[..5.min(size)] || message == &b"plain"[..5.min(size)];
            assert!(batch.iter().all(|(meta, message)| meta.truncated == cut && whole(message)));
            assert!(pipes.iter().all(are_closed), "slots of {size}");
            batch.clear();
            assert_eq!(batch.with_descriptors(), 0);
        }
    }
}

#[tokio::test]
async fn a_client_of_datagrams_takes_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let server = UnixDatagram::bind(&path).unwrap();
    let Link::Messages { mut io, .. } = connect(&endpoint("unix-dgram", &path)).await.unwrap() else { panic!() };
    poll_fn(|cx| io.poll_send(cx, b"ask")).await.unwrap();
    let (_, to) = server.recv_from(&mut [0; 3]).unwrap();
    server.connect_addr(&to).unwrap();
    let reply = |count: &usize| send(&server, b"reply", None, *count);

    let one_by_one: Vec<_> = COUNTS.iter().map(reply).collect();
    for pipe in one_by_one {
        let mut into = BytesMut::new();
        poll_fn(|cx| io.poll_recv(cx, &mut into)).await.unwrap();
        assert_eq!(into, b"reply".as_slice());
        assert!(are_closed(&pipe));
    }
    for size in [MAX_MESSAGE + 1, 3] {
        for at_once in [1, COUNTS.len()] {
            for counts in COUNTS.chunks(at_once) {
                let pipes: Vec<_> = counts.iter().map(reply).collect();
                let mut batch = RecvBatch::new(8, size);
                batch.expect(at_once);
                poll_fn(|cx| io.poll_recv_batch(cx, &mut batch)).await.unwrap();
                assert_eq!(batch.len(), at_once);
                assert!(pipes.iter().all(are_closed), "slots of {size}");
            }
        }
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_wire_of_messages_takes_none_at_either_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut listener = listen(&endpoint("unix-seq", &dir.path().join("s"))).await;
    let peer = seqpacket();
    nix::sys::socket::connect(peer.as_raw_fd(), &nix::sys::socket::UnixAddr::new(&dir.path().join("s")).unwrap())
        .unwrap();
    let Link::Messages { mut io, .. } = accept(&mut listener).await else { panic!() };
    all_messages(&mut io, &peer).await;

    let at = seqpacket();
    nix::sys::socket::bind(at.as_raw_fd(), &nix::sys::socket::UnixAddr::new(&dir.path().join("t")).unwrap()).unwrap();
    nix::sys::socket::listen(&at, nix::sys::socket::Backlog::new(1).unwrap()).unwrap();
    let Link::Messages { mut io, .. } = connect(&endpoint("unix-seq", &dir.path().join("t"))).await.unwrap() else {
        panic!()
    };
    let peer = UnixListener::from(at).accept().unwrap().0;
    all_messages(&mut io, &peer).await;
}

#[cfg(target_os = "linux")]
fn seqpacket() -> std::os::fd::OwnedFd {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
    socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap()
}

#[cfg(target_os = "linux")]
async fn all_messages(io: &mut Box<dyn swapwire_core::MessageStream>, peer: &impl AsRawFd) {
    for message in [b"hello".as_slice(), b""] {
        for count in COUNTS {
            let pipe = send(peer, message, None, count);
            assert!(!are_closed(&pipe), "they are under way");
            let mut into = BytesMut::new();
            assert_eq!(poll_fn(|cx| io.poll_recv(cx, &mut into)).await.unwrap(), Some(message.len()));
            assert!(are_closed(&pipe));
        }
        let pipes: Vec<_> = COUNTS.iter().map(|count| send(peer, message, None, *count)).collect();
        let mut batch = RecvBatch::new(8, 5);
        assert_eq!(poll_fn(|cx| io.poll_recv_batch(cx, &mut batch)).await.unwrap(), Some(COUNTS.len()));
        assert!(batch.iter().all(|(_, got)| got == message) && pipes.iter().all(are_closed));
    }
}

/// A read is cut off behind a message that has descriptors, so what is read is compared as a whole.
async fn read(io: &mut Box<dyn ByteStream>, pipes: &[PipeReader], whole: &[u8]) {
    let mut got = vec![0; whole.len()];
    io.read_exact(&mut got).await.unwrap();
    assert_eq!(got, whole);
    assert!(pipes.iter().all(are_closed));
}

#[tokio::test]
async fn a_stream_takes_none_at_either_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let mut listener = listen(&endpoint("unix", &path)).await;
    let peer = UnixStream::connect(&path).unwrap();
    let mut io = bytes(accept(&mut listener).await);
    drop(listener);
    all_of_it(&mut io, &peer).await;

    let listener = UnixListener::bind(Path::new(&dir.path().join("t"))).unwrap();
    let mut io = bytes(connect(&endpoint("unix", &dir.path().join("t"))).await.unwrap());
    let (peer, _) = listener.accept().unwrap();
    all_of_it(&mut io, &peer).await;
}

async fn all_of_it(io: &mut Box<dyn ByteStream>, peer: &UnixStream) {
    for count in COUNTS {
        let pipe = send(peer, b"hello", None, count);
        assert!(!are_closed(&pipe), "they are under way");
        read(io, &[pipe], b"hello").await;
    }
    // A read that takes only a part of the message that they came with.
    let pipe = send(peer, b"hello", None, 1);
    read(io, &[], b"h").await;
    read(io, &[pipe], b"ello").await;
    // They are closed with the first byte that is read, not with the last.
    let pipe = send(peer, b"hello", None, 9);
    io.read_u8().await.unwrap();
    assert!(are_closed(&pipe));
}
