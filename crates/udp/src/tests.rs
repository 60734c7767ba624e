//! UDP over the loopback interface, with both engines where they promise the same.

#[cfg(all(target_os = "linux", not(swapwire_plain)))]
mod group;
mod link;
#[cfg(target_os = "linux")]
mod many;
mod names;
mod options;
#[cfg(all(target_os = "linux", not(swapwire_plain)))]
mod trains;

use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::Poll;

use bytes::BytesMut;
use socket2::SockRef;
use swapwire_core::{
    Addr, Bound, ConnectError, DatagramSocket, Endpoint, ErrorClass, Link, MessageStream, RecvBatch, RecvError,
    SendBatch, SendError, Side, Transport,
};
use swapwire_socket::{Binder, HostOptions as _};

use crate::dial::{Dialled, dial};
use crate::engine::Engine;
use crate::options::Options;
use crate::plain::Plain;
use crate::server::Server;
use crate::{MAX_MESSAGE, OPTIONS, Udp};

#[cfg(all(target_os = "linux", not(swapwire_plain)))]
type Default = crate::batched::Batched;
#[cfg(not(all(target_os = "linux", not(swapwire_plain))))]
type Default = Plain;

/// Whether that is the engine of Linux.
const BATCHED: bool = cfg!(all(target_os = "linux", not(swapwire_plain)));

fn endpoint(text: &str) -> Endpoint {
    text.parse().unwrap()
}

fn port(local: &Endpoint) -> String {
    local.to_string().rsplit_once(':').unwrap().1.to_owned()
}

async fn bind(text: &str) -> (std::net::UdpSocket, Options) {
    let endpoint = endpoint(text);
    let binder = Binder::<Options>::read(&endpoint).await.unwrap();
    (binder.first().unwrap(), binder.options)
}

async fn connect(to: &Endpoint) -> (std::net::UdpSocket, Options) {
    let Dialled { socket, options, .. } = dial(to).await.unwrap();
    (socket, options)
}

async fn server<E: Engine>(text: &str) -> Server<E> {
    let (socket, options) = bind(text).await;
    Server::new(socket, &options).unwrap()
}

struct Client {
    io: Box<dyn MessageStream>,
    local: Addr,
}

async fn client(to: &Endpoint) -> Client {
    match Udp::new().connect(to).await.unwrap() {
        Link::Messages { io, info } => Client { io, local: info.local },
        other => panic!("{other:?}"),
    }
}

impl Client {
    async fn send(&mut self, message: &[u8]) -> Result<(), SendError> {
        poll_fn(|cx| self.io.poll_send(cx, message)).await
    }

    async fn recv(&mut self) -> Result<Vec<u8>, RecvError> {
        let mut into = BytesMut::from("before");
        let len = poll_fn(|cx| self.io.poll_recv(cx, &mut into)).await;
        let kept = into.split_to(6);
        assert_eq!(&kept[..], b"before");
        let len = len?.expect("a datagram socket has no end");
        assert_eq!(into.len(), len);
        Ok(into.to_vec())
    }
}

async fn recv(server: &mut impl DatagramSocket, batch: &mut RecvBatch) {
    batch.clear();
    poll_fn(|cx| server.poll_recv(cx, batch)).await.unwrap();
    assert!(!batch.is_empty());
}

async fn send(server: &mut impl DatagramSocket, batch: &SendBatch) {
    let mut sent = 0;
    while sent < batch.len() {
        let count = poll_fn(|cx| server.poll_send(cx, batch, sent)).await.unwrap();
        assert!(count > 0);
        sent += count;
    }
}

/// Receives `count` datagrams and sends each back to where it came from, from where it was asked.
async fn echo(server: &mut impl DatagramSocket, count: usize) {
    let (mut batch, mut replies) = (RecvBatch::new(8, server.slot_size()), SendBatch::new());
    let mut done = 0;
    while done < count {
        recv(server, &mut batch).await;
        replies.clear();
        for (meta, message) in batch.datagrams() {
            assert!(!meta.truncated);
            replies.push(message, meta.peer.unwrap(), meta.local);
            done += 1;
        }
        send(server, &replies).await;
    }
}

