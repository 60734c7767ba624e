//! Names with several addresses.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Wake, Waker};

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
        let mut binder = Binder::read(&name).await.unwrap();
        binder.addrs = ["[::1]:0", "127.0.0.1:0", "192.0.2.1:0"].map(|addr| addr.parse().unwrap()).to_vec();
        let firsts = binder.each().unwrap();
        assert_eq!(firsts.len(), 2, "one is not this machine's");
        let ports: Vec<_> = firsts.iter().map(|socket| socket.local_addr().unwrap().port()).collect();
        assert_eq!(ports[0], ports[1]);
        for first in firsts {
            let group = binder.group(first, members).unwrap();
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

/// What cannot be sent again is told, and what comes after it goes to the next address.
#[tokio::test]
async fn a_refusal_of_more_than_is_kept_is_told() {
    for (size, count) in [(1, 65), (40_000, 2)] {
        let mut server = server::<Default>("udp://127.0.0.85:0").await;
        let mut link = link::<Default>(nobody("127.0.0.86").await, &[address(&server)]).await;
        let message = vec![7; size];
        let mut batch = SendBatch::new();
        (0..count).for_each(|_| batch.push(&message, Addr::inet(address(&server)), None));
        // One call of the system may send them all, before any refusal is heard.
        let mut sent = 0;
        let error = loop {
            if sent == batch.len() {
                break poll_fn(|cx| link.poll_recv(cx, &mut BytesMut::new())).await.unwrap_err().to_string();
            }
            match poll_fn(|cx| link.poll_send_batch(cx, &batch, sent)).await {
                Ok(more) => sent += more,
                Err(error) => break error.to_string(),
            }
        };
        if sent == batch.len() {
            assert!(error.contains("refused"), "{error}");
        }
        send_one(&mut link, b"later").await.unwrap();
        let mut heard = RecvBatch::new(128, server.slot_size());
        let mut last = Vec::new();
        while last != b"later" {
            recv(&mut server, &mut heard).await;
            last = heard.iter().last().unwrap().1.to_vec();
        }
    }
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
    // The reactor does not run between these: only the sender can have woken the receiver.
    let before = woken.0.load(Relaxed);
    let mut task = Context::from_waker(Waker::noop());
    let mut sent = link.poll_send(&mut task, b"2");
    while sent.is_pending() {
        tokio::task::yield_now().await;
        sent = link.poll_send(&mut task, b"2");
    }
    assert!(matches!(sent, Poll::Ready(Ok(()))) && woken.0.load(Relaxed) > before);
    echo(&mut server, 2).await;
    assert_eq!(recv_one(&mut link).await.unwrap(), b"1");
    assert_eq!(recv_one(&mut link).await.unwrap(), b"2");
}
