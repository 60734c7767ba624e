//! Datagrams over Unix sockets.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::future::poll_fn;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::pin::pin;
use std::task::Poll;

use bytes::BytesMut;
use common::{connect, endpoint, once, receive, session, socket};
use swapwire_core::{
    Addr, DatagramSocket, Endpoint, ErrorClass, Link, MessageStream, RecvError, SendBatch, SendError, UnixAddr,
};
use swapwire_unix::MAX_MESSAGE;

const SLOT: usize = MAX_MESSAGE + 1;

async fn messages(endpoint: &Endpoint) -> (Box<dyn MessageStream>, Addr) {
    match connect(endpoint).await.unwrap() {
        Link::Messages { io, info } => (io, info.local),
        other => panic!("{other:?}"),
    }
}

async fn send(io: &mut Box<dyn MessageStream>, message: &[u8]) -> Result<(), SendError> {
    poll_fn(|cx| io.poll_send(cx, message)).await
}

async fn recv(io: &mut Box<dyn MessageStream>) -> Result<Vec<u8>, RecvError> {
    let mut into = BytesMut::new();
    poll_fn(|cx| io.poll_recv(cx, &mut into)).await.map(|len| {
        assert_eq!(len, Some(into.len()));
        into.to_vec()
    })
}

/// Sends one reply, at once.
async fn reply(socket: &mut Box<dyn DatagramSocket>, message: &[u8], to: Addr) -> io::Result<usize> {
    let mut batch = SendBatch::new();
    batch.push(message, to, None);
    poll_fn(|cx| match socket.poll_send(cx, &batch, 0) {
        Poll::Ready(result) => Poll::Ready(result),
        Poll::Pending => panic!("never pending"),
    })
    .await
}

fn unix(path: &std::path::Path) -> Addr {
    Addr::Unix(UnixAddr::from_path(path).unwrap())
}

#[tokio::test]
async fn client_and_server_talk_and_agree_on_who_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = socket(&endpoint("unix-dgram", &dir.path().join("s"))).await;
    let (mut client, local) = messages(&server.local()).await;
    for message in [b"first".as_slice(), b"", b"third"] {
        send(&mut client, message).await.unwrap();
    }
    let mut got = receive(&mut server, 2, SLOT).await;
    assert_eq!(got.len(), 2, "a batch takes what is there, up to its slots");
    got.extend(receive(&mut server, 2, SLOT).await);
    assert_eq!(got.iter().map(|(_, bytes)| bytes.as_slice()).collect::<Vec<_>>(), [b"first".as_slice(), b"", b"third"]);
    for (meta, bytes) in got {
        assert_eq!(meta.peer, Some(local));
        assert!(!meta.truncated);
        assert_eq!(reply(&mut server, &bytes, local).await.unwrap(), 1);
        assert_eq!(recv(&mut client).await.unwrap(), bytes);
    }
}

#[tokio::test]
async fn the_largest_message_passes_and_a_larger_one_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = socket(&endpoint("unix-dgram", &dir.path().join("s"))).await;
    let (mut client, local) = messages(&server.local()).await;
    let mut largest = vec![7; MAX_MESSAGE];
    send(&mut client, &largest).await.unwrap();
    // A slot of exactly the largest size and one that is larger: neither is a truncation.
    assert_eq!(receive(&mut server, 1, MAX_MESSAGE).await[0].1, largest);
    send(&mut client, &largest).await.unwrap();
    let (meta, bytes) = receive(&mut server, 1, SLOT).await.remove(0);
    assert!(bytes == largest && !meta.truncated);
    reply(&mut server, &largest, local).await.unwrap();
    assert_eq!(recv(&mut client).await.unwrap(), largest);

    largest.push(7);
    let error = send(&mut client, &largest).await.unwrap_err();
    assert!(matches!(error, SendError::TooLarge { len, max: MAX_MESSAGE } if len == MAX_MESSAGE + 1), "{error}");
    let error = reply(&mut server, &largest, local).await.unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE));
    assert_eq!(server.classify(&error), ErrorClass::PeerNoise);
    send(&mut client, b"and the session survives").await.unwrap();
    assert_eq!(receive(&mut server, 1, SLOT).await[0].1, b"and the session survives");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_message_that_its_send_buffer_does_not_hold_is_refused_with_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = socket(&endpoint("unix-dgram", &dir.path().join("s"))).await;
    let (mut client, _) = messages(&format!("{}?send_buffer=4096", server.local()).parse().unwrap()).await;
    let error = send(&mut client, &[7; 60_000]).await.unwrap_err();
    let SendError::TooLarge { len: 60_000, max } = error else { panic!("{error}") };
    assert!((4096 - 32..60_000).contains(&max), "{max}");
    // It is the limit: so much goes, and one byte more does not.
    send(&mut client, &vec![7; max]).await.unwrap();
    assert_eq!(receive(&mut server, 1, SLOT).await[0].1.len(), max);
    let error = send(&mut client, &vec![7; max + 1]).await.unwrap_err();
    assert!(matches!(error, SendError::TooLarge { max: again, .. } if again == max), "{error}");
}