async fn messages_of_every_size<E: Engine>() {
    for host in ["127.0.0.1", "[::1]"] {
        let mut server = server::<E>(&format!("udp://{host}:0")).await;
        let mut client = client(&server.local()).await;
        for size in [0, 1, 1452, 1453, 9000, 65_506, MAX_MESSAGE] {
            let message: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            client.send(&message).await.unwrap();
            echo(&mut server, 1).await;
            assert_eq!(client.recv().await.unwrap(), message, "{size} bytes over {host}");
        }
        let error = client.send(&[0; MAX_MESSAGE + 1]).await.unwrap_err();
        assert!(matches!(error, SendError::TooLarge { len: 65_508, max: MAX_MESSAGE }), "{error}");
        client.send(b"goes on").await.unwrap();
        echo(&mut server, 1).await;
        assert_eq!(client.recv().await.unwrap(), b"goes on");
    }
}

#[tokio::test]
async fn messages_of_every_size_arrive_whole() {
    messages_of_every_size::<Default>().await;
    messages_of_every_size::<Plain>().await;
}

/// IPv6 carries 20 bytes more than IPv4: such a datagram is never delivered short.
async fn larger_than_the_largest<E: Engine>() {
    let mut server = server::<E>("udp://[::1]:0").await;
    let raw = std::net::UdpSocket::bind("[::1]:0").unwrap();
    let to = format!("[::1]:{}", port(&server.local()));
    raw.send_to(&[7; MAX_MESSAGE + 20], &to).unwrap();
    let mut batch = RecvBatch::new(2, MAX_MESSAGE + 1);
    recv(&mut server, &mut batch).await;
    assert!(batch.get(0).unwrap().0.truncated);

    let mut client = client(&endpoint(&format!("udp://{}", raw.local_addr().unwrap()))).await;
    let Addr::Inet(local) = client.local else { panic!("{:?}", client.local) };
    raw.send_to(&[7; MAX_MESSAGE + 20], local).unwrap();
    assert!(matches!(client.recv().await, Err(RecvError::TooLarge { max: MAX_MESSAGE, .. })));
    raw.send_to(b"goes on", local).unwrap();
    assert_eq!(client.recv().await.unwrap(), b"goes on");
}

#[tokio::test]
async fn larger_than_the_largest_is_marked() {
    larger_than_the_largest::<Default>().await;
    larger_than_the_largest::<Plain>().await;
}

#[tokio::test]
async fn a_slot_that_is_too_small_is_marked() {
    let mut batch = RecvBatch::new(1, 4);
    for message in [b"12345".as_slice(), b"1234"] {
        let mut server = server::<Default>("udp://127.0.0.1:0").await;
        client(&server.local()).await.send(message).await.unwrap();
        recv(&mut server, &mut batch).await;
        assert_eq!(batch.get(0).unwrap().0.truncated, !BATCHED || message.len() > 4);
    }
}

/// More datagrams than a batch, a `recvmmsg` and a train hold, from one peer and from many.
async fn batches<E: Engine>() {
    let mut server = server::<E>("udp://127.0.0.1:0?recv_buffer=4MiB").await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(client(&endpoint(&format!("{}?recv_buffer=1MiB", server.local()))).await);
    }
    let text = |who: usize, i: usize| format!("{who}:{i}").into_bytes();
    for (who, client) in clients.iter_mut().enumerate() {
        for i in 0..150 {
            client.send(&text(who, i)).await.unwrap();
        }
    }
    let (mut batch, mut replies) = (RecvBatch::new(200, MAX_MESSAGE + 1), SendBatch::new());
    let mut seen = 0;
    while seen < 750 {
        recv(&mut server, &mut batch).await;
        assert_eq!(batch.len(), (750 - seen).min(200));
        seen += batch.len();
        replies.clear();
        for (meta, message) in batch.iter() {
            replies.push(message, meta.peer.unwrap(), meta.local);
        }
        send(&mut server, &replies).await;
    }
    for (who, client) in clients.iter_mut().enumerate() {
        for i in 0..150 {
            assert_eq!(client.recv().await.unwrap(), text(who, i));
        }
    }
    let mut full = RecvBatch::new(1, 8);
    full.push(swapwire_core::RecvMeta::new(None, 0));
    assert!(poll_fn(|cx| server.poll_recv(cx, &mut full)).await.is_err());
    batch.clear();
    let polled = poll_fn(|cx| Poll::Ready(server.poll_recv(cx, &mut batch))).await;
    assert!(polled.is_pending() && batch.is_empty());
}

