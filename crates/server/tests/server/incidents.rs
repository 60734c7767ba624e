//! What goes wrong for peers is counted, told in the log, once a second for each endpoint, and told in the drain's report.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::time::Duration;

use crate::common::forged::Forged;
use crate::common::log::Log;
use crate::common::{Net, ask, limits, script, until};
use swapwire_core::{
    Framing, Handler, HandlerError, HandlerProperties, RecvError, Reply, Request, SendError, Session, SessionHandler,
    async_trait,
};
use swapwire_server::{DrainReport, IntoService, Limits, PerMessage, PerSession, Running, Server};

const EXPOSED: &str = "forged://192.0.2.200:7";
const PEER: &str = "192.0.2.1:7000";

async fn start<K>(wire: &Forged, endpoint: &str, handler: impl IntoService<K>, limits: Limits) -> Running {
    let builder = Server::builder().transport(wire.clone()).listen(endpoint).handler(handler).limits(limits);
    builder.bind().await.unwrap().start()
}

/// Replies as many bytes as the message says.
#[derive(Clone, Copy)]
struct Amplifier {
    at_once: bool,
    /// Whether it wraps the error of a reply that was refused.
    wraps: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("look it up")]
struct LookUp(#[source] swapwire_core::ReplyError);

impl Handler for Amplifier {
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        match std::str::from_utf8(request.message())? {
            "panic" => panic!("as asked"),
            "fail" => Err("as asked,\nwith \x1b[2J".into()),
            len => {
                let sent = reply.send(vec![b'!'; len.trim_end().parse()?]);
                if self.wraps { Ok(sent.map_err(LookUp)?) } else { Ok(sent?) }
            }
        }
    }

    fn properties(&self) -> HandlerProperties {
        HandlerProperties::new().with_ready_at_once(self.at_once)
    }
}

/// The same, for each message of a session.
#[async_trait]
impl SessionHandler for Amplifier {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        loop {
            match session.recv().await {
                Ok(None) => return Ok(()),
                Err(RecvError::TooLarge { .. }) => {}
                Err(error) => return Err(error.into()),
                Ok(Some(message)) => match std::str::from_utf8(&message)? {
                    "panic" => panic!("as asked"),
                    "fail" => return Err("as asked,\nwith \x1b[2J".into()),
                    len => {
                        session.send(vec![b'!'; len.trim_end().parse()?]).await?;
                        match session.flush().await {
                            Err(SendError::Unvalidated { .. }) => {}
                            flushed => flushed?,
                        }
                    }
                },
            }
        }
    }
}

fn message_handlers() -> impl Iterator<Item = Amplifier> {
    [(true, false), (true, true), (false, false), (false, true)]
        .map(|(at_once, wraps)| Amplifier { at_once, wraps })
        .into_iter()
}

const SESSIONS: Amplifier = Amplifier { at_once: false, wraps: false };

async fn lengths(wire: &Forged) -> Vec<usize> {
    wire.replies().await.into_iter().map(|(_, reply)| reply.len()).collect()
}

