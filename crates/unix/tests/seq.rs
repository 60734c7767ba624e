//! Messages over a connection: `unix-seq`, and foreign sockets of the kind seqpacket at the other end.

#![cfg(any(target_os = "linux", target_os = "android"))]
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::future::poll_fn;
use std::io::ErrorKind;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;
use std::pin::pin;

use bytes::BytesMut;
use common::{accept, connect, endpoint, listen, once};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, recv, send, setsockopt, shutdown, socket, sockopt,
};
use swapwire_core::{Addr, ConnInfo, Credentials, Link, MessageStream, RecvBatch, RecvError, SendBatch, SendError};

/// What Linux keeps of the send buffer.
const RESERVED: usize = 32;

type Wire = Box<dyn MessageStream>;

fn messages(link: Link) -> (Wire, ConnInfo) {
    match link {
        Link::Messages { io, info } => (io, info),
        other => panic!("{other:?}"),
    }
}

/// Both ends, with options of either.
async fn pair(path: &Path, options: &[(&str, &str)]) -> (Wire, Wire) {
    let with = |place| {
        options.iter().fold(place, |place: swapwire_core::Endpoint, (name, value)| place.with_option(name, value))
    };
    let mut listener = listen(&with(endpoint("unix-seq", path))).await;
    let client = messages(connect(&with(listener.local())).await.unwrap()).0;
    (client, messages(accept(&mut listener).await).0)
}

/// A server's end, and a foreign client with default options.
async fn foreign(path: &Path) -> (Wire, OwnedFd) {
    let mut listener = listen(&endpoint("unix-seq", path)).await;
    let client = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
    nix::sys::socket::connect(client.as_raw_fd(), &UnixAddr::new(path).unwrap()).unwrap();
    (messages(accept(&mut listener).await).0, client)
}

fn say(client: &OwnedFd, message: &[u8]) {
    assert_eq!(send(client.as_raw_fd(), message, MsgFlags::empty()), Ok(message.len()));
}

async fn next(wire: &mut Wire) -> Result<Option<Vec<u8>>, RecvError> {
    let mut into = BytesMut::new();
    let len = poll_fn(|cx| wire.poll_recv(cx, &mut into)).await?;
    assert_eq!(into.len(), len.unwrap_or(0));
    Ok(len.map(|_| into.to_vec()))
}

async fn put(wire: &mut Wire, message: &[u8]) -> Result<(), SendError> {
    poll_fn(|cx| wire.poll_send(cx, message)).await
}

async fn batch(wire: &mut Wire, batch: &mut RecvBatch) -> Result<Option<usize>, RecvError> {
    poll_fn(|cx| wire.poll_recv_batch(cx, batch)).await
}

fn to_send<'a>(messages: impl IntoIterator<Item = &'a [u8]>) -> SendBatch {
    let (mut batch, to) = (SendBatch::new(), Addr::named("unix", "peer").unwrap());
    messages.into_iter().for_each(|message| batch.push(message, to, None));
    batch
}

#[tokio::test]
async fn an_empty_message_is_none_of_the_end() {
    let dir = tempfile::tempdir().unwrap();
    for together in [false, true] {
        let (mut wire, client) = foreign(&dir.path().join(together.to_string())).await;
        for message in [b"".as_slice(), b"a", b"", b""] {
            say(&client, message);
        }
        shutdown(client.as_raw_fd(), nix::sys::socket::Shutdown::Write).unwrap();
        let expected: [&[u8]; 4] = [b"", b"a", b"", b""];
        if together {
            let mut received = RecvBatch::new(64, 8);
            assert_eq!(batch(&mut wire, &mut received).await.unwrap(), Some(4));
            assert!(received.iter().map(|(_, message)| message).eq(expected));
            assert_eq!(batch(&mut wire, &mut received).await.unwrap(), None);
            assert_eq!(received.len(), 4);
        } else {
            for message in expected {
                assert_eq!(next(&mut wire).await.unwrap().as_deref(), Some(message));
            }
        }
        // It stays, and the other direction goes on.
        for _ in 0..2 {
            assert_eq!(next(&mut wire).await.unwrap(), None);
        }
        put(&mut wire, b"still").await.unwrap();
        put(&mut wire, b"").await.unwrap();
        let mut got = [0; 8];
        assert_eq!(recv(client.as_raw_fd(), &mut got, MsgFlags::empty()), Ok(5));
        assert_eq!(recv(client.as_raw_fd(), &mut got, MsgFlags::empty()), Ok(0));
    }
}