#[tokio::test]
async fn a_foreign_message_that_is_too_large_is_marked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let mut server = socket(&endpoint("unix-dgram", &path)).await;
    let foreign = UnixDatagram::unbound().unwrap();
    for slot in [MAX_MESSAGE, SLOT] {
        foreign.send_to(&vec![1; MAX_MESSAGE + 1], &path).unwrap();
        foreign.send_to(&vec![1; 2 * MAX_MESSAGE], &path).unwrap();
        let got = receive(&mut server, 2, slot).await;
        assert!(got.iter().all(|(meta, _)| meta.truncated && meta.len >= MAX_MESSAGE), "slots of {slot}");
        assert_eq!(got.len(), 2);
    }
    foreign.send_to(b"12345", &path).unwrap();
    let (meta, bytes) = receive(&mut server, 1, 4).await.remove(0);
    assert_eq!((meta.truncated, bytes.as_slice()), (true, b"1234".as_slice()));

    // To a client: only its own server can send to it.
    let path = dir.path().join("t");
    let foreign = UnixDatagram::bind(&path).unwrap();
    let (mut client, _) = messages(&endpoint("unix-dgram", &path)).await;
    send(&mut client, b"hello").await.unwrap();
    let (_, from) = foreign.recv_from(&mut [0; 5]).unwrap();
    foreign.send_to_addr(&vec![1; MAX_MESSAGE + 1], &from).unwrap();
    foreign.send_to_addr(b"good", &from).unwrap();
    let error = recv(&mut client).await.unwrap_err();
    assert!(matches!(error, RecvError::TooLarge { max: MAX_MESSAGE, .. }), "{error}");
    assert_eq!(recv(&mut client).await.unwrap(), b"good");
}

#[tokio::test]
async fn senders_have_the_addresses_they_were_bound_to() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let mut server = socket(&endpoint("unix-dgram", &path)).await;
    UnixDatagram::unbound().unwrap().send_to(b"nobody", &path).unwrap();
    let bound = UnixDatagram::bind(dir.path().join("client")).unwrap();
    bound.send_to(b"path", &path).unwrap();
    let got = receive(&mut server, 4, SLOT).await;
    assert_eq!(got[0].0.peer, None);
    assert_eq!(got[1].0.peer, Some(unix(&dir.path().join("client"))));
    let error = reply(&mut server, b"", Addr::Unix(UnixAddr::UNNAMED)).await.unwrap_err();
    assert_eq!(server.classify(&error), ErrorClass::PeerNoise);

    // The kernel writes the server's name into its replies: a client that answers to where a reply came from must reach
    // it.
    reply(&mut server, b"reply", got[1].0.peer.unwrap()).await.unwrap();
    let (_, from) = bound.recv_from(&mut [0; 5]).unwrap();
    assert_eq!(from.as_pathname(), Some(path.as_path()));
    bound.send_to_addr(b"again", &from).unwrap();
    assert_eq!(receive(&mut server, 1, SLOT).await[0].1, b"again");
}

