//! Trains of datagrams: received as one, sent as one, and neither when that is switched off.

use std::num::NonZeroUsize;
use std::os::fd::AsFd as _;

use nix::sys::socket::{getsockopt, setsockopt, sockopt};
use swapwire_mmsg::{Merging, Peers, Receiver, Sender};

use super::*;
use crate::link::Connected;

/// A socket that sends and receives trains whatever this crate's options are.
struct Raw(std::net::UdpSocket);

impl Raw {
    fn new(host: &str) -> Self {
        let socket = std::net::UdpSocket::bind(format!("{host}:0")).unwrap();
        socket.set_nonblocking(true).unwrap();
        setsockopt(&socket, sockopt::UdpGroSegment, &true).unwrap();
        Self(socket)
    }

    fn addr(&self) -> Addr {
        Addr::inet(self.0.local_addr().unwrap())
    }

    fn peers(&self) -> Peers {
        if self.0.local_addr().unwrap().is_ipv6() { Peers::Inet6 } else { Peers::Inet }
    }

    /// Sends neighbours of one size as trains.
    fn send(&self, to: Addr, messages: &[Vec<u8>]) {
        let mut batch = SendBatch::new();
        messages.iter().for_each(|message| batch.push(message, to, None));
        let mut sender = Sender::new(self.peers(), MAX_MESSAGE);
        assert_eq!(sender.send(self.0.as_fd(), &batch, 0, &mut Merging::new(true)).unwrap(), messages.len());
    }

    /// What arrived, as it arrived: the size of segments, and the bytes.
    fn receive(&self) -> Vec<(Option<usize>, Vec<u8>)> {
        let mut batch = RecvBatch::new(64, 65_535);
        Receiver::new(self.peers(), MAX_MESSAGE).recv(self.0.as_fd(), &mut batch, 64).unwrap();
        batch.iter().map(|(meta, bytes)| (meta.segment.map(NonZeroUsize::get), bytes.to_vec())).collect()
    }
}

fn messages(sizes: &[usize]) -> Vec<Vec<u8>> {
    sizes.iter().enumerate().map(|(i, size)| vec![i as u8; *size]).collect()
}

fn inet(local: &Endpoint) -> Addr {
    Addr::of_endpoint(local).unwrap()
}

#[tokio::test]
async fn a_bound_socket_receives_trains_and_singles_in_order() {
    // Trains with and without a shorter last segment, singles between them, the largest of both.
    let sizes = [&[10; 5], &[3][..], &[700, 11, 0], &[1452; 45], &[9000], &[20, 20, MAX_MESSAGE], &[1; 64]].concat();
    for host in ["127.0.0.1", "[::1]"] {
        for (gro, trains) in [("", 5), ("&gro=true", 5), ("&gro=false", 0)] {
            let mut server = server::<Default>(&format!("udp://{host}:0?recv_buffer=4MiB{gro}")).await;
            assert_eq!(server.offload().coalescing, trains > 0);
            let client = Raw::new(host);
            let sent = messages(&sizes);
            client.send(inet(&server.local()), &sent);
            let (mut got, mut seen) = (Vec::new(), 0);
            let mut batch = RecvBatch::new(32, server.slot_size());
            while got.len() < sent.len() {
                recv(&mut server, &mut batch).await;
                for (meta, bytes) in batch.iter() {
                    assert_eq!((meta.peer, meta.truncated, meta.local), (Some(client.addr()), false, None));
                    seen += usize::from(meta.segment.is_some());
                    got.extend(meta.datagrams(bytes).map(<[u8]>::to_vec));
                }
            }
            assert!(got == sent, "{host} {gro}: {:?}", got.iter().map(Vec::len).collect::<Vec<_>>());
            assert_eq!(seen, trains, "{host} {gro}");
        }
    }
}

#[tokio::test]
async fn a_wildcard_socket_knows_where_a_train_was_sent_to() {
    for bound in ["udp://0.0.0.0:0", "udp://[::]:0?v6_only=false"] {
        let mut server = server::<Default>(bound).await;
        let port = port(&server.local());
        for host in ["127.0.0.1", "127.0.0.7"] {
            let client = Raw::new("127.0.0.1");
            let asked: SocketAddr = format!("{host}:{port}").parse().unwrap();
            let sent = messages(&[5, 5, 5, 2]);
            client.send(Addr::inet(asked), &sent);
            let mut batch = RecvBatch::new(2, server.slot_size());
            recv(&mut server, &mut batch).await;
            let meta = *batch.get(0).unwrap().0;
            assert_eq!((meta.len, meta.local, meta.segment), (17, Some(asked.ip()), NonZeroUsize::new(5)));
            let mut replies = SendBatch::new();
            sent.iter().for_each(|message| replies.push(message, meta.peer.unwrap(), meta.local));
            send(&mut server, &replies).await;
            assert_eq!(client.receive(), [(Some(5), sent.concat())]);
        }
    }
}

