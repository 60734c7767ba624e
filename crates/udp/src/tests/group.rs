//! Groups of sockets that share one place.

use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use super::*;

async fn group(text: &str, members: usize) -> Vec<Box<dyn DatagramSocket>> {
    let bound = Udp::new().bind_group(&endpoint(text), members).await.unwrap();
    let socket = |bound| match bound {
        Bound::Socket(socket) => socket,
        other => panic!("{other:?}"),
    };
    bound.into_iter().map(socket).collect()
}

async fn in_use(text: &str) {
    let udp = Udp::new();
    assert!(udp.bind(&endpoint(text)).await.unwrap_err().is_addr_in_use());
    assert!(udp.bind_group(&endpoint(text), 2).await.unwrap_err().is_addr_in_use());
}

/// Answers what waits at the member, which is something; how many that were.
async fn answer(member: &mut Box<dyn DatagramSocket>) -> usize {
    let (mut batch, mut replies) = (RecvBatch::new(32, member.slot_size()), SendBatch::new());
    let first = tokio::time::timeout(Duration::from_secs(10), poll_fn(|cx| member.poll_recv(cx, &mut batch)));
    first.await.expect("every member gets some").unwrap();
    let mut answered = 0;
    loop {
        replies.clear();
        for (meta, message) in batch.iter() {
            replies.push(message, meta.peer.unwrap(), meta.local);
        }
        let mut sent = 0;
        while sent < replies.len() {
            sent += poll_fn(|cx| member.poll_send(cx, &replies, sent)).await.unwrap();
        }
        answered += sent;
        batch.clear();
        if poll_fn(|cx| Poll::Ready(member.poll_recv(cx, &mut batch))).await.is_pending() {
            return answered;
        }
    }
}

#[tokio::test]
async fn every_member_gets_some_and_all_are_answered() {
    for bound in ["udp://127.0.0.78:0?recv_buffer=4MiB", "udp://[::]:0?v6_only=false&recv_buffer=4MiB"] {
        let mut members = group(bound, 3).await;
        let local = members[0].local();
        assert_eq!(members.iter().map(|member| member.local()).collect::<Vec<_>>(), vec![local.clone(); 3]);
        in_use(&local.to_string()).await;

        let to = match local.to_string().split_once("[::]") {
            Some((_, port)) => format!("127.0.0.1{port}"),
            None => local.to_string().replace("udp://", ""),
        };
        let clients: Vec<_> = (0..300_u32)
            .map(|i| {
                let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
                client.connect(&to).unwrap();
                client.send(&i.to_be_bytes()).unwrap();
                client
            })
            .collect();
        let mut answered = Vec::new();
        for member in &mut members {
            answered.push(answer(member).await);
        }
        assert_eq!(answered.iter().sum::<usize>(), 300, "{answered:?}");
        assert!(answered.iter().all(|count| *count >= 30), "{answered:?}");
        for (i, client) in clients.iter().enumerate() {
            let mut reply = [0; 8];
            assert_eq!(client.recv(&mut reply).unwrap(), 4);
            assert_eq!(reply[..4], u32::try_from(i).unwrap().to_be_bytes());
        }

        // One member by itself keeps the place; after the last it is free.
        members.truncate(1);
        in_use(&local.to_string()).await;
        members.clear();
        drop(group(&local.to_string(), 2).await);
    }
}

#[tokio::test]
async fn a_group_that_shares_with_others_is_shared() {
    let first = group("udp://127.0.0.79:0?reuse_port=true", 2).await;
    let shared = format!("{}?reuse_port=true", first[0].local());
    assert_eq!(group(&shared, 2).await.len(), 2);
    assert_eq!(group("udp://127.0.0.79:0", 1).await.len(), 1);
}

/// Bound without a runtime, polled on one, and then on no other.
#[test]
fn a_socket_belongs_to_the_runtime_that_polls_it_first() {
    let at = endpoint("udp://127.0.0.1:0");
    let udp = Udp::new();
    let mut binding = pin!(udp.bind_group(&at, 2));
    let Poll::Ready(bound) = binding.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("an address needs no resolver");
    };
    let Bound::Socket(mut socket) = bound.unwrap().remove(0) else { panic!("a socket") };
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    // A runtime that ends before the first poll takes nothing with it.
    drop(runtime());
    runtime().block_on(async {
        let mut client = client(&socket.local()).await;
        client.send(b"hello").await.unwrap();
        let mut batch = RecvBatch::new(2, socket.slot_size());
        poll_fn(|cx| socket.poll_recv(cx, &mut batch)).await.unwrap();
        assert_eq!(batch.get(0).unwrap().1, b"hello");
    });
}
