//! One event for each session that has ended, at the level debug.

use std::future::pending;
use std::time::Duration;

use crate::common::forged::Forged;
use crate::common::log::Log;
use crate::common::shaking::Shaking;
use crate::common::{Net, ask, limits, until};
use swapwire_core::{Framing, Handler, HandlerError, Reply, Request, Session, SessionHandler, async_trait, handler_fn};
use swapwire_server::{Limits, Listen, PerMessage, PerSession, Running, Server, ServerBuilder, SessionEnd};

/// Does what the message says, and answers with it.
struct Obedient;

impl Handler for Obedient {
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        match request.message() {
            b"close" => reply.close(),
            b"fail" => return Err("as asked".into()),
            b"panic" => panic!("as asked"),
            b"stay" => pending().await,
            _ => {}
        }
        Ok(reply.send(request.message())?)
    }
}

#[async_trait]
impl SessionHandler for Obedient {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        while let Some(message) = session.recv().await? {
            match &message[..] {
                b"close" => {
                    session.send(&message).await?;
                    return Ok(());
                }
                b"fail" => return Err("as asked".into()),
                b"panic" => panic!("as asked"),
                b"stay" => pending().await,
                _ => session.send(&message).await?,
            }
        }
        Ok(())
    }
}

const ENDPOINTS: [&str; 3] = ["mem:a", "mem-seq:a", "mem-dgram:a"];

fn small() -> Limits {
    limits(|limits| limits.idle_timeout = Some(Duration::from_secs(60)))
}

async fn start(net: &Net, endpoint: &str, per_session: bool) -> Running {
    let builder = net.server().listen(Listen::on(endpoint).named("front")).framing(Framing::Lines).limits(small());
    let builder: ServerBuilder = match per_session {
        true => builder.handler(PerSession::new(Obedient)),
        false => builder.handler(PerMessage::new(Obedient)),
    };
    builder.bind().await.unwrap().start()
}

/// The value of a field.
fn field<'a>(line: &'a str, name: &str) -> &'a str {
    let (_, rest) = line.split_once(&format!(" {name}=")).unwrap_or_else(|| panic!("no {name} in {line}"));
    rest.split(' ').next().unwrap()
}

/// The only event.
fn only(log: &Log) -> String {
    let lines = log.lines();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    lines[0].clone()
}