/// Not what one would wish, but what the kernel does: the crate's documentation says so.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_connected_client_that_never_reads_costs_the_others_until_it_goes() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = socket(&endpoint("unix-dgram", &dir.path().join("s")).with_option("send_buffer", "64k")).await;
    let (slow, to_slow) = messages(&server.local()).await;
    let (mut good, to_good) = messages(&server.local()).await;
    let mut count = 0;
    while reply(&mut server, b"x", to_slow).await.is_ok() {
        count += 1;
    }
    println!("{count} unread replies of one byte fill a send buffer of 64 KiB");
    let error = reply(&mut server, b"y", to_good).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    drop(slow);
    reply(&mut server, b"y", to_good).await.unwrap();
    assert_eq!(recv(&mut good).await.unwrap(), b"y");
}

#[tokio::test]
async fn a_full_peer_is_an_error_about_it_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = socket(&endpoint("unix-dgram", &dir.path().join("s"))).await;
    let slow = UnixDatagram::bind(dir.path().join("slow")).unwrap();
    let good = UnixDatagram::bind(dir.path().join("good")).unwrap();
    let (to_slow, to_good) = (unix(&dir.path().join("slow")), unix(&dir.path().join("good")));
    let mut count = 0;
    let error = loop {
        match reply(&mut server, b"x", to_slow).await {
            Ok(_) => count += 1,
            Err(error) => break error,
        }
    };
    println!("a queue of {count} datagrams");
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    assert_eq!(server.classify(&error), ErrorClass::Retryable);
    reply(&mut server, b"y", to_good).await.unwrap();
    good.recv(&mut [0; 1]).unwrap();

    // In one batch: up to the full peer, then its error, then the rest.
    let mut batch = SendBatch::new();
    for to in [to_good, to_slow, to_good] {
        batch.push(b"z", to, None);
    }
    assert_eq!(poll_fn(|cx| server.poll_send(cx, &batch, 0)).await.unwrap(), 1);
    assert_eq!(poll_fn(|cx| server.poll_send(cx, &batch, 1)).await.unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert_eq!(poll_fn(|cx| server.poll_send(cx, &batch, 2)).await.unwrap(), 1);
    slow.recv(&mut [0; 1]).unwrap();
    assert_eq!(poll_fn(|cx| server.poll_send(cx, &batch, 1)).await.unwrap(), 2);
}

#[tokio::test]
async fn a_dead_peer_is_an_error_about_it_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = socket(&endpoint("unix-dgram", &dir.path().join("s"))).await;
    drop(UnixDatagram::bind(dir.path().join("dead")).unwrap());
    let dead = [(unix(&dir.path().join("dead")), libc::ECONNREFUSED), (unix(&dir.path().join("gone")), libc::ENOENT)];
    for (to, number) in dead {
        let error = reply(&mut server, b"x", to).await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(number));
        assert_eq!(server.classify(&error), ErrorClass::PeerNoise);
    }
    let (mut client, local) = messages(&server.local()).await;
    reply(&mut server, b"y", local).await.unwrap();
    assert_eq!(recv(&mut client).await.unwrap(), b"y");
}

#[tokio::test]
async fn a_client_waits_while_the_servers_queue_is_full_and_wakes_when_it_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = socket(&endpoint("unix-dgram", &dir.path().join("s"))).await;
    let (mut client, _) = messages(&server.local()).await;
    send(&mut client, &0_u32.to_be_bytes()).await.unwrap();
    let mut sent = 1_u32;
    while once(pin!(send(&mut client, &sent.to_be_bytes()))).await.is_some() {
        sent += 1;
    }
    println!("a queue of {sent} datagrams");
    assert!(sent > 1);
    let sender = tokio::spawn(async move {
        for n in sent..1000 {
            send(&mut client, &n.to_be_bytes()).await.unwrap();
        }
        client
    });
    let mut next = 0;
    while next < 1000 {
        for (_, bytes) in receive(&mut server, 4, SLOT).await {
            assert_eq!(bytes, u32::to_be_bytes(next));
            next += 1;
        }
    }
    sender.await.unwrap();
}

