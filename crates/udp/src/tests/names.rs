//! Names with several addresses.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use tokio::io::Interest;

use super::*;
use crate::link::Connected;

/// An address of this machine where nobody is: no other test binds there.
async fn nobody(ip: &str) -> SocketAddr {
    let (socket, _) = bind(&format!("udp://{ip}:0")).await;
    socket.local_addr().unwrap()
}

/// A link to a name whose addresses are `first` and `others`.
async fn link<E: Engine>(first: SocketAddr, others: &[SocketAddr]) -> Connected<E> {
    let (socket, options) = connect(&Addr::inet(first).to_endpoint("udp").unwrap()).await;
    Connected::new(socket, &options).unwrap().with_others(others.to_vec(), options)
}

async fn send_one(link: &mut impl MessageStream, message: &[u8]) -> Result<(), SendError> {
    poll_fn(|cx| link.poll_send(cx, message)).await
}

async fn recv_one(link: &mut impl MessageStream) -> Result<Vec<u8>, RecvError> {
    let mut into = BytesMut::new();
    poll_fn(|cx| link.poll_recv(cx, &mut into)).await.map(|_| into.to_vec())
}

fn address(server: &impl DatagramSocket) -> SocketAddr {
    match server.local_addr() {
        Some(Addr::Inet(addr)) => addr,
        other => panic!("{other:?}"),
    }
}

/// What `localhost` may be, or anything else that a resolver says.
#[tokio::test]
async fn all_addresses_of_a_name_are_listened_on() {
    let name = endpoint("udp://localhost:0");
    for members in [1, 2] {
        let mut binder = Binder::<Options>::read(&name).await.unwrap();
        binder.addrs = ["[::1]:0", "127.0.0.1:0", "192.0.2.1:0"].map(|addr| addr.parse().unwrap()).to_vec();
        let firsts = binder.each().unwrap();
        assert_eq!(firsts.len(), 2, "one is not this machine's");
        let ports: Vec<_> = firsts.iter().map(|socket| socket.local_addr().unwrap().port()).collect();
        assert_eq!(ports[0], ports[1]);
        let mut second = Binder::<Options>::read(&name).await.unwrap();
        second.addrs = firsts.iter().map(|socket| socket.local_addr().unwrap()).collect();
        let taken = format!("another server is listening on {}", second.addrs[0]);
        for error in [second.each().unwrap_err(), second.first().unwrap_err()] {
            assert!(error.is_addr_in_use());
            assert_eq!(error.to_string(), format!("bind udp://localhost:0: address in use: {taken}"));
        }
        for first in firsts {
            let group = binder.options.group(first, members).unwrap();
            assert_eq!(group.len(), if cfg!(target_os = "linux") { members } else { 1 });
            let local = Addr::inet(group[0].local_addr().unwrap()).to_endpoint("udp").unwrap();
            assert!(Udp::new().bind_all(&local, members).await.unwrap_err().is_addr_in_use());
        }
    }
    let groups = Udp::new().bind_all(&name, 2).await.unwrap();
    assert!(groups.iter().all(|group| group[0].local().to_string().ends_with(&port(&groups[0][0].local()))));
}

async fn goes_on_with_the_next<E: Engine>() {
    for (gone, there) in [("127.0.0.81", "127.0.0.82"), ("[::1]", "127.0.0.82"), ("127.0.0.81", "[::1]")] {
        let mut server = server::<E>(&format!("udp://{there}:0")).await;
        let others = [nobody(gone).await, address(&server)];
        let mut link = link::<E>(nobody(gone).await, &others).await;
        let mut batch = SendBatch::new();
        batch.push(b"2", Addr::inet(others[0]), None);
        batch.push(b"", Addr::inet(others[0]), None);
        // Nothing of what was refused twice is lost, in order.
        send_one(&mut link, b"1").await.unwrap();
        let mut sent = 0;
        while sent < batch.len() {
            sent += poll_fn(|cx| link.poll_send_batch(cx, &batch, sent)).await.unwrap();
        }
        let mut replies = SendBatch::new();
        {
            let mut collecting = pin!(collect(&mut server, 3, &mut replies));
            let both = poll_fn(|cx| {
                assert!(link.poll_recv(cx, &mut BytesMut::new()).is_pending());
                collecting.as_mut().poll(cx)
            });
            both.await;
        }
        send(&mut server, &replies).await;
        for expected in [b"1".as_slice(), b"2", b""] {
            assert_eq!(recv_one(&mut link).await.unwrap(), expected);
        }
        // Once it has been answered, a refusal is one.
        drop(server);
        send_one(&mut link, b"x").await.unwrap();
        assert!(matches!(recv_one(&mut link).await, Err(RecvError::PeerNoise(_))));
    }
}

/// Receives so many datagrams, and makes replies of them.
async fn collect(server: &mut impl DatagramSocket, count: usize, replies: &mut SendBatch) {
    let mut batch = RecvBatch::new(8, server.slot_size());
    while replies.len() < count {
        recv(server, &mut batch).await;
        batch.iter().for_each(|(meta, message)| replies.push(message, meta.peer.unwrap(), meta.local));
    }
}

#[tokio::test]
async fn an_address_that_refuses_is_followed_by_the_next() {
    goes_on_with_the_next::<Default>().await;
    goes_on_with_the_next::<Plain>().await;
}