#[tokio::test]
async fn batches_keep_order_and_peers_apart() {
    batches::<Default>().await;
    batches::<Plain>().await;
}

/// Neighbours leave as trains; every one of them arrives as it was given.
async fn trains<E: Engine>() {
    let mut server = server::<E>("udp://127.0.0.1:0").await;
    let mut client = client(&endpoint(&format!("{}?recv_buffer=2MiB", server.local()))).await;
    let sizes =
        [vec![10; 70], vec![10, 9, 10, 10, 11, 0, 0, 5, 5], vec![1452; 50], vec![1453; 3], vec![0, 1, 1]].concat();
    let mut batch = SendBatch::new();
    for (i, size) in sizes.iter().enumerate() {
        batch.push(&vec![i as u8; *size], client.local, None);
    }
    send(&mut server, &batch).await;
    for (i, size) in sizes.iter().enumerate() {
        assert_eq!(client.recv().await.unwrap(), vec![i as u8; *size], "message {i}");
    }
}

#[tokio::test]
async fn trains_arrive_as_single_datagrams() {
    trains::<Default>().await;
    trains::<Plain>().await;
}

#[cfg(all(target_os = "linux", not(swapwire_plain)))]
#[tokio::test]
async fn answers_leave_from_the_address_that_was_asked() {
    for bound in ["udp://0.0.0.0:0", "udp://[::]:0?v6_only=false"] {
        let mut server = server::<Default>(bound).await;
        let port = port(&server.local());
        // A connected socket hears its peer's address alone.
        let mut clients = Vec::new();
        for i in 1..=9 {
            clients.push(client(&endpoint(&format!("udp://127.0.0.{i}:{port}"))).await);
        }
        if bound.contains("[::]") {
            clients.push(client(&endpoint(&format!("udp://[::1]:{port}"))).await);
        }
        // Twice the same: the second ones may leave as trains.
        for _ in 0..3 {
            for client in &mut clients {
                client.send(b"who").await.unwrap();
                client.send(b"who").await.unwrap();
            }
            echo(&mut server, 2 * clients.len()).await;
            for client in &mut clients {
                assert_eq!(client.recv().await.unwrap(), b"who", "to {}", client.local);
                assert_eq!(client.recv().await.unwrap(), b"who", "to {}", client.local);
            }
        }
    }
}

#[cfg(all(target_os = "linux", not(swapwire_plain)))]
#[tokio::test]
async fn sockets_of_all_kinds_share_a_thread() {
    let binds = ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0", "[::]:0?v6_only=false"];
    for _ in 0..3 {
        for bound in binds {
            let mut server = server::<Default>(&format!("udp://{bound}")).await;
            let host = if bound.starts_with('[') { "[::1]" } else { "127.0.0.1" };
            let mut client = client(&endpoint(&format!("udp://{host}:{}", port(&server.local())))).await;
            client.send(b"x").await.unwrap();
            let mut batch = RecvBatch::new(4, MAX_MESSAGE + 1);
            recv(&mut server, &mut batch).await;
            let (meta, message) = batch.get(0).unwrap();
            assert_eq!((meta.peer, message), (Some(client.local), b"x".as_slice()));
            let asked = meta.local.map(|ip| Addr::inet(SocketAddr::new(ip, 0)));
            let wildcard = bound.starts_with("0.0.0.0") || bound.starts_with("[::]");
            assert_eq!(asked.is_some(), wildcard, "{bound}: {asked:?}");
        }
    }
}