#[tokio::test]
async fn a_server_that_goes_wakes_its_waiting_senders_and_can_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let place = endpoint("unix-dgram", &dir.path().join("s"));
    let server = socket(&place).await;
    let (mut client, local) = messages(&place).await;
    send(&mut client, b"x").await.unwrap();
    while once(pin!(send(&mut client, b"x"))).await.is_some() {}
    let mut waiting = Box::pin(send(&mut client, b"waits"));
    assert!(once(waiting.as_mut()).await.is_none());
    drop(server);
    let result = waiting.await;
    assert!(matches!(result, Err(SendError::PeerNoise(_))), "{result:?}");
    assert!(matches!(send(&mut client, b"nobody").await, Err(SendError::PeerNoise(_))));

    // Nobody can slip a reply to the client in the meantime.
    #[cfg(target_os = "linux")]
    {
        use std::os::linux::net::SocketAddrExt as _;
        let Addr::Unix(name) = local else { panic!() };
        let to = std::os::unix::net::SocketAddr::from_abstract_name(name.as_abstract().unwrap()).unwrap();
        let stranger = UnixDatagram::unbound().unwrap();
        stranger.send_to_addr(b"forged", &to).unwrap();
        assert!(once(pin!(recv(&mut client))).await.is_none());
        stranger.send_to_addr(b"forged too", &to).unwrap();
    }

    let mut server = socket(&place).await;
    send(&mut client, b"again").await.unwrap();
    let (meta, bytes) = receive(&mut server, 1, SLOT).await.remove(0);
    assert_eq!((meta.peer, bytes.as_slice()), (Some(local), b"again".as_slice()));
    reply(&mut server, b"welcome", local).await.unwrap();
    assert_eq!(recv(&mut client).await.unwrap(), b"welcome");

    // And connected again, strangers are shut out by the kernel.
    #[cfg(target_os = "linux")]
    {
        use std::os::linux::net::SocketAddrExt as _;
        let Addr::Unix(name) = local else { panic!() };
        let to = std::os::unix::net::SocketAddr::from_abstract_name(name.as_abstract().unwrap()).unwrap();
        let error = UnixDatagram::unbound().unwrap().send_to_addr(b"forged", &to).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EPERM));
    }
}

#[tokio::test]
async fn connecting_to_nobody_fails_and_names_the_endpoint() {
    let dir = tempfile::tempdir().unwrap();
    let place = endpoint("unix-dgram", &dir.path().join("s"));
    let error = connect(&place).await.unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
    assert!(error.to_string().starts_with(&format!("connect {place}: ")), "{error}");
}

#[tokio::test]
async fn ten_thousand_empty_datagrams_are_messages() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let mut server = socket(&endpoint("unix-dgram", &path)).await;
    let sender = std::thread::spawn(move || {
        let sender = UnixDatagram::unbound().unwrap();
        for _ in 0..10_000 {
            sender.send_to(b"", &path).unwrap();
        }
    });
    let mut count = 0;
    while count < 10_000 {
        let got = receive(&mut server, 32, 64).await;
        assert!(got.iter().all(|(meta, _)| meta.len == 0 && meta.peer.is_none()));
        count += got.len();
    }
    sender.join().unwrap();
}

#[tokio::test]
async fn a_session_runs_over_datagrams() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = socket(&endpoint("unix-dgram", &dir.path().join("s"))).await;
    let mut client = session(&server.local()).await;
    client.send("hello").await.unwrap();
    client.flush().await.unwrap();
    let (meta, bytes) = receive(&mut server, 1, SLOT).await.remove(0);
    reply(&mut server, &bytes, meta.peer.unwrap()).await.unwrap();
    assert_eq!(client.recv().await.unwrap().unwrap(), "hello");
}

#[cfg(target_os = "linux")]
mod fence {
    use super::*;
    use swapwire_core::{Arrivals, RecvBatch};