#[tokio::test]
async fn the_largest_message_follows_the_send_buffer() {
    let dir = tempfile::tempdir().unwrap();
    let (usual, _) = pair(&dir.path().join("usual"), &[]).await;
    let fresh = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
    let default = nix::sys::socket::getsockopt(&fresh, sockopt::SndBuf).unwrap();
    assert_eq!(usual.max_message(), default - RESERVED);

    let (mut client, mut server) = pair(&dir.path().join("small"), &[("send_buffer", "8k")]).await;
    // Linux doubles what is asked for.
    let max = (16 << 10) - RESERVED;
    for wire in [&client, &server] {
        assert_eq!(wire.max_message(), max);
    }
    for (from, to) in [(&mut client, &mut server)] {
        for len in [max + 1, max] {
            let message = vec![7; len];
            match put(from, &message).await {
                Ok(()) => assert!(len == max && next(to).await.unwrap() == Some(message)),
                Err(SendError::TooLarge { len, max: most }) => assert_eq!((len, most), (max + 1, max)),
                Err(error) => panic!("{error}"),
            }
        }
    }
    // In a batch it is refused alone.
    let large = vec![0; max + 1];
    let several = to_send([b"1".as_slice(), b"2", &large, b"3"]);
    let mut send = async |from| poll_fn(|cx| server.poll_send_batch(cx, &several, from)).await;
    assert_eq!(send(0).await.unwrap(), 2);
    assert!(matches!(send(2).await, Err(SendError::TooLarge { .. })));
    assert_eq!(send(3).await.unwrap(), 1);
    for message in [b"1", b"2", b"3"] {
        assert_eq!(next(&mut client).await.unwrap().as_deref(), Some(message.as_slice()));
    }
}

#[tokio::test]
async fn a_message_above_the_buffer_is_an_error_and_the_wire_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let mut listener = listen(&endpoint("unix-seq", &path).with_option("send_buffer", "8k")).await;
    let client = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
    nix::sys::socket::connect(client.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
    let mut wire = messages(accept(&mut listener).await).0;
    let max = wire.max_message();
    say(&client, &vec![0; max + 1]);
    say(&client, b"one");
    match next(&mut wire).await {
        Err(RecvError::TooLarge { len, max: most }) => assert_eq!((len, most), (max + 1, max)),
        other => panic!("{other:?}"),
    }
    assert_eq!(next(&mut wire).await.unwrap().unwrap(), b"one");

    // Larger than the slot, and larger than the wire's largest message.
    for size in [4, 2 * max] {
        say(&client, &vec![0; max + 1]);
        say(&client, b"four");
        say(&client, b"five!");
        let mut received = RecvBatch::new(8, size);
        assert_eq!(batch(&mut wire, &mut received).await.unwrap(), Some(3));
        let marks: Vec<_> = received.iter().map(|(meta, _)| meta.truncated).collect();
        assert_eq!(marks, [true, false, size == 4]);
        assert_eq!(received.get(1).unwrap().1, b"four");
    }
}

#[tokio::test]
async fn who_closes_with_unread_messages_is_told_of_behind_what_it_sent() {
    let dir = tempfile::tempdir().unwrap();
    for together in [false, true] {
        let (mut wire, client) = foreign(&dir.path().join(together.to_string())).await;
        put(&mut wire, b"never read").await.unwrap();
        say(&client, b"1");
        say(&client, b"");
        drop(client);
        if together {
            let mut received = RecvBatch::new(8, 8);
            assert_eq!(batch(&mut wire, &mut received).await.unwrap(), Some(2));
        } else {
            assert_eq!(next(&mut wire).await.unwrap().unwrap(), b"1");
            assert_eq!(next(&mut wire).await.unwrap().unwrap(), b"");
        }
        match next(&mut wire).await {
            Err(RecvError::Io(error)) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
            other => panic!("{other:?}"),
        }
        assert_eq!(next(&mut wire).await.unwrap(), None);
        assert!(matches!(put(&mut wire, b"x").await, Err(SendError::Io(_))));
    }
}

