//! Once warm, a bound socket receives and answers without touching the heap.
#![cfg(target_os = "linux")]

use std::future::poll_fn;

use swapwire_core::{Bound, DatagramSocket, Endpoint, RecvBatch, SendBatch, Transport};
use swapwire_udp::{MAX_MESSAGE, Udp};

#[global_allocator]
static HEAP: dhat::Alloc = dhat::Alloc;

async fn echo(server: &mut dyn DatagramSocket, batch: &mut RecvBatch, replies: &mut SendBatch, count: usize) {
    let mut done = 0;
    while done < count {
        batch.clear();
        poll_fn(|cx| server.poll_recv(cx, batch)).await.expect("datagrams");
        replies.clear();
        for (meta, message) in batch.iter() {
            replies.push(message, meta.peer.expect("UDP has senders"), meta.local);
        }
        done += replies.len();
        let mut sent = 0;
        while sent < replies.len() {
            sent += poll_fn(|cx| server.poll_send(cx, replies, sent)).await.expect("room");
        }
    }
}

#[tokio::test]
async fn a_warm_socket_does_not_allocate() {
    let _profiler = dhat::Profiler::builder().testing().build();
    for bound in ["udp://127.0.0.1:0", "udp://0.0.0.0:0", "udp://[::1]:0", "udp://[::]:0?v6_only=false"] {
        let endpoint: Endpoint = bound.parse().unwrap();
        let Bound::Socket(mut server) = Udp::new().bind(&endpoint).await.unwrap() else { panic!("a socket") };
        let port = server.local().to_string().rsplit_once(':').unwrap().1.to_owned();
        let host = if bound.contains("[::1]") { "[::1]" } else { "127.0.0.1" };
        let client = std::net::UdpSocket::bind(format!("{host}:0")).unwrap();
        client.connect(format!("{host}:{port}")).unwrap();
        let (mut batch, mut replies) = (RecvBatch::new(32, MAX_MESSAGE + 1), SendBatch::new());
        let mut warm = 0;
        let mut back = [0; 16];
        for round in 0..20 {
            for i in 0..50_u8 {
                // Two sizes in turn and runs of one size: both the single and the segmented way out.
                client.send(if i % 2 == 0 || i > 25 { b"a message" } else { b"short" }).unwrap();
            }
            if round == 2 {
                warm = dhat::HeapStats::get().total_blocks;
            }
            echo(server.as_mut(), &mut batch, &mut replies, 50).await;
            for _ in 0..50 {
                client.recv(&mut back).unwrap();
            }
        }
        assert_eq!(dhat::HeapStats::get().total_blocks - warm, 0, "{bound} allocates");
    }
}
