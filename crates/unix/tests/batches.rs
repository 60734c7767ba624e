//! Batches of datagrams over Unix sockets.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::future::{Future as _, poll_fn};
use std::os::unix::net::UnixDatagram;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use common::{connect, endpoint, once, receive, socket};
use swapwire_core::{
    Addr, Bound, Endpoint, Link, MessageStream, RecvBatch, RecvError, SendBatch, SendError, Transport as _, UnixAddr,
};
use swapwire_unix::{MAX_MESSAGE, Unix};

const SLOT: usize = MAX_MESSAGE + 1;

async fn messages(endpoint: &Endpoint) -> (Box<dyn MessageStream>, Addr) {
    match connect(endpoint).await.unwrap() {
        Link::Messages { io, info } => (io, info.local),
        other => panic!("{other:?}"),
    }
}

fn to_send<'a>(messages: impl IntoIterator<Item = &'a [u8]>) -> SendBatch {
    let mut batch = SendBatch::new();
    messages.into_iter().for_each(|message| batch.push(message, Addr::Unix(UnixAddr::UNNAMED), None));
    batch
}

async fn send(io: &mut Box<dyn MessageStream>, batch: &SendBatch, from: usize) -> Result<usize, SendError> {
    poll_fn(|cx| io.poll_send_batch(cx, batch, from)).await
}

async fn recv(io: &mut Box<dyn MessageStream>, batch: &mut RecvBatch) -> Result<Option<usize>, RecvError> {
    batch.clear();
    poll_fn(|cx| io.poll_recv_batch(cx, batch)).await
}

#[tokio::test]
async fn peers_with_names_of_all_lengths_are_told_apart_and_answered() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = socket(&endpoint("unix-dgram", &dir.path().join("s"))).await;
    let offload = server.offload();
    let batched = cfg!(all(target_os = "linux", not(swapwire_plain)));
    assert_eq!((offload.batched_receive, offload.batched_send), (batched, batched));
    for round in 0..3 {
        let names =
            ["a", "much-longer-than-the-others", "middling"].map(|name| dir.path().join(format!("{round}{name}")));
        let clients = names.each_ref().map(|name| UnixDatagram::bind(name).unwrap());
        let nobody = UnixDatagram::unbound().unwrap();
        for i in [1, 0, 2] {
            clients[i].send_to(names[i].as_os_str().as_encoded_bytes(), dir.path().join("s")).unwrap();
            nobody.send_to(b"from nobody", dir.path().join("s")).unwrap();
        }
        let got = receive(&mut server, 8, SLOT).await;
        assert_eq!(got.len(), 6);
        let mut replies = SendBatch::new();
        for (meta, bytes) in &got {
            match meta.peer {
                Some(peer) => replies.push(bytes, peer, None),
                None => assert_eq!(bytes, b"from nobody"),
            }
        }
        assert_eq!(poll_fn(|cx| server.poll_send(cx, &replies, 0)).await.unwrap(), 3);
        for (client, name) in clients.iter().zip(&names) {
            let mut reply = [0; 200];
            let len = client.recv(&mut reply).unwrap();
            assert_eq!(&reply[..len], name.as_os_str().as_encoded_bytes());
        }
    }
}

#[tokio::test]
async fn a_full_queue_makes_a_batch_wait_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = socket(&endpoint("unix-dgram", &dir.path().join("s"))).await;
    let (mut client, _) = messages(&server.local()).await;
    let texts: Vec<_> = (0..500_u32).map(u32::to_be_bytes).collect();
    let batch = to_send(texts.iter().map(|text| text.as_slice()));
    let mut sent = send(&mut client, &batch, 0).await.unwrap();
    while let Some(count) = once(pin!(send(&mut client, &batch, sent))).await {
        sent += count.unwrap();
    }
    assert!((1..500).contains(&sent), "{sent} datagrams fit into the queue");
    let sender = tokio::spawn(async move {
        while sent < batch.len() {
            sent += send(&mut client, &batch, sent).await.unwrap();
        }
        client
    });
    let mut got = Vec::new();
    while got.len() < texts.len() {
        got.extend(receive(&mut server, 8, SLOT).await.into_iter().map(|(_, bytes)| bytes));
    }
    assert!(got.iter().zip(&texts).all(|(got, text)| got == text));
    sender.await.unwrap();
}