#[tokio::test]
async fn an_end_wakes_who_waits_and_closes_one_direction() {
    let dir = tempfile::tempdir().unwrap();
    let (mut client, mut server) = pair(&dir.path().join("s"), &[]).await;
    assert!(once(pin!(next(&mut server))).await.is_none());
    let waits = tokio::spawn(async move { (next(&mut server).await, server) });
    poll_fn(|cx| client.poll_shutdown(cx)).await.unwrap();
    let (ended, mut server) = waits.await.unwrap();
    assert_eq!(ended.unwrap(), None);
    assert!(matches!(put(&mut client, b"x").await, Err(SendError::Closed)));
    put(&mut server, b"still").await.unwrap();
    assert_eq!(next(&mut client).await.unwrap().unwrap(), b"still");
    drop(server);
    assert_eq!(next(&mut client).await.unwrap(), None);
}

#[tokio::test]
async fn a_full_buffer_makes_a_batch_wait_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut client, mut server) = pair(&dir.path().join("s"), &[("send_buffer", "8k")]).await;
    let texts: Vec<_> = (0..500_u32).map(u32::to_be_bytes).collect();
    let all = to_send(texts.iter().map(|text| text.as_slice()));
    let mut sent = 0;
    while let Some(count) = once(pin!(poll_fn(|cx| client.poll_send_batch(cx, &all, sent)))).await {
        sent += count.unwrap();
    }
    assert!((1..500).contains(&sent), "{sent} messages fit into the buffer");
    let sender = tokio::spawn(async move {
        while sent < all.len() {
            sent += poll_fn(|cx| client.poll_send_batch(cx, &all, sent)).await.unwrap();
        }
        client
    });
    let mut got = Vec::new();
    let mut received = RecvBatch::new(64, 8);
    while got.len() < texts.len() {
        received.clear();
        batch(&mut server, &mut received).await.unwrap();
        got.extend(received.iter().map(|(_, message)| message.to_vec()));
    }
    assert!(got.iter().zip(&texts).all(|(got, text)| got == text));
    sender.await.unwrap();
}

/// A client that expects so many replies makes one call for them, and what comes beyond arrives with what comes next.
#[tokio::test]
async fn no_more_is_received_than_is_expected() {
    let dir = tempfile::tempdir().unwrap();
    let (mut client, mut server) = pair(&dir.path().join("s"), &[]).await;
    for expected in [1, 2] {
        let mut received = RecvBatch::new(8, 8);
        received.expect(expected);
        for _ in 0..3 {
            put(&mut server, b"x").await.unwrap();
        }
        assert_eq!(batch(&mut client, &mut received).await.unwrap(), Some(expected));
        received.expect(usize::MAX);
        put(&mut server, b"y").await.unwrap();
        while received.len() < 4 {
            batch(&mut client, &mut received).await.unwrap();
        }
        assert_eq!(received.get(3).unwrap().1, b"y");
    }
}

#[tokio::test]
async fn both_ends_know_who_is_at_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let mut listener = listen(&endpoint("unix-seq", &path)).await;
    let (_client, here) = messages(connect(&listener.local()).await.unwrap());
    let (_server, there) = messages(accept(&mut listener).await);
    assert_eq!((here.peer.addr(), &here.local), (&there.local, there.peer.addr()));
    let Addr::Unix(name) = here.local else { panic!("{here:?}") };
    assert!(name.as_abstract().is_some(), "{name:?}");
    for info in [here, there] {
        let peer = info.peer.get::<Credentials>().unwrap();
        assert_eq!((peer.uid, peer.pid), (nix::unistd::geteuid().as_raw(), Some(std::process::id() as i32)));
    }
}

/// A server of byte streams is at the path.
#[tokio::test]
async fn the_other_kind_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (bound, dialled) in [("unix", "unix-seq"), ("unix-seq", "unix")] {
        let path = dir.path().join(bound);
        let _listener = listen(&endpoint(bound, &path)).await;
        let error = connect(&endpoint(dialled, &path)).await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("connect {dialled}:")), "{error}");
    }
}

/// Its messages lie in several pages of the system.
#[tokio::test]
async fn a_message_of_many_pages_arrives_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (mut wire, client) = foreign(&dir.path().join("s")).await;
    setsockopt(&client, sockopt::SndBuf, &(64 << 10)).unwrap();
    let message: Vec<_> = (0..100_000_u32).map(|i| i as u8).collect();
    say(&client, &message);
    assert_eq!(next(&mut wire).await.unwrap(), Some(message));
}
