//! Handlers that replace the `Reply` they are lent: it costs their own call, and nobody else a byte.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::pin::Pin;
use std::task::{Context, Poll};

use crate::common::forged::Forged;
use crate::common::hostile::{Hostile, TRICKS};
use crate::common::{Net, ask, limits, text, until};
use swapwire_core::{
    Framing, Handler, HandlerError, HandlerProperties, Reply, Request, Session, SessionHandler, async_trait,
};
use swapwire_server::{IntoService, PerMessage, PerSession, Running, Server};

/// The one call that played the trick was counted.
fn is_blamed(server: &Running, trick: &str) {
    let stats = server.snapshot();
    let expected = if trick.starts_with("panic") { (0, 1) } else { (1, 0) };
    assert_eq!((stats.handler_errors, stats.panics), expected, "{trick}");
}

/// All of them arrive together, so that they are one batch.
#[tokio::test(start_paused = true)]
async fn others_of_the_batch_get_their_datagrams_and_the_bound_holds() {
    for waits in [false, true] {
        for (trick, position) in TRICKS.into_iter().flat_map(|trick| [0, 1, 3].map(|position| (trick, position))) {
            let what = format!("{trick} at {position}, waits: {waits}");
            let wire = Forged::default();
            let builder = Server::builder().transport(wire.clone()).listen("forged://192.0.2.200:7");
            let server = builder.handler(Hostile::new(waits)).bind().await.unwrap().start();
            let honest = [(1, "one"), (3, "three"), (1, "")];
            let mut sent = honest.to_vec();
            sent.insert(position, (2, trick));
            for batch in [sent, honest.to_vec()] {
                for (peer, message) in batch {
                    wire.send(&format!("192.0.2.{peer}:9"), message);
                }
                let mut replies = wire.replies().await;
                replies.sort();
                let expected = [(1, ""), (1, "ONE"), (3, "THREE")];
                let expected = expected.map(|(peer, reply)| (format!("192.0.2.{peer}:9"), reply.as_bytes().to_vec()));
                assert_eq!(replies, expected, "{what}");
            }
            is_blamed(&server, &what);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn earlier_replies_of_the_same_read_and_later_connections_are_whole() {
    let codec = || Framing::codec(tokio_util::codec::LengthDelimitedCodec::new);
    for (endpoint, framing) in [
        ("mem:here", Framing::Lines),
        ("mem:here", Framing::length_prefixed()),
        ("mem:here", codec()),
        ("mem-seq:here", Framing::Chunks),
    ] {
        for waits in [false, true] {
            for trick in TRICKS {
                let what = format!("{trick} on {endpoint}, framed by {framing}, waits: {waits}");
                let net = Net::new();
                let builder = net.server().listen(endpoint).handler(Hostile::new(waits)).framing(framing.clone());
                let server = builder.bind().await.unwrap().start();
                let mut before = net.connect_framed(endpoint, framing.clone()).await;
                assert_eq!(ask(&mut before, "hello").await, "HELLO", "{what}");
                let mut evil = net.connect_framed(endpoint, framing.clone()).await;
                for message in ["one", "two", trick, "four"] {
                    evil.send(message).await.unwrap();
                }
                evil.flush().await.unwrap();
                // A panic takes the replies of the same read with it.
                if trick != "panic" {
                    assert_eq!((text(&mut evil).await, text(&mut evil).await), ("ONE".into(), "TWO".into()), "{what}");
                }
                until(&server, |stats| stats.handler_errors + stats.panics > 0).await;
                while let Ok(Some(more)) = evil.recv().await {
                    assert!(trick == "panic" && [&b"ONE"[..], b"TWO"].contains(&&more[..]), "{what}: {more:?}");
                }
                assert_eq!(ask(&mut before, "still here").await, "STILL HERE", "{what}");
                let mut after = net.connect_framed(endpoint, framing.clone()).await;
                for message in ["five", "six"] {
                    assert_eq!(ask(&mut after, message).await, message.to_uppercase(), "{what}");
                }
                is_blamed(&server, &what);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn two_calls_that_wait_and_exchange_replies_both_fail_and_nobody_gets_the_others() {
    for endpoint in ["mem:here", "mem-seq:here", "mem-dgram:here"] {
        let net = Net::new();
        let server = net.start_limited(endpoint, Hostile::new(true), limits(|_| ())).await;
        let (mut one, mut two) = (net.connect(endpoint).await, net.connect(endpoint).await);
        for session in [&mut one, &mut two] {
            session.send("meet").await.unwrap();
            session.flush().await.unwrap();
        }
        until(&server, |stats| stats.handler_errors == 2).await;
        for session in [&mut one, &mut two] {
            if endpoint == "mem-dgram:here" {
                assert_eq!(ask(session, "next").await, "NEXT", "{endpoint}");
            } else {
                assert!(!matches!(session.recv().await, Ok(Some(_))), "{endpoint}");
            }
        }
        let mut other = net.connect(endpoint).await;
        assert_eq!(ask(&mut other, "hello").await, "HELLO", "{endpoint}");
    }
}

/// What a panic carries that panics when it is dropped, as does what that panic carries.
struct Chain;

impl Drop for Chain {
    fn drop(&mut self) {
        std::panic::panic_any(Bomb);
    }
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("as asked");
        }
    }
}

/// An error that panics when it is shown, and when it is dropped.
#[derive(Debug)]
struct BadError(Bomb);

impl std::fmt::Debug for Bomb {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("as asked")
    }
}

impl std::fmt::Display for BadError {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("as asked")
    }
}

impl std::error::Error for BadError {}

/// Its calls and errors panic when they are dropped.
struct Explosive {
    waits: bool,
}

struct Call {
    waits: bool,
    panics: bool,
    result: Option<Result<(), HandlerError>>,
    _bomb: Option<Bomb>,
}

impl Future for Call {
    type Output = Result<(), HandlerError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if std::mem::take(&mut self.waits) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.panics {
            std::panic::panic_any(Chain);
        }
        Poll::Ready(self.result.take().expect("polled once more"))
    }
}

impl Handler for Explosive {
    fn handle(
        &self,
        request: Request<'_>,
        reply: &mut Reply<'_>,
    ) -> impl Future<Output = Result<(), HandlerError>> + Send {
        let result = match request.message() {
            b"error" => Err(BadError(Bomb).into()),
            message => reply.send(message.to_ascii_uppercase()).map_err(Into::into),
        };
        let (panics, bomb) = (request.message() == b"payload", request.message() == b"call");
        Call { waits: self.waits, panics, result: Some(result), _bomb: bomb.then(|| Bomb) }
    }

    fn properties(&self) -> HandlerProperties {
        HandlerProperties::new().with_ready_at_once(!self.waits)
    }
}

/// The same, for the messages of a session.
#[async_trait]
impl SessionHandler for Explosive {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        let mut bomb = None;
        while let Some(message) = session.recv().await? {
            match &message[..] {
                b"error" => return Err(BadError(Bomb).into()),
                b"payload" => std::panic::panic_any(Chain),
                b"call" => bomb = Some(Bomb),
                message => session.send(message.to_ascii_uppercase()).await?,
            }
            if bomb.is_some() {
                break;
            }
        }
        drop(bomb);
        Ok(())
    }
}

const WIRES: [&str; 3] = ["mem:here", "mem-seq:here", "mem-dgram:here"];

async fn costs_its_own_call<K>(endpoint: &str, handler: impl IntoService<K>, bad: &str, what: &str) {
    let net = Net::new();
    let server = net.start_limited(endpoint, handler, limits(|_| ())).await;
    let mut other = net.connect(endpoint).await;
    assert_eq!(ask(&mut other, "before").await, "BEFORE", "{what}");
    let mut session = net.connect(endpoint).await;
    session.send(bad).await.unwrap();
    session.flush().await.unwrap();
    until(&server, |stats| stats.panics + stats.handler_errors > 0).await;
    assert_eq!(ask(&mut other, "after").await, "AFTER", "{what}");
    let mut later = net.connect(endpoint).await;
    assert_eq!(ask(&mut later, "later").await, "LATER", "{what}");
    drop((session, other, later));
    let report = server.stop().await;
    assert_eq!((report.stats.panics, report.stats.handler_errors), (1, 0), "{what}: {report}");
    assert!(report.is_clean(), "{what}: {report}");
}

async fn whatever_panics_costs_its_own_call() {
    for endpoint in WIRES {
        for bad in ["call", "error", "payload"] {
            for waits in [false, true] {
                let what = format!("{bad} on {endpoint}, waits: {waits}");
                costs_its_own_call(endpoint, PerMessage::new(Explosive { waits }), bad, &what).await;
            }
            let what = format!("{bad} on {endpoint}, sessions");
            costs_its_own_call(endpoint, PerSession::new(Explosive { waits: false }), bad, &what).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_panics_when_it_is_dropped_or_shown_costs_its_own_call() {
    whatever_panics_costs_its_own_call().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_panics_when_it_is_dropped_or_shown_costs_its_own_call_on_several_threads() {
    whatever_panics_costs_its_own_call().await;
}

/// Waits for ever, and panics when it is dropped.
struct Burst;

struct Fuse;

impl Drop for Fuse {
    fn drop(&mut self) {
        std::panic::panic_any(Bomb);
    }
}

impl Handler for Burst {
    async fn handle(&self, _: Request<'_>, _: &mut Reply<'_>) -> Result<(), HandlerError> {
        let _fuse = Fuse;
        std::future::pending().await
    }
}

#[async_trait]
impl SessionHandler for Burst {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        let _fuse = Fuse;
        session.recv().await?;
        session.send("here").await?;
        session.flush().await?;
        std::future::pending().await
    }
}

async fn is_cut<K>(endpoint: &str, handler: impl IntoService<K>, what: &str) {
    let net = Net::new();
    let server = net.start_limited(endpoint, handler, limits(|_| ())).await;
    let mut sessions = Vec::new();
    for _ in 0..3 {
        let mut session = net.connect(endpoint).await;
        session.send("wait").await.unwrap();
        session.flush().await.unwrap();
        sessions.push(session);
    }
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    let report = server.stop().await;
    assert_eq!((report.cut, report.failed.len()), (3, 0), "{what}: {report}");
    // Datagrams' sessions are cut with their socket, and nobody is left to count what they do.
    let counted = if what == "sessions on mem-dgram:here" { 0 } else { 3 };
    assert_eq!(report.stats.panics, counted, "{what}: {report}");
}

#[tokio::test(start_paused = true)]
async fn what_panics_when_it_is_cut_is_counted_as_the_others() {
    for endpoint in WIRES {
        is_cut(endpoint, PerMessage::new(Burst), &format!("messages on {endpoint}")).await;
        is_cut(endpoint, PerSession::new(Burst), &format!("sessions on {endpoint}")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_panics_as_it_makes_room_takes_no_other_with_it() {
    let wire = Forged::default();
    let builder = Server::builder().transport(wire.clone()).listen("forged://192.0.2.200:7");
    let server = builder.handler(PerSession::new(Burst)).limits(limits(|l| l.max_peers = 1)).bind().await;
    let server = server.unwrap().start();
    for (i, peer) in ["192.0.2.1:1", "192.0.2.1:2", "192.0.2.1:3"].into_iter().enumerate() {
        wire.send(peer, "hello");
        assert_eq!(wire.replies().await, [(peer.to_owned(), b"here".to_vec())]);
        assert_eq!((server.snapshot().evicted, server.snapshot().panics), (i as u64, i as u64));
    }
}