/// An exposed socket whose handler would send 65 bytes for 2 a hundred times.
async fn withholds(wire: &Forged, server: Running, log: &Log) -> DrainReport {
    for i in 0..100 {
        // What one was not sent, its session may send it later.
        let peer = format!("192.0.2.1:{}", 7000 + i);
        wire.send(&peer, "64");
        wire.send(&peer, "65");
        assert_eq!(lengths(wire).await, [64]);
    }
    let line = log.line();
    let told = [
        "reply withheld: 65 bytes",
        "64",
        "a peer whose address may be forged is sent at most 3 times what it sent, or 64 bytes",
        "loopback",
        "trust_peer",
        " endpoint=forged://192.0.2.200:7 peer=192.0.2.1:7000",
    ];
    assert!(told.iter().all(|told| line.contains(told)) && !line.contains("suppressed"), "{line}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    wire.send("192.0.2.2:7000", "65");
    assert_eq!(lengths(wire).await, [0; 0]);
    let line = log.line();
    assert!(line.starts_with("reply withheld") && line.ends_with(" suppressed=99"), "{line}");
    server.stop().await
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_is_withheld_is_told_once_a_second_and_counted() {
    for handler in message_handlers() {
        let (log, _heard) = Log::hear();
        let wire = Forged::default();
        let server = start(&wire, EXPOSED, PerMessage::new(handler), Limits::default()).await;
        let report = withholds(&wire, server, &log).await;
        assert_eq!((report.stats.withheld_replies, report.stats.handler_errors), (101, 0), "{report}");
        assert!(report.to_string().ends_with(", 101 replies were withheld"), "{report}");
    }
    let (log, _heard) = Log::hear();
    let wire = Forged::default();
    let server = start(&wire, EXPOSED, PerSession::new(SESSIONS), Limits::default()).await;
    let report = withholds(&wire, server, &log).await;
    assert_eq!((report.stats.withheld_replies, report.stats.dropped_replies), (101, 0), "{report}");
    assert!(report.to_string().contains(", 101 replies were withheld"), "{report}");
}

/// What 2 bytes are answered with where 1000 are asked for.
async fn answered(endpoint: &str, handler: Amplifier, sessions: bool, peer: &str) -> usize {
    let wire = Forged::default();
    let _server = match sessions {
        true => start(&wire, endpoint, PerSession::new(handler), Limits::default()).await,
        false => start(&wire, endpoint, PerMessage::new(handler), Limits::default()).await,
    };
    wire.send(peer, "1000");
    lengths(&wire).await.into_iter().sum()
}

#[tokio::test(start_paused = true)]
async fn nothing_is_withheld_on_loopback_and_only_there() {
    for (endpoint, peer, expected) in [
        ("forged://127.0.0.1:7", "127.0.0.1:7000", 1000),
        ("forged://127.4.5.6:7", "127.0.0.1:7000", 1000),
        ("forged://[::1]:7", "[::1]:7000", 1000),
        ("forged://[::ffff:127.0.0.1]:7", "127.0.0.1:7000", 1000),
        ("forged://0.0.0.0:7", "127.0.0.1:7000", 0),
        ("forged://[::]:7", "[::1]:7000", 0),
        ("forged://[::]:7", "[::ffff:127.0.0.1]:7000", 0),
        ("forged://192.0.2.200:7", "127.0.0.1:7000", 0),
        // A name that the transport has not resolved.
        ("forged://localhost:7", "127.0.0.1:7000", 0),
    ] {
        for handler in message_handlers() {
            assert_eq!(answered(endpoint, handler, false, peer).await, expected, "{endpoint} {peer}");
        }
        assert_eq!(answered(endpoint, SESSIONS, true, peer).await, expected, "{endpoint} {peer}, sessions");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_above_max_reply_is_an_error_of_the_handler() {
    for handler in message_handlers() {
        let (log, _heard) = Log::hear();
        let wire = Forged::default();
        let server = start(&wire, EXPOSED, PerMessage::new(handler), limits(|l| l.max_reply = 10)).await;
        wire.send(PEER, "11");
        assert_eq!(lengths(&wire).await, [0; 0]);
        assert!(log.line().starts_with("handler error: "));
        assert_eq!((server.snapshot().withheld_replies, server.snapshot().handler_errors), (0, 1));
    }
}

/// Fails with an error that cannot be shown.
struct Unspeakable {
    at_once: bool,
}

#[derive(Debug)]
struct Unshown;

impl std::fmt::Display for Unshown {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("as asked")
    }
}

impl std::error::Error for Unshown {}

impl Handler for Unspeakable {
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        match request.message() {
            b"fail" => Err(Unshown.into()),
            message => Ok(reply.send(message)?),
        }
    }

    fn properties(&self) -> HandlerProperties {
        HandlerProperties::new().with_ready_at_once(self.at_once)
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_that_panics_when_it_is_told_costs_one_datagram() {
    for at_once in [true, false] {
        let (log, _heard) = Log::hear();
        let wire = Forged::default();
        let server = start(&wire, EXPOSED, Unspeakable { at_once }, Limits::default()).await;
        for message in ["a", "fail", "b"] {
            wire.send(PEER, message);
        }
        assert_eq!(lengths(&wire).await, [1, 1]);
        assert_eq!((server.snapshot().panics, server.snapshot().handler_errors), (1, 0));
        assert!(log.line().starts_with("handler panicked; "));
        assert!(server.stop().await.is_clean());
    }
}

/// Sends `messages`, of which the last is the trouble, and gives the line about it.
async fn line_of<K>(wire: &Forged, handler: impl IntoService<K>, limits: Limits, messages: &[(&str, &str)]) -> String {
    let (log, _heard) = Log::hear();
    let server = start(wire, "forged://127.0.0.1:7", handler, limits).await;
    for (peer, message) in messages {
        wire.send(peer, message);
        let _ = wire.replies().await;
    }
    let line = log.line();
    server.stop().await;
    line
}

fn told(line: &str, parts: &[&str]) {
    let all = parts.iter().chain(&["endpoint=forged://127.0.0.1:7"]);
    assert!(all.clone().all(|part| line.contains(part)), "{line:?} is without one of {parts:?}");
}

#[tokio::test(start_paused = true)]
async fn every_datagram_that_is_dropped_is_told() {
    let small = || limits(|l| l.max_message = 10);
    let too_long = [(PEER, "11 bytes   ")];
    let own = [("127.0.0.1:7", "1")];
    for handler in message_handlers() {
        let wire = Forged::default();
        let line = line_of(&wire, PerMessage::new(handler), small(), &too_long).await;
        told(&line, &["message dropped: 11 bytes, 10 allowed", "max_message", "peer=192.0.2.1:7000"]);
        let line = line_of(&wire, PerMessage::new(handler), small(), &own).await;
        told(&line, &["datagram dropped: its source is a socket of this server", "peer=127.0.0.1:7"]);
        let line = line_of(&wire, PerMessage::new(handler), small(), &[(PEER, "fail")]).await;
        told(&line, &["handler error: as asked,\\nwith \\x1b[2J", "peer=192.0.2.1:7000"]);
        let line = line_of(&wire, PerMessage::new(handler), small(), &[(PEER, "panic")]).await;
        told(&line, &["handler panicked", "peer=192.0.2.1:7000"]);
        let rate = limits(|l| l.source_rate = Some(1));
        let line = line_of(&wire, PerMessage::new(handler), rate, &[(PEER, "1"), (PEER, "1")]).await;
        told(&line, &["datagrams dropped: their source exceeds its rate", "source_rate"]);
    }
    let wire = Forged::default();
    let sessions = || PerSession::new(SESSIONS);
    told(
        &line_of(&wire, sessions(), small(), &too_long).await,
        &["message dropped: 11 bytes, 10 allowed", "max_message"],
    );
    told(&line_of(&wire, sessions(), small(), &own).await, &["a socket of this server"]);
    told(&line_of(&wire, sessions(), small(), &[(PEER, "fail")]).await, &["handler error: as asked,\\nwith", PEER]);
    told(&line_of(&wire, sessions(), small(), &[(PEER, "panic")]).await, &["handler panicked", PEER]);
    let others: Vec<_> = ["192.0.2.1:1", "192.0.2.1:2"].map(|peer| (peer, "1")).to_vec();
    let one = limits(|l| l.max_peers = 1);
    told(&line_of(&wire, sessions(), one, &others).await, &["session ended to make room for another", "192.0.2.1:1"]);
    let one = limits(|l| l.max_per_source = Some(1));
    told(&line_of(&wire, sessions(), one, &others).await, &["there is no room for its session", "max_per_source"]);
    let full = limits(|l| l.peer_queue = 1);
    let row: Vec<_> = (0..2).map(|_| (PEER, "1")).collect();
    told(
        &line_of(&wire, PerSession::new(Deaf), full, &row).await,
        &["its session has not taken the ones before", PEER],
    );
}

/// Never receives.
struct Deaf;

#[async_trait]
impl SessionHandler for Deaf {
    async fn run(&self, session: Session) -> Result<(), HandlerError> {
        session.draining().await;
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_truncated_or_has_no_sender_is_told() {
    let truncated =
        || script::Slot { truncated: true, ..script::Slot::train(Some(script::addr("a")), &[b"1".to_vec()]) };
    let nameless = || script::Slot::train(None, &[b"1".to_vec()]);
    for (slot, sessions, expected) in [
        (truncated(), false, "datagram dropped: it is longer than the wire carries"),
        (truncated(), true, "datagram dropped: it is longer than the wire carries"),
        (nameless(), false, "reply dropped: the sender has no address to answer to"),
        (nameless(), true, "datagram dropped: its sender has no address, which a session needs"),
    ] {
        for handler in message_handlers() {
            let (log, _heard) = Log::hear();
            let builder = Server::builder().transport(script::Script::new([vec![slot.clone()]])).listen(script::HERE);
            let builder = match sessions {
                true => builder.handler(PerSession::new(handler)),
                false => builder.handler(PerMessage::new(handler)),
            };
            let stats = builder.bind().await.unwrap().start().stop().await.stats;
            let counted = [stats.truncated, stats.failed_replies, stats.dropped_nameless];
            let due = ["datagram dropped: it ", "reply dropped: ", "datagram dropped: its "];
            assert_eq!(counted, due.map(|words| u64::from(expected.starts_with(words))), "{expected}");
            let line = log.line();
            assert!(line.starts_with(expected) && line.contains("endpoint=script:here"), "{line}");
        }
    }
}

/// What one message on a stream leads to: the line, and the report.
async fn on_stream(endpoint: &str, sessions: bool, message: &str) -> (Vec<String>, DrainReport) {
    let (log, _heard) = Log::hear();
    let net = Net::new();
    let limits = limits(|l| l.max_message = 10);
    let server = match sessions {
        true => net.start_limited(endpoint, PerSession::new(SESSIONS), limits).await,
        false => net.start_limited(endpoint, PerMessage::new(SESSIONS), limits).await,
    };
    let mut client = net.connect(endpoint).await;
    client.send(message).await.unwrap();
    client.shutdown().await.unwrap();
    while let Ok(Some(_)) = client.recv().await {}
    until(&server, |stats| stats.sessions == 1).await;
    let report = server.stop().await;
    (log.lines(), report)
}

#[tokio::test(start_paused = true)]
async fn what_ends_a_session_on_a_stream_is_told() {
    for endpoint in ["mem:here", "mem-seq:here", "wide:here"] {
        for sessions in [false, true] {
            for (message, expected, counted) in [
                ("fail", "handler error: as asked,\\nwith \\x1b[2J; ", (0, 1, 0)),
                ("panic", "handler panicked; ", (0, 0, 1)),
                ("x", "handler error: invalid digit", (0, 1, 0)),
            ] {
                let (lines, report) = on_stream(endpoint, sessions, message).await;
                let what = format!("{endpoint}, sessions {sessions}, {message}: {lines:?}, {report}");
                assert!(matches!(&lines[..], [line] if line.starts_with(expected)), "{what}");
                assert!(lines[0].contains(&format!(" endpoint={endpoint}")), "{what}");
                assert!(lines[0].contains(" peer="), "{what}");
                let stats = report.stats;
                assert_eq!((stats.bad_frames, stats.handler_errors, stats.panics), counted, "{what}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_of_a_peer_is_told_with_its_name() {
    let late = || {
        limits(|l| {
            l.frame_timeout = Some(Duration::from_secs(1));
            l.write_timeout = Some(Duration::from_secs(1));
        })
    };
    for (endpoint, sessions, message, expected) in [
        ("mem:here", false, "hal", "session ended: a frame took too long to arrive; "),
        ("mem:here", true, "hal", "session ended: a frame took too long to arrive; "),
        ("mem:here", false, "500000\n", "session ended: its peer did not read; "),
        ("mem:here", true, "500000\n", "session ended: its peer did not read; "),
        ("mem-seq:here", false, "500000\n", "session ended: its peer did not read; "),
        ("mem-seq:here", true, "500000\n", "session ended: its peer did not read; "),
    ] {
        let (log, _heard) = Log::hear();
        let net = Net::new();
        let server = match sessions {
            true => net.start_limited(endpoint, PerSession::new(SESSIONS), late()).await,
            false => net.start_limited(endpoint, PerMessage::new(SESSIONS), late()).await,
        };
        let mut client = net.connect_framed(endpoint, Framing::Chunks).await;
        for _ in 0..20 {
            client.send(message).await.unwrap();
            client.flush().await.unwrap();
        }
        until(&server, |stats| stats.frame_timeouts + stats.write_timeouts == 1).await;
        let line = log.line();
        assert!(line.starts_with(expected), "{endpoint}, sessions {sessions}: {line}");
        assert!(line.contains(&format!(" peer={}", endpoint.split(':').next().unwrap())), "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_bad_frame_is_told_whatever_the_handler_makes_of_it() {
    for endpoint in ["mem:here", "wide:here"] {
        for sessions in [false, true] {
            let (lines, report) = on_stream(endpoint, sessions, "11 bytes   ").await;
            let what = format!("{endpoint}, sessions {sessions}: {lines:?}, {report}");
            assert!(matches!(&lines[..], [line] if line.starts_with("session ended: bad frame: ")), "{what}");
            assert_eq!((report.stats.bad_frames, report.stats.handler_errors), (1, 0), "{what}");
            assert!(report.to_string().contains(", 1 session had a bad frame"), "{what}");
        }
    }
}

/// Ends well whatever happened.
struct Careless;

#[async_trait]
impl SessionHandler for Careless {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        while let Ok(Some(_)) = session.recv().await {}
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_bad_frame_that_a_session_handler_ignores_is_told() {
    let (log, _heard) = Log::hear();
    let net = Net::new();
    let server = net.start_limited("mem:here", Careless, limits(|l| l.max_message = 10)).await;
    let mut client = net.connect("mem:here").await;
    client.send("11 bytes   ").await.unwrap();
    client.flush().await.unwrap();
    until(&server, |stats| stats.bad_frames == 1).await;
    assert!(log.line().starts_with("session ended: bad frame; "));
}

#[tokio::test(start_paused = true)]
async fn messages_above_the_limit_are_told_and_the_session_goes_on() {
    for sessions in [false, true] {
        let (log, _heard) = Log::hear();
        let net = Net::new();
        let limits = limits(|l| l.max_message = 10);
        let server = match sessions {
            true => net.start_limited("mem-seq:here", PerSession::new(SESSIONS), limits).await,
            false => net.start_limited("mem-seq:here", PerMessage::new(SESSIONS), limits).await,
        };
        let mut client = net.connect("mem-seq:here").await;
        for _ in 0..3 {
            client.send("11 bytes   ").await.unwrap();
            assert_eq!(ask(&mut client, "3").await, "!!!");
        }
        let line = log.line();
        assert!(line.starts_with("message dropped: ") && line.contains("max_message"), "{line}");
        assert!(line.contains(" endpoint=mem-seq:here peer=mem-seq:"), "{line}");
        drop(client);
        let report = server.stop().await;
        assert_eq!(report.stats.dropped_requests, 3, "{report}");
        assert!(report.to_string().contains(", 3 messages were dropped"), "{report}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_kind_and_each_endpoint_has_its_line() {
    let (log, _heard) = Log::hear();
    let wire = Forged::default();
    let other = Forged::default();
    let limits = || limits(|l| l.max_message = 10);
    let one = start(&wire, EXPOSED, PerMessage::new(SESSIONS), limits()).await;
    let two = start(&other, EXPOSED, PerMessage::new(SESSIONS), limits()).await;
    for wire in [&wire, &other, &wire, &other] {
        for message in ["65", "11 bytes   ", "fail"] {
            wire.send(PEER, message);
        }
        let _ = wire.replies().await;
    }
    let mut lines: Vec<_> = log.lines().iter().map(|line| line.split(':').next().unwrap().to_owned()).collect();
    lines.sort();
    let each = ["handler error", "message dropped", "reply withheld"];
    assert_eq!(lines, each.map(|kind| [kind, kind]).concat());
    let report = one.stop().await.to_string();
    assert!(report.contains(", 2 handler errors, 2 messages were dropped, 2 replies were withheld"), "{report}");
    drop(two);
    assert_eq!(text_of_one(&wire).await, "1 handler error, 1 message was dropped, 1 reply was withheld");
}

/// The end of the report of a server that had one trouble of each kind.
async fn text_of_one(wire: &Forged) -> String {
    let server = start(wire, EXPOSED, PerMessage::new(SESSIONS), limits(|l| l.max_message = 10)).await;
    for message in ["65", "11 bytes   ", "fail"] {
        wire.send(PEER, message);
    }
    let _ = wire.replies().await;
    let report = server.stop().await.to_string();
    assert!(report.contains(": 0 sessions, 2 messages, 0 cut at the deadline, "), "{report}");
    report.split_once("at the deadline, ").unwrap().1.to_owned()
}