    /// Everything up to the empty batch, one slot at a time.
    async fn rest(server: &mut Box<dyn DatagramSocket>) -> Vec<String> {
        let (mut batch, mut all) = (RecvBatch::new(1, SLOT), Vec::new());
        loop {
            batch.clear();
            poll_fn(|cx| server.poll_recv(cx, &mut batch)).await.unwrap();
            let Some((_, bytes)) = batch.iter().next() else { return all };
            all.push(String::from_utf8(bytes.to_vec()).unwrap());
        }
    }

    #[tokio::test]
    async fn refused_arrivals_are_errors_at_once_and_what_waited_is_received_and_answered() {
        for polled_before in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("s");
            let mut server = socket(&endpoint("unix-dgram", &path)).await;
            let (mut client, local) = messages(&server.local()).await;
            if polled_before {
                let mut batch = RecvBatch::new(1, SLOT);
                assert!(once(pin!(poll_fn(|cx| server.poll_recv(cx, &mut batch)))).await.is_none());
            }
            for message in [b"1", b"2", b"3"] {
                send(&mut client, message).await.unwrap();
            }
            for _ in 0..2 {
                assert_eq!(server.refuse_arrivals(), Arrivals::Fenced);
            }
            let error = send(&mut client, b"4").await.unwrap_err();
            assert_eq!(error.class(), ErrorClass::PeerNoise);
            assert_eq!(error.to_string(), "send: the server takes no more messages: it drains or is gone");
            let foreign = UnixDatagram::unbound().unwrap();
            assert_eq!(foreign.send_to(b"5", &path).unwrap_err().raw_os_error(), Some(libc::EPIPE));
            assert_eq!(rest(&mut server).await, ["1", "2", "3"]);
            assert!(rest(&mut server).await.is_empty());

            reply(&mut server, b"answer", local).await.unwrap();
            poll_fn(|cx| server.poll_flush(cx)).await.unwrap();
            let error = send(&mut client, b"6").await.unwrap_err();
            assert!(matches!(&error, SendError::PeerNoise(source) if source.kind() == io::ErrorKind::BrokenPipe));
            // The file is there until the socket is closed, as without a refusal.
            assert!(path.exists());
            drop(server);
            assert!(!path.exists());
            assert_eq!(recv(&mut client).await.unwrap(), b"answer");

            // The next server is found by the same client.
            let mut next = socket(&endpoint("unix-dgram", &path)).await;
            send(&mut client, b"7").await.unwrap();
            assert_eq!(receive(&mut next, 1, SLOT).await[0].1, b"7");
        }
    }

    #[tokio::test]
    async fn both_sockets_are_refused_arrivals_where_the_file_was_bound_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let mut server = socket(&endpoint("unix-dgram", &path)).await;
        let (mut before, _) = messages(&server.local()).await;
        std::fs::remove_file(&path).unwrap();
        assert!(server.upkeep().unwrap().reachable);
        let (mut after, _) = messages(&server.local()).await;
        for (client, message) in [(&mut before, b"old"), (&mut after, b"new")] {
            send(client, message).await.unwrap();
        }
        assert_eq!(server.refuse_arrivals(), Arrivals::Fenced);
        for client in [&mut before, &mut after] {
            assert!(matches!(send(client, b"late").await, Err(SendError::PeerNoise(_))));
        }
        assert_eq!(rest(&mut server).await, ["old", "new"]);
    }

    /// Who waits for room in a full queue is told as soon as there is room.
    #[tokio::test]
    async fn who_waits_for_room_gets_the_error() {
        let dir = tempfile::tempdir().unwrap();
        let mut server = socket(&endpoint("unix-dgram", &dir.path().join("s"))).await;
        let (mut client, _) = messages(&server.local()).await;
        let mut sent = 0;
        while once(pin!(send(&mut client, b"x"))).await.is_some() {
            sent += 1;
        }
        let waiting = tokio::spawn(async move { send(&mut client, b"x").await });
        tokio::task::yield_now().await;
        assert_eq!(server.refuse_arrivals(), Arrivals::Fenced);
        assert_eq!(rest(&mut server).await.len(), sent);
        let error = waiting.await.unwrap().unwrap_err();
        assert!(matches!(error, SendError::PeerNoise(_)), "{error}");
    }
}