#[tokio::test]
async fn when_all_refuse_it_is_told() {
    let mut link = link::<Default>(nobody("127.0.0.83").await, &[nobody("127.0.0.84").await]).await;
    send_one(&mut link, b"1").await.unwrap();
    let error = recv_one(&mut link).await.unwrap_err();
    assert!(matches!(&error, RecvError::PeerNoise(error) if error.kind() == std::io::ErrorKind::ConnectionRefused));
}

/// A refusal has come. It is still to be told.
async fn refused<E>(link: &Connected<E>) {
    link.wire.socket.ready(Interest::READABLE.add(Interest::ERROR)).await.unwrap();
}

fn is_refused<T>(result: &Result<T, SendError>) -> bool {
    matches!(result, Err(SendError::PeerNoise(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused)
}

/// What cannot be sent again is told, none of it is sent again, and what comes after it goes to the next address.
#[tokio::test]
async fn a_refusal_of_more_than_is_kept_is_told() {
    for (size, count) in [(1, 65), (40_000, 2)] {
        let mut server = server::<Default>("udp://127.0.0.85:0").await;
        let first = std::net::UdpSocket::bind("127.0.0.86:0").unwrap();
        let mut link = link::<Default>(first.local_addr().unwrap(), &[address(&server)]).await;
        for _ in 0..count {
            send_one(&mut link, &vec![7; size]).await.unwrap();
        }
        drop(first);
        send_one(&mut link, b"lost").await.unwrap();
        refused(&link).await;
        assert!(is_refused(&send_one(&mut link, b"not sent").await));
        send_one(&mut link, b"later").await.unwrap();
        let mut heard = RecvBatch::new(128, server.slot_size());
        recv(&mut server, &mut heard).await;
        assert_eq!(heard.iter().map(|(_, message)| message).collect::<Vec<_>>(), [b"later"]);
    }
}

/// Of one that only takes, and never answers: what it took is not sent to another when it goes.
#[tokio::test]
async fn an_address_that_did_not_refuse_in_time_stands() {
    let mut server = server::<Default>("udp://127.0.0.89:0").await;
    let first = std::net::UdpSocket::bind("127.0.0.90:0").unwrap();
    let mut link = link::<Default>(first.local_addr().unwrap(), &[address(&server)]).await;
    send_one(&mut link, b"1").await.unwrap();
    assert!(link.others.is_some(), "it may still refuse");
    link.others.as_mut().unwrap().since = Instant::now().checked_sub(Duration::from_secs(3600));
    send_one(&mut link, b"2").await.unwrap();
    drop(first);
    send_one(&mut link, b"3").await.unwrap();
    refused(&link).await;
    assert!(is_refused(&send_one(&mut link, b"4").await));
    send_one(&mut link, b"5").await.unwrap();

    std::net::UdpSocket::bind("127.0.0.90:0").unwrap().send_to(b"alone", address(&server)).unwrap();
    let mut heard = RecvBatch::new(8, server.slot_size());
    recv(&mut server, &mut heard).await;
    assert_eq!(heard.iter().map(|(_, message)| message).collect::<Vec<_>>(), [b"alone"]);
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// Who waits to receive waits on a socket that the sender replaces.
#[tokio::test]
async fn whoever_waits_to_receive_hears_of_the_next_address() {
    let mut server = server::<Default>("udp://127.0.0.87:0").await;
    let mut link = link::<Default>(nobody("127.0.0.88").await, &[address(&server)]).await;
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut into = BytesMut::new();
    assert!(link.poll_recv(&mut Context::from_waker(&waker), &mut into).is_pending());
    send_one(&mut link, b"1").await.unwrap();
    refused(&link).await;
    // The reactor does not run between these: only the sender can have woken the receiver.
    let before = woken.0.load(Relaxed);
    let mut task = Context::from_waker(Waker::noop());
    let mut sent = link.poll_send(&mut task, b"2");
    assert!(woken.0.load(Relaxed) > before);
    while sent.is_pending() {
        tokio::task::yield_now().await;
        sent = link.poll_send(&mut task, b"2");
    }
    assert!(matches!(sent, Poll::Ready(Ok(()))));
    echo(&mut server, 2).await;
    assert_eq!(recv_one(&mut link).await.unwrap(), b"1");
    assert_eq!(recv_one(&mut link).await.unwrap(), b"2");
}

/// Who waits to send waits on a socket that the receiver replaces.
#[tokio::test]
async fn whoever_waits_to_send_hears_of_the_next_address() {
    let mut server = server::<Default>("udp://127.0.0.87:0").await;
    let mut link = link::<Default>(nobody("127.0.0.88").await, &[address(&server)]).await;
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    // The reactor has not run: it is not known to have room.
    assert!(link.poll_send(&mut Context::from_waker(&waker), b"1").is_pending());
    link.wire.recv_error = Some(std::io::ErrorKind::ConnectionRefused.into());
    assert!(link.poll_recv(&mut Context::from_waker(Waker::noop()), &mut BytesMut::new()).is_pending());
    assert_eq!(link.wire.socket.peer_addr().unwrap(), address(&server));
    assert_eq!(woken.0.load(Relaxed), 1, "only the receiver can have woken the sender");
    send_one(&mut link, b"1").await.unwrap();
    echo(&mut server, 1).await;
    assert_eq!(recv_one(&mut link).await.unwrap(), b"1");
}
