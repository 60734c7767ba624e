use std::task::{Context, Poll};
use std::time::Duration;

use swapwire_core::{Addr, ConnInfo, Framing, Input, Link, MessageStream, Peer, RecvError, Session, SessionConfig};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::*;
use crate::testing::session;

struct Guest {
    session: Session,
    task: JoinHandle<Result<(), HandlerError>>,
}

impl Guest {
    async fn says(&mut self, text: &str) {
        self.session.send(text).await.unwrap();
        self.session.flush().await.unwrap();
    }

    async fn hears(&mut self) -> String {
        let message = self.session.recv().await.unwrap().unwrap();
        String::from_utf8(message.to_vec()).unwrap()
    }
}

fn info(name: &str) -> ConnInfo {
    let addr = Addr::named("test", name).unwrap();
    ConnInfo::new(Peer::new(addr), addr)
}

fn lines() -> SessionConfig {
    SessionConfig::framed(Framing::Lines)
}

async fn enter(chat: &Chat, name: &str, config: SessionConfig, room: usize) -> Guest {
    let (ours, theirs) = session(name, config, room);
    let guest = Session::new(Link::bytes(theirs, info("server")), lines());
    let guest = Guest { session: guest, task: serve(chat, ours) };
    tokio::task::yield_now().await;
    guest
}

fn serve(chat: &Chat, session: Session) -> JoinHandle<Result<(), HandlerError>> {
    let chat = chat.clone();
    tokio::spawn(async move { chat.run(session).await })
}

/// A wire with boundaries, as a session on a datagram socket has.
struct Wire {
    incoming: mpsc::Receiver<Vec<u8>>,
    outgoing: mpsc::Sender<Vec<u8>>,
}

impl MessageStream for Wire {
    fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut bytes::BytesMut,
    ) -> Poll<Result<Option<usize>, RecvError>> {
        self.incoming.poll_recv(cx).map(|message| {
            Ok(message.map(|message| {
                into.extend_from_slice(&message);
                message.len()
            }))
        })
    }

    fn poll_send(&mut self, _: &mut Context<'_>, message: &[u8]) -> Poll<Result<(), SendError>> {
        Poll::Ready(self.outgoing.try_send(message.to_vec()).map_err(|_| SendError::Congested))
    }

    fn max_message(&self) -> usize {
        100
    }
}

/// A wire whose transport has a bug.
struct Broken;

impl MessageStream for Broken {
    fn poll_recv(&mut self, _: &mut Context<'_>, _: &mut bytes::BytesMut) -> Poll<Result<Option<usize>, RecvError>> {
        panic!("a bug")
    }

    fn poll_send(&mut self, _: &mut Context<'_>, _: &[u8]) -> Poll<Result<(), SendError>> {
        Poll::Pending
    }

    fn max_message(&self) -> usize {
        100
    }
}

#[tokio::test]
async fn a_message_goes_to_all_others() {
    let chat = Chat::new();
    let mut ann = enter(&chat, "ann", lines(), 1024).await;
    let mut bob = enter(&chat, "bob", lines(), 1024).await;
    let mut eve = enter(&chat, "eve", lines(), 1024).await;
    assert_eq!(chat.members(), 3);
    ann.says("hello").await;
    assert_eq!(bob.hears().await, "test:ann: hello");
    assert_eq!(eve.hears().await, "test:ann: hello");
    bob.says("hi ann").await;
    assert_eq!(ann.hears().await, "test:bob: hi ann");
    assert_eq!(eve.hears().await, "test:bob: hi ann");
    assert_eq!(chat.dropped(), 0);
}