#[tokio::test]
async fn a_source_address_that_cannot_be_used_is_an_error_of_one_entry() {
    let mut batch = SendBatch::new();
    let mut server = server::<Plain>("udp://127.0.0.1:0").await;
    batch.push(b"x", Addr::inet("127.0.0.1:9".parse().unwrap()), Some("127.0.0.1".parse().unwrap()));
    let error = poll_fn(|cx| server.poll_send(cx, &batch, 0)).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::Unsupported);
    assert_eq!(server.classify(&error), ErrorClass::PeerNoise);
}

async fn bad_entries<E: Engine>() {
    let mut server = server::<E>("udp://127.0.0.1:0").await;
    let mut client = client(&server.local()).await;
    let mut batch = SendBatch::new();
    batch.push(b"first", client.local, None);
    batch.push(b"no address", Addr::named("mem", "x").unwrap(), None);
    batch.push(b"other family", Addr::inet("[::1]:9".parse().unwrap()), None);
    batch.push(&[0; MAX_MESSAGE + 1], client.local, None);
    batch.push(b"last", client.local, None);
    assert_eq!(poll_fn(|cx| server.poll_send(cx, &batch, 0)).await.unwrap(), 1);
    for bad in 1..=3 {
        let error = poll_fn(|cx| server.poll_send(cx, &batch, bad)).await.unwrap_err();
        assert_eq!(server.classify(&error), ErrorClass::PeerNoise);
        if bad < 3 {
            assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "{error}");
        }
    }
    assert_eq!(poll_fn(|cx| server.poll_send(cx, &batch, 4)).await.unwrap(), 1);
    assert_eq!(client.recv().await.unwrap(), b"first");
    assert_eq!(client.recv().await.unwrap(), b"last");
}

#[tokio::test]
async fn an_error_is_about_one_entry() {
    bad_entries::<Default>().await;
    bad_entries::<Plain>().await;
}

async fn dead_peer<E: Engine>() {
    let mut server = server::<E>("udp://127.0.0.1:0").await;
    let gone = client(&server.local()).await.local;
    let mut batch = SendBatch::new();
    for _ in 0..100 {
        batch.push(b"is anybody there", gone, None);
    }
    send(&mut server, &batch).await;
    let mut client = client(&server.local()).await;
    client.send(b"still").await.unwrap();
    echo(&mut server, 1).await;
    assert_eq!(client.recv().await.unwrap(), b"still");
}

/// What was sent and did not arrive is what the system says it dropped.
#[cfg(all(target_os = "linux", not(swapwire_plain)))]
#[tokio::test]
async fn the_system_tells_how_much_it_dropped() {
    let mut server = server::<Default>("udp://127.0.0.1:0?recv_buffer=1").await;
    let mut client = client(&server.local()).await;
    let mut batch = RecvBatch::new(32, server.slot_size());
    assert!(poll_fn(|cx| Poll::Ready(server.poll_recv(cx, &mut batch))).await.is_pending());
    assert_eq!(server.drops(), Some(0));
    for _ in 0..100 {
        client.send(&[b'x'; 500]).await.unwrap();
    }
    poll_fn(|cx| server.poll_recv(cx, &mut batch)).await.unwrap();
    let mut received = 0;
    while !batch.is_empty() {
        received += batch.len();
        batch.clear();
        let more = poll_fn(|cx| Poll::Ready(server.poll_recv(cx, &mut batch))).await;
        assert_eq!(more.is_ready(), !batch.is_empty());
    }
    assert!(received > 0 && received < 100, "{received}");
    assert_eq!(server.drops(), Some(100 - received as u32));
}

#[tokio::test]
async fn a_dead_peer_does_not_end_the_socket() {
    dead_peer::<Default>().await;
    dead_peer::<Plain>().await;
}

#[tokio::test]
async fn hosts_of_all_kinds_can_be_bound_and_dialled() {
    for host in ["127.0.0.1", "127.0.0.9", "localhost", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]"] {
        let mut server = server::<Default>(&format!("udp://{host}:0")).await;
        let local = server.local();
        assert!(!local.to_string().ends_with(":0"), "{local}");
        let mut client = client(&local).await;
        client.send(b"x").await.unwrap();
        echo(&mut server, 1).await;
        assert_eq!(client.recv().await.unwrap(), b"x");
    }
}