#[tokio::test(start_paused = true)]
async fn each_way_to_end_is_told_once_with_whose_doing_it_was() {
    let (log, _guard) = Log::hear_sessions();
    for endpoint in ENDPOINTS {
        for per_session in [true, false] {
            if endpoint == "mem-dgram:a" && !per_session {
                continue;
            }
            for (says, expected) in [
                ("", "peer:done"),
                ("close", "handler:done"),
                ("fail", "handler:handler_error"),
                ("panic", "handler:panicked"),
                ("wait", "server:idle_timeout"),
                ("drain", "server:drained"),
                ("stay", "server:cut"),
            ] {
                // A datagram socket does not learn that a peer has gone.
                if endpoint == "mem-dgram:a" && says.is_empty() {
                    continue;
                }
                let net = Net::new();
                let server = start(&net, endpoint, per_session).await;
                let mut session = net.connect(endpoint).await;
                assert_eq!(ask(&mut session, "hello").await, "hello");
                match says {
                    "" => drop(session),
                    "wait" => until(&server, |stats| stats.idle_timeouts == 1).await,
                    "drain" => {}
                    says => {
                        session.send(says).await.unwrap();
                        session.flush().await.unwrap();
                        if says != "stay" {
                            until(&server, |stats| stats.open() == 0).await;
                        }
                    }
                }
                if says.is_empty() {
                    until(&server, |stats| stats.done == 1).await;
                }
                server.stop().await;
                let what = format!("{endpoint} {per_session} {says:?}");
                let line = only(&log);
                assert!(line.starts_with("session ended listener=front peer="), "{what}: {line}");
                assert_eq!(field(&line, "end"), expected, "{what}: {line}");
                let (messages, bytes): (u64, u64) =
                    (field(&line, "messages").parse().unwrap(), field(&line, "bytes").parse().unwrap());
                // What is read together with a message on which a handler panics may not be counted.
                let least = u64::from(matches!(says, "close" | "fail" | "stay")) + 2;
                assert!(messages >= least && messages <= least + 1 && bytes >= 10, "{what}: {line}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn it_says_how_long_and_how_much_and_between_whom() {
    let (log, _guard) = Log::hear_sessions();
    for endpoint in ENDPOINTS {
        let net = Net::new();
        let server = start(&net, endpoint, true).await;
        let mut session = net.connect(endpoint).await;
        for message in ["one", "three"] {
            assert_eq!(ask(&mut session, message).await, message);
        }
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(log.lines().is_empty());
        server.stop().await;
        let line = only(&log);
        let ends = if endpoint == "mem:a" { 4 } else { 0 };
        assert_eq!((field(&line, "messages"), field(&line, "bytes")), ("4", &*(16 + ends).to_string()), "{line}");
        let duration: f64 = field(&line, "duration").parse().unwrap();
        assert!((10.0..11.0).contains(&duration), "{line}");
        assert_eq!((field(&line, "local"), &field(&line, "peer")[..3]), (endpoint, "mem"), "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_fails_is_the_end_of_a_session_and_one_that_is_done_is_not() {
    let (log, _guard) = Log::hear_sessions();
    let wire = Shaking::new();
    let builder = Server::builder().transport(wire.clone()).listen("mem:a").framing(Framing::Lines);
    let server = builder.handler(handler_fn(|_, reply| Ok(reply.send(b"x")?))).limits(small()).bind().await.unwrap();
    let server = server.start();
    let wrong = wire.client("mem:a", "shut").await;
    until(&server, |stats| stats.handshakes_broken == 1).await;
    assert!(only(&log).ends_with("bytes=0 messages=0 end=peer:handshake"));
    let late = wire.client("mem:a", "op").await;
    until(&server, |stats| stats.handshakes_timed_out == 1).await;
    assert!(only(&log).ends_with("bytes=0 messages=0 end=peer:handshake"));
    let right = wire.client("mem:a", "open").await;
    until(&server, |stats| stats.handshakes_done == 1).await;
    assert!(log.lines().is_empty());
    drop((wrong, late, right));
    until(&server, |stats| stats.done == 1).await;
    assert!(only(&log).ends_with("end=peer:done"));
    let stats = server.stop().await.stats;
    assert_eq!((stats.sessions, stats.ended(SessionEnd::Handshake)), (3, 2));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_makes_room_for_another_is_told_as_such() {
    let (log, _guard) = Log::hear_sessions();
    let wire = Forged::default();
    let limits = limits(|limits| limits.max_unvalidated_peers = 1);
    let builder = Server::builder().transport(wire.clone()).listen("forged://192.0.2.200:7").limits(limits);
    let server = builder.handler(PerSession::new(Obedient)).bind().await.unwrap().start();
    wire.send("192.0.2.1:7000", "stay");
    until(&server, |stats| stats.sessions == 1).await;
    wire.send("192.0.2.2:7000", "stay");
    until(&server, |stats| stats.evicted == 1).await;
    tokio::task::yield_now().await;
    let line = only(&log);
    assert_eq!((field(&line, "peer"), field(&line, "end")), ("192.0.2.1:7000", "server:evicted"), "{line}");
    assert_eq!(server.snapshot().open(), 1);
    let stats = server.stop().await.stats;
    assert_eq!((stats.ended(SessionEnd::Evicted), stats.ended(SessionEnd::Cut), stats.open()), (1, 1, 0));
    assert_eq!(field(&only(&log), "end"), "server:cut");
}

/// Those of warnings alone hear nothing of it.
#[tokio::test(start_paused = true)]
async fn where_nobody_listens_nothing_is_told() {
    let (log, _guard) = Log::hear();
    let net = Net::new();
    let server = start(&net, "mem:a", true).await;
    ask(&mut net.connect("mem:a").await, "hello").await;
    server.stop().await;
    assert!(log.lines().is_empty());
}
