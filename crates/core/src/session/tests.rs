use std::time::Duration;

use bytes::BytesMut;
use futures::{FutureExt as _, SinkExt, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::*;
use crate::Framing;

fn info() -> ConnInfo {
    let addr = Addr::named("test", "x").unwrap();
    ConnInfo::new(Peer::new(addr), addr)
}

fn session(config: SessionConfig, room: usize) -> (Session, DuplexStream) {
    let (ours, theirs) = tokio::io::duplex(room);
    (Session::new(Link::bytes(ours, info()), config), theirs)
}

#[tokio::test]
async fn messages_come_framed_and_a_cancelled_recv_loses_nothing() {
    let (mut session, mut peer) = session(SessionConfig::framed(Framing::Lines), 64);
    peer.write_all(b"one\ntw").await.unwrap();
    assert_eq!(session.recv().await.unwrap().unwrap(), "one");
    assert!(session.recv().now_or_never().is_none());
    assert!(session.progress().partial);
    peer.write_all(b"o\nrest").await.unwrap();
    drop(peer);
    assert_eq!(session.recv().await.unwrap().unwrap(), "two");
    assert!(!session.progress().partial, "what was not asked for has not begun");
    assert_eq!(session.recv().await.unwrap().unwrap(), "rest");
    assert_eq!(session.recv().await.unwrap(), None);
    assert_eq!(session.recv().await.unwrap(), None);
}

#[tokio::test]
async fn send_queues_within_the_bound_and_recv_writes() {
    let config = SessionConfig { out_queue: 4, ..SessionConfig::default() };
    let (mut session, mut peer) = session(config, 4);
    session.send("0123456789").await.unwrap();
    assert!(matches!(session.try_send("x"), Err(TrySendError::Full)));
    assert!(session.send("x").now_or_never().is_none());
    let mut got = [0; 10];
    assert_eq!(peer.read(&mut got).await.unwrap(), 4);
    assert!(session.recv().now_or_never().is_none());
    assert_eq!(peer.read(&mut got).await.unwrap(), 4);
    assert!(session.recv().now_or_never().is_none());
    session.try_send("x").unwrap();
    let reader = tokio::spawn(async move {
        let mut all = Vec::new();
        peer.read_to_end(&mut all).await.unwrap();
        all
    });
    session.shutdown().await.unwrap();
    assert!(matches!(session.send("y").await, Err(SendError::Closed)));
    drop(session);
    assert_eq!(reader.await.unwrap(), b"89x");
}

#[tokio::test]
async fn a_push_from_another_task_wakes_the_receiving_owner() {
    let (mut session, mut peer) = session(SessionConfig::default(), 64);
    let sender = session.sender();
    let owner = tokio::spawn(async move { session.recv().await.unwrap() });
    tokio::task::yield_now().await;
    sender.send("pushed").await.unwrap();
    let mut got = [0; 6];
    peer.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"pushed");
    drop(peer);
    assert_eq!(owner.await.unwrap(), None);
    assert!(sender.is_closed());
    assert!(matches!(sender.send("late").await, Err(SendError::Closed)));
}

#[tokio::test]
async fn halves_work_apart_and_the_wire_closes_with_the_last() {
    let (session, mut peer) = session(SessionConfig::framed(Framing::Lines), 64);
    let (mut reader, mut writer) = session.split();
    writer.send("a").await.unwrap();
    writer.flush().await.unwrap();
    peer.write_all(b"b\n").await.unwrap();
    assert_eq!(reader.recv().await.unwrap().unwrap(), "b");
    drop(reader);
    writer.send("c").await.unwrap();
    writer.shutdown().await.unwrap();
    drop(writer);
    let mut all = String::new();
    peer.read_to_string(&mut all).await.unwrap();
    assert_eq!(all, "a\nc\n");
}

#[tokio::test]
async fn a_framing_error_ends_receiving_but_not_sending() {
    let config = SessionConfig { max_message: 4, ..SessionConfig::framed(Framing::length_prefixed()) };
    let (mut session, mut peer) = session(config, 64);
    peer.write_all(&[0xff; 8]).await.unwrap();
    assert!(matches!(session.recv().await, Err(RecvError::Frame(_))));
    assert_eq!(session.recv().await.unwrap(), None);
    assert!(matches!(session.send("12345").await, Err(SendError::TooLarge { len: 5, max: 4 })));
    session.send("1234").await.unwrap();
    session.flush().await.unwrap();
    let mut got = [0; 8];
    peer.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"\0\0\0\x041234");
}

#[tokio::test]
async fn the_raw_stream_begins_with_what_was_read_ahead() {
    let (mut session, mut peer) = session(SessionConfig::framed(Framing::Lines), 64);
    peer.write_all(b"hello\nraw").await.unwrap();
    assert_eq!(session.recv().await.unwrap().unwrap(), "hello");
    session.send("ok").await.unwrap();
    let mut raw = session.into_byte_stream().await.unwrap();
    let mut got = [0; 3];
    raw.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"raw");
    raw.write_all(b"!").await.unwrap();
    drop(raw);
    let mut all = String::new();
    peer.read_to_string(&mut all).await.unwrap();
    assert_eq!(all, "ok\n!");
}