#[cfg(all(target_os = "linux", not(swapwire_plain)))]
#[tokio::test]
async fn an_ipv6_wildcard_takes_ipv4_only_when_asked() {
    let only = server::<Default>("udp://[::]:0").await;
    let v4 = endpoint(&format!("udp://127.0.0.1:{}", port(&only.local())));
    let mut refused = client(&v4).await;
    refused.send(b"x").await.unwrap();
    assert!(matches!(refused.recv().await, Err(RecvError::PeerNoise(_))));
    // The IPv4 side of the port is free for another server.
    drop(server::<Default>(&v4.to_string()).await);

    let mut both = server::<Default>("udp://[::]:0?v6_only=false").await;
    let mut client = client(&endpoint(&format!("udp://127.0.0.1:{}", port(&both.local())))).await;
    client.send(b"x").await.unwrap();
    let mut batch = RecvBatch::new(1, MAX_MESSAGE + 1);
    recv(&mut both, &mut batch).await;
    let meta = batch.get(0).unwrap().0;
    assert_eq!(meta.peer, Some(client.local));
    assert_eq!(meta.local, Some("127.0.0.1".parse().unwrap()));
    assert!(client.local.to_string().starts_with("127.0.0.1:"));
}

#[tokio::test]
async fn a_second_bind_is_refused_and_a_later_one_is_not() {
    // An address of its own, so that no other test takes the port meanwhile.
    let first = server::<Default>("udp://127.0.0.77:0").await;
    let local = first.local();
    let error = Udp::new().bind(&local).await.unwrap_err();
    assert!(error.is_addr_in_use());
    assert_eq!(error.to_string(), format!("bind {local}: address in use: another server is listening there"));
    assert!(Udp::new().bind(&endpoint(&format!("{local}?reuse_port=true"))).await.unwrap_err().is_addr_in_use());
    drop(first);
    let shared = endpoint(&format!("{local}?reuse_port=true"));
    let pair = (Udp::new().bind(&shared).await.unwrap(), Udp::new().bind(&shared).await.unwrap());
    assert!(matches!(pair, (Bound::Socket(_), Bound::Socket(_))));
}

#[tokio::test]
async fn wrong_endpoints_say_what_would_be_right() {
    let refused = async |text: &str| Udp::new().bind(&endpoint(text)).await.unwrap_err().to_string();
    assert_eq!(refused("udp:/run/x").await, "bind udp:/run/x: UDP has hosts and ports; write udp://host:port");
    assert!(
        refused("udp://127.0.0.1:0?ttll=1")
            .await
            .contains("unknown option \"ttll\"; did you mean \"ttl\"? known: reuse_port, v6_only")
    );
    for (option, right) in [
        ("ttl=0", "write a number from 1 to 255"),
        ("recv_buffer=2GiB", "write a size from 1 to 1GiB"),
        ("broadcast=maybe", "write true or false"),
        ("v6_only=true", "127.0.0.1 is not an IPv6 address; leave the option out, or write [::]"),
    ] {
        let error = refused(&format!("udp://127.0.0.1:0?{option}")).await;
        assert_eq!(error, format!("bind udp://127.0.0.1:0?{option}: option {option}: {right}"));
    }
    let refused = async |text: &str| Udp::new().connect(&endpoint(text)).await.unwrap_err();
    assert!(matches!(refused("udp://127.0.0.1:0").await, ConnectError::Invalid { .. }));
    assert!(refused("udp://127.0.0.1:1?v6_only=true").await.to_string().ends_with("is for binding only"));
    let error = refused("udp://no-such-host.invalid:1").await.to_string();
    assert!(error.starts_with("connect udp://no-such-host.invalid:1: "), "{error}");
}

#[test]
fn nothing_happens_before_the_first_poll() {
    // Without a runtime, a poll would panic.
    let (udp, to) = (Udp::new(), endpoint("udp://127.0.0.1:1"));
    drop((udp.connect(&to), udp.bind(&to)));
}