#[tokio::test]
async fn a_batch_is_received_whole_with_what_is_too_long_marked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let server = UnixDatagram::bind(&path).unwrap();
    let (mut client, _) = messages(&endpoint("unix-dgram", &path)).await;
    assert_eq!(send(&mut client, &to_send([b"hello".as_slice()]), 0).await.unwrap(), 1);
    let (_, to) = server.recv_from(&mut [0; 5]).unwrap();
    let mut batch = RecvBatch::new(4, 4);
    for expected in [usize::MAX, 9, 1] {
        for message in ["", "1234", "12345"] {
            server.send_to_addr(message.as_bytes(), &to).unwrap();
        }
        let mut got = Vec::new();
        batch.expect(expected);
        while got.len() < 3 {
            recv(&mut client, &mut batch).await.unwrap();
            got.extend(batch.iter().map(|(meta, bytes)| (meta.truncated, bytes.to_vec())));
            batch.expect(usize::MAX);
            if got.len() < 3 && expected == 1 {
                // What waits beyond what was expected comes with what arrives next.
                server.send_to_addr(b"more", &to).unwrap();
            }
        }
        assert_eq!(got[..3], [(false, vec![]), (false, b"1234".to_vec()), (true, b"1234".to_vec())]);
    }
}

#[tokio::test]
async fn a_batch_finds_the_server_again_and_what_is_too_large_is_refused_alone() {
    let dir = tempfile::tempdir().unwrap();
    let place = endpoint("unix-dgram", &dir.path().join("s"));
    let server = socket(&place).await;
    let (mut client, local) = messages(&place).await;
    drop(server);
    let large = vec![0; MAX_MESSAGE + 1];
    let batch = to_send([b"1".as_slice(), b"2", &large, b"3", b"4"]);
    assert!(matches!(send(&mut client, &batch, 0).await, Err(SendError::PeerNoise(_))));
    let mut into = RecvBatch::new(2, 8);
    assert!(once(pin!(recv(&mut client, &mut into))).await.is_none(), "nobody is there");

    let mut server = socket(&place).await;
    let mut sent = 0;
    while sent < 2 {
        sent += send(&mut client, &batch, sent).await.unwrap();
    }
    assert_eq!(sent, 2);
    assert!(matches!(send(&mut client, &batch, 2).await, Err(SendError::TooLarge { max: MAX_MESSAGE, .. })));
    let mut sent = 3;
    while sent < 5 {
        sent += send(&mut client, &batch, sent).await.unwrap();
    }
    let mut got = Vec::new();
    while got.len() < 4 {
        got.extend(receive(&mut server, 8, SLOT).await);
    }
    assert!(got.iter().all(|(meta, _)| meta.peer == Some(local)));
    assert_eq!(got.iter().map(|(_, bytes)| bytes.as_slice()).collect::<Vec<_>>(), [b"1", b"2", b"3", b"4"]);
}

/// Bound without a runtime, and polled on one.
#[test]
fn a_socket_belongs_to_the_runtime_that_polls_it_first() {
    let dir = tempfile::tempdir().unwrap();
    let place = endpoint("unix-dgram", &dir.path().join("s"));
    let unix = Unix::new();
    let bound = pin!(unix.bind(&place)).poll(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(Ok(Bound::Socket(mut socket))) = bound else { panic!("a socket, at once") };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    runtime.block_on(async {
        let (mut client, _) = messages(&place).await;
        assert_eq!(send(&mut client, &to_send([b"x".as_slice()]), 0).await.unwrap(), 1);
        assert_eq!(receive(&mut socket, 4, SLOT).await.len(), 1);
    });
}