#[tokio::test]
async fn a_guard_keeps_the_wire_until_it_is_closed() {
    let (mut session, mut peer) = session(SessionConfig::default(), 64);
    let guard = session.guard();
    session.send("last words").await.unwrap();
    drop(session);
    peer.write_all(b"unread").await.unwrap();
    peer.shutdown().await.unwrap();
    guard.close(100).await.unwrap();
    drop(guard);
    let mut all = String::new();
    peer.read_to_string(&mut all).await.unwrap();
    assert_eq!(all, "last words");
}

#[tokio::test(start_paused = true)]
async fn draining_ends_an_idle_recv() {
    let token = DrainToken::new();
    let config = SessionConfig { draining: Some(token.clone()), ..SessionConfig::framed(Framing::Lines) };
    let (mut session, mut peer) = session(config, 64);
    peer.write_all(b"first\n").await.unwrap();
    token.begin();
    assert_eq!(session.recv().await.unwrap().unwrap(), "first");
    assert_eq!(session.recv().await.unwrap(), None);
    session.draining().await;
    assert!(tokio::time::timeout(Duration::from_secs(1), peer.read_u8()).await.is_err());
}

#[tokio::test]
async fn draining_does_not_end_a_recv_that_only_lets_others_run() {
    /// Is not ready for two polls before each of two messages, and then for ever.
    struct Busy(u8);
    impl crate::MessageStream for Busy {
        fn poll_recv(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<Result<Option<usize>, RecvError>> {
            self.0 += 1;
            match self.0 {
                1 | 2 | 4 | 5 => cx.waker().wake_by_ref(),
                3 | 6 => {
                    into.extend_from_slice(&[self.0]);
                    return Poll::Ready(Ok(Some(1)));
                }
                _ => {}
            }
            Poll::Pending
        }

        fn poll_send(&mut self, _: &mut Context<'_>, _: &[u8]) -> Poll<Result<(), SendError>> {
            Poll::Ready(Ok(()))
        }

        fn max_message(&self) -> usize {
            1
        }
    }
    let token = DrainToken::new();
    token.begin();
    let config = SessionConfig { draining: Some(token), ..SessionConfig::framed(Framing::Fixed(1)) };
    let mut session = Session::new(Link::messages(Busy(0), info()), config.clone());
    assert_eq!(session.recv().await.unwrap().unwrap(), [3].as_slice());
    assert_eq!(session.recv().await.unwrap().unwrap(), [6].as_slice());
    assert_eq!(session.recv().await.unwrap(), None);

    // tokio's own wires count what the whole task does.
    let (mut session, mut peer) = self::session(config, 64);
    peer.write_all(b"abc").await.unwrap();
    let mut turns = 0;
    for expected in ["a", "b", "c"] {
        let received = poll_fn(|cx| {
            let first = std::mem::replace(&mut turns, 1) == 0;
            while first && tokio::task::coop::has_budget_remaining() {
                let _ = std::pin::pin!(tokio::task::consume_budget()).poll(cx);
            }
            session.poll_recv(cx)
        });
        assert_eq!(received.await.unwrap().unwrap(), expected);
    }
    assert_eq!(session.recv().await.unwrap(), None);
}

#[tokio::test]
async fn it_is_a_stream_and_a_sink() {
    let (mut ours, theirs) = session(SessionConfig::framed(Framing::Lines), 64);
    let mut theirs = Session::new(Link::bytes(theirs, info()), SessionConfig::framed(Framing::Lines));
    SinkExt::send(&mut ours, "x").await.unwrap();
    assert_eq!(theirs.next().await.unwrap().unwrap(), "x");
    SinkExt::<&str>::close(&mut ours).await.unwrap();
    assert!(theirs.next().await.is_none());
}

#[tokio::test]
async fn who_reads_in_a_task_of_its_own_hears_that_the_server_closes() {
    let (session, _peer) = session(SessionConfig::default(), 64);
    let guard = session.guard();
    let (mut reader, _writer) = session.split();
    let reads = tokio::spawn(async move { reader.recv().await });
    tokio::task::yield_now().await;
    drop(guard);
    let read = tokio::time::timeout(Duration::from_secs(60), reads).await.expect("it is woken").unwrap();
    assert_eq!(read.unwrap(), None);
}

#[tokio::test]
async fn a_guard_knows_how_its_session_broke_off() {
    let config = SessionConfig { max_message: 4, ..SessionConfig::framed(Framing::Lines) };
    let (mut bad, mut peer) = session(config.clone(), 64);
    let guard = bad.guard();
    peer.write_all(b"fine\ntoo long").await.unwrap();
    assert_eq!(bad.recv().await.unwrap().unwrap(), "fine");
    assert_eq!(guard.fault(), None);
    assert!(bad.recv().await.is_err());
    assert_eq!(guard.fault(), Some(SessionFault::BadFrame));

    let (mut broken, peer) = session(config.clone(), 2);
    let guard = broken.guard();
    drop(peer);
    assert_eq!((broken.recv().await.unwrap(), guard.fault()), (None, None), "an end is no fault");
    broken.send("hi").await.unwrap();
    assert!(broken.flush().await.is_err());
    assert_eq!((guard.fault(), guard.refused()), (Some(SessionFault::Broken), 0));
}