#[tokio::test]
async fn streams_and_datagram_sessions_share_a_room() {
    let chat = Chat::new();
    let mut ann = enter(&chat, "ann", lines(), 1024).await;
    let (to_room, incoming) = mpsc::channel(8);
    let (outgoing, mut from_room) = mpsc::channel(8);
    let wire = Link::messages(Wire { incoming, outgoing }, info("udp"));
    let task = serve(&chat, Session::new(wire, SessionConfig::default()));
    to_room.send(Vec::new()).await.unwrap();
    to_room.send(b"\r\n".to_vec()).await.unwrap();
    to_room.send(b"one\ntest:bob: \x1b[2Jtwo\tthree\r\n".to_vec()).await.unwrap();
    assert_eq!(ann.hears().await, "test:udp: one test:bob:  [2Jtwo\tthree");
    ann.says("hello").await;
    assert_eq!(from_room.recv().await.unwrap(), b"test:ann: hello");
    // Longer than that wire's largest message.
    ann.says(&"x".repeat(100)).await;
    ann.says("again").await;
    assert_eq!(from_room.recv().await.unwrap(), b"test:ann: again");
    assert_eq!(chat.dropped(), 1);
    drop(to_room);
    task.await.unwrap().unwrap();
    assert_eq!(chat.members(), 1);
}

#[tokio::test]
async fn a_newcomer_to_a_full_room_is_told_and_sent_away() {
    let chat = Chat::with_capacity(1);
    let ann = enter(&chat, "ann", lines(), 1024).await;
    let mut bob = enter(&chat, "bob", lines(), 1024).await;
    assert_eq!(bob.hears().await, "the chat is full: its capacity is 1");
    assert_eq!(bob.session.recv().await.unwrap(), None);
    bob.task.await.unwrap().unwrap();
    drop(ann.session);
    ann.task.await.unwrap().unwrap();
    assert_eq!(chat.members(), 0);
    let _eve = enter(&chat, "eve", lines(), 1024).await;
    assert_eq!(chat.members(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_slow_member_misses_messages_and_nobody_waits_for_it() {
    let chat = Chat::new();
    let mut config = lines();
    config.out_queue = 40;
    let mut slow = enter(&chat, "slow", config, 16).await;
    let mut ann = enter(&chat, "ann", lines(), 1024).await;
    let mut bob = enter(&chat, "bob", lines(), 1024).await;
    for number in 0..20 {
        ann.says(&format!("message {number}")).await;
        assert_eq!(bob.hears().await, format!("test:ann: message {number}"));
    }
    assert_eq!(slow.hears().await, "test:ann: message 0");
    let mut heard = 1;
    while tokio::time::timeout(Duration::from_secs(1), slow.hears()).await.is_ok() {
        heard += 1;
    }
    assert!(heard < 20);
    assert_eq!(chat.dropped(), 20 - heard);
    assert_eq!(chat.members(), 3);
    ann.says("still there?").await;
    assert_eq!(slow.hears().await, "test:ann: still there?");
}

#[tokio::test]
async fn a_member_leaves_however_its_session_ends() {
    let chat = Chat::new();
    let returned = enter(&chat, "a", lines(), 1024).await;
    let mut config = lines();
    config.max_message = 4;
    let failed = enter(&chat, "b", config, 1024).await;
    let dropped = enter(&chat, "c", lines(), 1024).await;
    assert_eq!(chat.members(), 3);
    drop(returned.session);
    returned.task.await.unwrap().unwrap();
    assert_eq!(chat.members(), 2);
    let mut peer = failed.session;
    peer.send("too long").await.unwrap();
    peer.flush().await.unwrap();
    failed.task.await.unwrap().unwrap_err();
    assert_eq!(chat.members(), 1);
    dropped.task.abort();
    assert!(dropped.task.await.unwrap_err().is_cancelled());
    assert_eq!(chat.members(), 0);
    let panicked = serve(&chat, Session::new(Link::messages(Broken, info("d")), SessionConfig::default()));
    assert!(panicked.await.unwrap_err().is_panic());
    assert_eq!(chat.members(), 0);
}

#[tokio::test]
async fn a_room_is_shared_by_clones_and_needs_messages() {
    let chat = Chat::default();
    let _ann = enter(&chat, "ann", lines(), 1024).await;
    assert_eq!(chat.clone().members(), 1);
    assert_eq!(Chat::new().members(), 0);
    assert_eq!(chat.properties().input, Input::Messages);
    assert!(chat.properties().amplifies);
    assert_eq!(format!("{chat:?}"), "Chat { members: 1, dropped: 0, .. }");
}