#[tokio::test]
async fn neighbours_leave_as_trains_unless_that_is_switched_off() {
    for (gso, merges) in [("", true), ("?gso=true", true), ("?gso=false", false)] {
        let mut server = server::<Default>(&format!("udp://127.0.0.1:0{gso}")).await;
        assert_eq!(server.offload().segmentation, merges);
        let peer = Raw::new("127.0.0.1");
        let sent = messages(&[8, 8, 8, 3, MAX_MESSAGE]);
        let mut batch = SendBatch::new();
        sent.iter().for_each(|message| batch.push(message, peer.addr(), None));
        send(&mut server, &batch).await;
        let single = |message: &Vec<u8>| (None, message.clone());
        let expected = if merges {
            vec![(Some(8), sent[..4].concat()), single(&sent[4])]
        } else {
            sent.iter().map(single).collect()
        };
        assert!(peer.receive() == expected, "a bound socket, {gso}");

        let mut link = Connected::<Default>::connected(&format!("udp://{}{gso}", peer.addr())).await;
        assert_eq!(poll_fn(|cx| link.poll_send_batch(cx, &batch, 0)).await.unwrap(), 5);
        assert!(peer.receive() == expected, "a connected socket, {gso}");
    }
}

impl Connected<Default> {
    async fn connected(to: &str) -> Self {
        let (socket, options) = connect(&endpoint(to)).await;
        Self::new(socket, &options).unwrap()
    }

    fn local(&self) -> Addr {
        Addr::inet(self.wire.socket.local_addr().unwrap())
    }

    fn receives_trains(&self) -> bool {
        let system = getsockopt(&*self.wire.socket, sockopt::UdpGroSegment).unwrap();
        assert_eq!(self.wire.engine.offload().coalescing, system);
        system
    }
}

/// Receives `count` messages: by batches of `slots`, or one by one.
async fn receive(link: &mut Connected<Default>, count: usize, slots: Option<usize>) -> Vec<Vec<u8>> {
    let mut got = Vec::new();
    let mut batch = RecvBatch::new(slots.unwrap_or(1), 2000);
    while got.len() < count {
        if slots.is_none() {
            let mut into = BytesMut::new();
            poll_fn(|cx| link.poll_recv(cx, &mut into)).await.unwrap();
            got.push(into.to_vec());
            continue;
        }
        batch.clear();
        batch.expect(count - got.len());
        let received = poll_fn(|cx| link.poll_recv_batch(cx, &mut batch)).await.unwrap();
        assert_eq!(received, Some(batch.len()));
        for (meta, bytes) in batch.iter() {
            assert_eq!((meta.peer, meta.truncated, meta.segment), (None, false, None));
            got.push(bytes.to_vec());
        }
    }
    got
}

#[tokio::test]
async fn a_connected_socket_gets_single_messages_out_of_trains() {
    let sizes = [&[10; 5], &[3][..], &[700, 11, 0], &[1452; 45], &[20, 20, 1], &[1; 64]].concat();
    for slots in [None, Some(1), Some(7), Some(100)] {
        for gro in ["", "&gro=true", "&gro=false"] {
            let peer = Raw::new("127.0.0.1");
            let to = format!("udp://{}?recv_buffer=4MiB{gro}", peer.addr());
            let mut link = Connected::connected(&to).await;
            assert_eq!(link.receives_trains(), gro == "&gro=true", "before anything arrived");
            for round in 0..3 {
                let sent = messages(&sizes);
                peer.send(link.local(), &sent);
                let got = receive(&mut link, sent.len(), slots).await;
                assert!(got == sent, "round {round} by {slots:?}, {gro}");
            }
            if gro == "&gro=false" || slots != Some(1) {
                assert_eq!(link.receives_trains(), gro != "&gro=false", "by {slots:?}, {gro}");
            }
        }
    }
}

#[tokio::test]
async fn whoever_asks_one_thing_at_a_time_receives_no_trains() {
    let peer = Raw::new("127.0.0.1");
    let mut link = Connected::connected(&format!("udp://{}", peer.addr())).await;
    for i in 0..10 {
        peer.send(link.local(), &messages(&[i]));
        assert_eq!(receive(&mut link, 1, Some(2)).await, messages(&[i]));
    }
    assert!(!link.receives_trains());
}

#[tokio::test]
async fn single_and_batched_receives_take_turns_within_trains() {
    let peer = Raw::new("127.0.0.1");
    let mut link = Connected::connected(&format!("udp://{}?gro=true", peer.addr())).await;
    let sent: Vec<_> = (0..40_u8).map(|i| vec![i; 6]).collect();
    for _ in 0..3 {
        peer.send(link.local(), &sent);
        let mut got = Vec::new();
        while got.len() < 40 {
            got.extend(receive(&mut link, 1, None).await);
            got.extend(receive(&mut link, 3, Some(3)).await);
        }
        assert_eq!(got, sent);
    }
    let mut into = BytesMut::new();
    assert!(poll_fn(|cx| Poll::Ready(link.poll_recv(cx, &mut into))).await.is_pending());
}

#[tokio::test]
async fn a_system_without_offload_says_so_if_it_is_asked_for() {
    for option in ["gso", "gro"] {
        let text = format!("udp://127.0.0.1:0?{option}=true");
        let (socket, options) = bind(&text).await;
        let error = Server::<Plain>::new(socket, &options).unwrap_err();
        assert_eq!(error.to_string(), format!("this system has no {option}"));
    }
    let server = server::<Plain>("udp://127.0.0.1:0").await;
    assert_eq!(server.offload(), swapwire_core::Offload::default());
}
