//! Wires whose messages are frames of a byte stream: both kinds of handler, what the protocol says in between, and every end.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::time::Duration;

use crate::common::framed::{BAD, BINARY, CLOSE, DONE, FAILED, Framed, GOING_AWAY, PIECE, PING, PONG, TEXT, frame};
use crate::common::{ask, limits, text, until};
use futures::FutureExt as _;
use swapwire_core::{
    ByteStream, Framing, Handler, HandlerError, Link, Registry, Reply, Request, Session, SessionConfig, SessionHandler,
    async_trait,
};
use swapwire_mem::MemNetwork;
use swapwire_server::{Limits, PerMessage, PerSession, Running, Server, ServerBuilder, WhenFull};
use swapwire_stack::WithLayer as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Says its message again, and does what that says.
struct Obeys;

impl Handler for Obeys {
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        reply.send(request.message())?;
        match request.message() {
            b"close" => reply.close(),
            b"fail" => return Err("as asked".into()),
            b"bytes" => reply.send(b"\xff")?,
            _ => {}
        }
        Ok(())
    }
}

#[async_trait]
impl SessionHandler for Obeys {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        while let Some(message) = session.recv().await? {
            session.send(&message).await?;
            match &message[..] {
                b"close" => return Ok(()),
                b"fail" => return Err("as asked".into()),
                b"bytes" => session.send(b"\xff").await?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// A server of a kind of handler, and a raw client.
struct Talk {
    server: Running,
    registry: Registry,
    client: Box<dyn ByteStream>,
}

const KINDS: [bool; 2] = [false, true];

impl Talk {
    async fn begin(per_session: bool, limits: Limits) -> Self {
        Self::begin_with(per_session, limits, |builder| builder).await
    }

    async fn begin_with(
        per_session: bool,
        limits: Limits,
        change: impl FnOnce(ServerBuilder) -> ServerBuilder,
    ) -> Self {
        let registry = Registry::new().with(MemNetwork::new()).with_layer(Framed);
        let builder = change(Server::builder().registry(registry.clone()).listen("framed+mem:a").limits(limits));
        let builder = match per_session {
            true => builder.handler(PerSession::new(Obeys)),
            false => builder.handler(PerMessage::new(Obeys)),
        };
        let server = builder.bind().await.unwrap().start();
        let Link::Bytes { io: client, .. } = registry.connect(&"mem:a".parse().unwrap()).await.unwrap() else {
            panic!("a byte stream");
        };
        Self { server, registry, client }
    }

    async fn say(&mut self, frames: &[Vec<u8>]) {
        self.client.write_all(&frames.concat()).await.unwrap();
    }

    async fn hears(&mut self, frames: &[Vec<u8>]) {
        let mut heard = vec![0; frames.concat().len()];
        self.client.read_exact(&mut heard).await.unwrap();
        assert_eq!(heard, frames.concat());
    }

    async fn hears_the_end(&mut self, why: &[u8]) {
        self.hears(&[frame(CLOSE, why)]).await;
        assert_eq!(self.client.read(&mut [0]).await.unwrap(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn messages_pings_and_pieces_are_answered_in_their_order_and_kind() {
    for kind in KINDS {
        let mut talk = Talk::begin(kind, limits(|_| {})).await;
        let asked = [
            frame(TEXT, b"a"),
            frame(PING, b"1"),
            frame(BINARY, b"b"),
            frame(PIECE, b"in "),
            frame(PIECE, b""),
            frame(TEXT, b"pieces"),
            frame(PONG, b"nobody asked"),
            frame(PING, b"2"),
            frame(TEXT, b""),
        ];
        let answers = [
            frame(TEXT, b"a"),
            frame(PONG, b"1"),
            frame(BINARY, b"b"),
            frame(TEXT, b"in pieces"),
            frame(PONG, b"2"),
            frame(TEXT, b""),
        ];
        talk.say(&asked).await;
        talk.hears(&answers).await;
        for byte in asked.concat() {
            talk.client.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        talk.hears(&answers).await;
        talk.say(&[frame(CLOSE, b"bye"), frame(TEXT, b"too late")]).await;
        talk.hears_the_end(b"bye").await;
        let stats = talk.server.stop().await.stats;
        assert_eq!((stats.messages, stats.done), (8, 1), "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn text_that_is_none_leaves_in_another_kind_and_is_counted() {
    for kind in KINDS {
        let mut talk = Talk::begin(kind, limits(|_| {})).await;
        talk.say(&[frame(TEXT, b"bytes"), frame(BINARY, b"bytes")]).await;
        let (asked, bytes) = (b"bytes", b"\xff");
        let answers = [frame(TEXT, asked), frame(BINARY, bytes), frame(BINARY, asked), frame(BINARY, bytes)];
        talk.hears(&answers).await;
        talk.say(&[frame(CLOSE, b"")]).await;
        until(&talk.server, |stats| stats.done == 1).await;
        assert_eq!(talk.server.snapshot().replies_not_text, 1, "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn lines_end_as_those_they_answer() {
    for kind in KINDS {
        let mut talk = Talk::begin_with(kind, limits(|_| {}), |builder| builder.framing(Framing::Lines)).await;
        talk.say(&[frame(TEXT, b"a\r\n"), frame(BINARY, b"b"), frame(TEXT, b"c\n"), frame(TEXT, b"close\n")]).await;
        talk.hears(&[frame(TEXT, b"a\n"), frame(BINARY, b"b"), frame(TEXT, b"c\n"), frame(TEXT, b"close\n")]).await;
        talk.hears_the_end(DONE).await;
    }
}

#[tokio::test(start_paused = true)]
async fn every_end_says_why() {
    for kind in KINDS {
        let quick = |l: &mut Limits| {
            (l.idle_timeout, l.frame_timeout) = (Some(Duration::from_secs(100)), Some(Duration::from_secs(10)));
        };
        let mut talk = Talk::begin(kind, limits(quick)).await;
        talk.say(&[frame(TEXT, b"a"), frame(TEXT, b"close"), frame(TEXT, b"unread")]).await;
        talk.hears(&[frame(TEXT, b"a"), frame(TEXT, b"close")]).await;
        talk.hears_the_end(DONE).await;

        let mut talk = Talk::begin(kind, limits(quick)).await;
        talk.say(&[frame(TEXT, b"a"), frame(77, b""), frame(TEXT, b"unread")]).await;
        talk.hears(&[frame(TEXT, b"a")]).await;
        talk.hears_the_end(BAD).await;
        until(&talk.server, |stats| stats.bad_frames == 1).await;

        let mut talk = Talk::begin(kind, limits(quick)).await;
        talk.say(&[frame(TEXT, b"fail")]).await;
        if kind {
            talk.hears(&[frame(TEXT, b"fail")]).await;
        }
        talk.hears_the_end(FAILED).await;
        until(&talk.server, |stats| stats.handler_errors == 1).await;

        let mut talk = Talk::begin(kind, limits(quick)).await;
        talk.say(&[frame(TEXT, b"a")]).await;
        talk.hears(&[frame(TEXT, b"a")]).await;
        talk.hears_the_end(GOING_AWAY).await;
        until(&talk.server, |stats| stats.idle_timeouts == 1).await;

        for partial in [frame(TEXT, b"abc")[..4].to_vec(), frame(PIECE, b"a")] {
            let mut talk = Talk::begin(kind, limits(quick)).await;
            talk.say(&[partial]).await;
            talk.hears_the_end(FAILED).await;
            until(&talk.server, |stats| stats.frame_timeouts == 1).await;
        }

        let mut talk = Talk::begin(kind, limits(quick)).await;
        talk.say(&[frame(TEXT, b"a")]).await;
        talk.hears(&[frame(TEXT, b"a")]).await;
        let Talk { server, mut client, .. } = talk;
        let client = async move {
            let mut close = vec![0; 2 + GOING_AWAY.len()];
            client.read_exact(&mut close).await.unwrap();
            assert_eq!(close, frame(CLOSE, GOING_AWAY));
        };
        let (report, ()) = tokio::join!(server.stop(), client);
        assert!(report.is_clean() && report.stats.drained == 1, "{report}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_without_a_close_is_a_broken_connection() {
    for kind in KINDS {
        for partial in [&b""[..], b"\x01"] {
            let mut talk = Talk::begin(kind, limits(|_| {})).await;
            talk.say(&[frame(TEXT, b"a"), partial.to_vec()]).await;
            talk.hears(&[frame(TEXT, b"a")]).await;
            talk.client.shutdown().await.unwrap();
            let is_partial = !partial.is_empty();
            until(&talk.server, |stats| if is_partial { stats.bad_frames == 1 } else { stats.broken == 1 }).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn pings_are_signs_of_life() {
    for kind in KINDS {
        let quick = |l: &mut Limits| l.idle_timeout = Some(Duration::from_secs(100));
        let mut talk = Talk::begin(kind, limits(quick)).await;
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_secs(60)).await;
            talk.say(&[frame(PING, b"x")]).await;
            talk.hears(&[frame(PONG, b"x")]).await;
        }
        assert_eq!(talk.server.snapshot().idle_timeouts, 0, "{kind}");
    }
}

/// A peer that pings and reads nothing is given up like one that takes no replies, and is not heard meanwhile.
#[tokio::test(start_paused = true)]
async fn a_flood_of_pings_by_a_peer_that_reads_nothing_ends() {
    let quick = |l: &mut Limits| l.write_timeout = Some(Duration::from_secs(5));
    let mut talk = Talk::begin(false, limits(quick)).await;
    let flood = vec![frame(PING, &[b'x'; 125]); 1000].concat();
    let mut said = 0;
    while let Ok(Ok(())) = tokio::time::timeout(Duration::from_secs(60), talk.client.write_all(&flood)).await {
        said += flood.len();
        assert!(said < 8 << 20, "it takes everything");
    }
    until(&talk.server, |stats| stats.write_timeouts == 1).await;
}

#[tokio::test(start_paused = true)]
async fn both_sides_are_sessions() {
    for kind in KINDS {
        let talk = Talk::begin(kind, limits(|_| {})).await;
        let link = talk.registry.connect(&talk.server.local_endpoints()[0]).await.unwrap();
        let mut client = Session::new(link, SessionConfig::default());
        assert_eq!(ask(&mut client, "hello").await, "hello");
        client.send("close").await.unwrap();
        assert_eq!(text(&mut client).await, "close");
        assert!(client.recv().await.unwrap().is_none());
        let link = talk.registry.connect(&talk.server.local_endpoints()[0]).await.unwrap();
        let mut client = Session::new(link, SessionConfig::default());
        client.send("x").await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(text(&mut client).await, "x");
        assert!(client.recv().await.unwrap().is_none());
        assert!(client.into_byte_stream().await.is_err());
        drop(talk.client);
        until(&talk.server, |stats| stats.done == 2).await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_is_refused_hears_why_and_a_good_bye() {
    let full = |l: &mut Limits| (l.max_connections, l.when_full) = (1, WhenFull::refuse("full"));
    let mut talk = Talk::begin(false, limits(full)).await;
    talk.say(&[frame(TEXT, b"a")]).await;
    talk.hears(&[frame(TEXT, b"a")]).await;
    let Link::Bytes { mut io, .. } = talk.registry.connect(&"mem:a".parse().unwrap()).await.unwrap() else {
        panic!("a byte stream");
    };
    let mut heard = Vec::new();
    io.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, [frame(TEXT, b"full"), frame(CLOSE, GOING_AWAY)].concat());
}

/// The two ends of a session over a byte stream, as it is seen there.
fn session() -> (Session, tokio::io::DuplexStream) {
    let (ours, theirs) = tokio::io::duplex(256);
    let addr = swapwire_core::Addr::named("test", "here").unwrap();
    let info = swapwire_core::ConnInfo::new(swapwire_core::Peer::new(addr), addr);
    let link = Link::framed(Box::new(ours), Framing::frames(Framed), info);
    (Session::new(link, SessionConfig::default()), theirs)
}

#[tokio::test(start_paused = true)]
async fn a_session_in_halves_answers_pings_while_nobody_writes_and_while_somebody_waits() {
    let (session, mut peer) = session();
    let (mut reader, mut writer) = session.split();
    let reads = tokio::spawn(async move { reader.recv().await.unwrap().unwrap() });
    peer.write_all(&frame(PING, b"1")).await.unwrap();
    let mut pong = [0; 3];
    peer.read_exact(&mut pong).await.unwrap();
    assert_eq!(pong.to_vec(), frame(PONG, b"1"));
    // One that writes more than the wire takes is woken although the reader has answered meanwhile.
    let writes = tokio::spawn(async move {
        for _ in 0..4 {
            writer.send([b'x'; 200]).await.unwrap();
        }
        writer.flush().await.unwrap();
    });
    tokio::time::sleep(Duration::from_millis(1)).await;
    peer.write_all(&frame(PING, b"2")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    let mut all = vec![0; 4 * 202 + 3];
    peer.read_exact(&mut all).await.unwrap();
    assert_eq!(all[4 * 202..].to_vec(), frame(PONG, b"2"));
    writes.await.unwrap();
    peer.write_all(&frame(TEXT, b"end")).await.unwrap();
    assert_eq!(reads.await.unwrap(), "end");
}

#[tokio::test(start_paused = true)]
async fn a_session_owes_a_peer_that_reads_nothing_no_more_than_a_few_answers() {
    let (mut session, mut peer) = session();
    let flood = async {
        for number in 0..20_000_u32 {
            peer.write_all(&frame(PING, &number.to_be_bytes())).await.unwrap();
        }
    };
    tokio::select! {
        () = flood => {}
        message = session.recv() => panic!("{message:?}"),
    }
    assert!(session.recv().now_or_never().is_none());
    let progress = session.progress();
    assert!(progress.memory < 32 << 10 && progress.unsent < 8 << 10, "{progress:?}");
    // The last of them is answered, and then it goes on.
    let mut last = Vec::new();
    while last != frame(PONG, &19_999_u32.to_be_bytes()) {
        let mut pong = [0; 6];
        tokio::select! {
            read = peer.read_exact(&mut pong) => drop(read.unwrap()),
            message = session.recv() => panic!("{message:?}"),
        }
        last = pong.to_vec();
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_hears_how_its_peer_ended() {
    for (sent, ends_well) in [(frame(CLOSE, DONE), true), (frame(CLOSE, FAILED), false), (Vec::new(), false)] {
        let (mut session, mut peer) = session();
        peer.write_all(&sent).await.unwrap();
        peer.shutdown().await.unwrap();
        let end = session.recv().await;
        assert_eq!(matches!(end, Ok(None)), ends_well, "{end:?}");
        assert!(session.recv().await.unwrap().is_none());
        assert!(session.send("x").await.is_err() || sent.is_empty());
        let mut heard = Vec::new();
        drop(session);
        peer.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, sent);
    }
}
