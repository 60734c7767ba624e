//! The same scenarios over every wire: a handler that works on one works on all.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::Arc;
use std::time::Duration;

use crate::common::{Net, Places, ask, end, is_datagram, tell, text, within};
use swapwire::handlers::{Echo, UppercaseEcho};
use swapwire::{
    Framing, Handler, HandlerError, IntoService, Limits, Listen, Reply, Request, Session, SessionHandler, async_trait,
    handler_fn,
};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Waits for a permit before it answers `wait…`, panics on `panic`, fails on `fail`, closes after `bye`.
#[derive(Clone, Debug)]
struct Gate {
    permits: Arc<Semaphore>,
    /// A permit for each call that has begun to wait.
    waiting: Arc<Semaphore>,
}

impl Gate {
    fn new() -> Self {
        Self { permits: Arc::new(Semaphore::new(0)), waiting: Arc::new(Semaphore::new(0)) }
    }

    fn open(&self, times: usize) {
        self.permits.add_permits(times);
    }

    async fn wait_for(&self, calls: usize) {
        within("waiting calls", self.waiting.acquire_many(calls as u32)).await.unwrap().forget();
    }
}

impl Handler for Gate {
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        match request.message() {
            message if message.starts_with(b"wait") => {
                self.waiting.add_permits(1);
                self.permits.acquire().await?.forget();
            }
            b"panic" => panic!("as asked"),
            b"fail" => return Err("as asked".into()),
            b"bye" => reply.close(),
            _ => {}
        }
        Ok(reply.send(request.message())?)
    }
}

#[tokio::test]
async fn uppercase_echo_answers_everywhere() {
    let (places, net) = (Places::new(), Net::new());
    for endpoint in places.all() {
        let (server, local) = net.start(&endpoint, UppercaseEcho).await;
        let mut session = net.connect(&local).await;
        let long = "long ".repeat(1600);
        for message in ["hello", "", "x", "Straße, café", "\ttab and  spaces ", &long] {
            assert_eq!(ask(&mut session, message).await, message.to_ascii_uppercase(), "{local}");
        }
        drop(session);
        let report = server.stop().await;
        assert!(report.is_clean(), "{local}: {report}");
        assert_eq!(report.stats.messages, 6, "{local}: {report}");
    }
}

#[tokio::test]
async fn one_server_serves_all_wires_and_several_handlers() {
    let (places, net) = (Places::new(), Net::new());
    let (first, second) = (places.all(), places.all());
    let mut builder = net.server().handler(UppercaseEcho);
    for endpoint in &first {
        builder = builder.listen(endpoint);
    }
    for endpoint in &second {
        builder = builder.listen(Listen::on(endpoint).handler(Echo));
    }
    let server = builder.bind().await.unwrap().start();
    let locals = server.local_endpoints().to_vec();
    assert_eq!(locals.len(), first.len() + second.len());
    for (i, local) in locals.iter().enumerate() {
        let mut session = net.connect(local).await;
        let expected = if i < first.len() { "WHICH ONE" } else { "Which One" };
        assert_eq!(ask(&mut session, "Which One").await, expected, "{local}");
    }
    let report = server.stop().await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.stats.messages, locals.len() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_never_cross_between_clients() {
    let (places, net) = (Places::new(), Net::new());
    for endpoint in places.all() {
        let (server, local) = net.start(&endpoint, Echo).await;
        let mut clients = JoinSet::new();
        for client in 0..16 {
            let mut session = net.connect(&local).await;
            clients.spawn(async move {
                for message in 0..50 {
                    let tag = format!("client {client} message {message} {}", "x".repeat(message * 7));
                    assert_eq!(ask(&mut session, &tag).await, tag);
                }
            });
        }
        within(&local, clients.join_all()).await;
        let report = server.stop().await;
        assert_eq!((report.stats.messages, report.is_clean()), (800, true), "{local}: {report}");
    }
}

#[tokio::test]
async fn a_handler_that_waits_for_some_peers_delays_no_others() {
    let (places, net) = (Places::new(), Net::new());
    for endpoint in places.all() {
        let gate = Gate::new();
        let (server, local) = net.start(&endpoint, gate.clone()).await;
        let mut slow = Vec::new();
        for i in 0..8 {
            let mut session = net.connect(&local).await;
            tell(&mut session, format!("wait {i}")).await;
            slow.push(session);
        }
        gate.wait_for(8).await;
        let mut quick = net.connect(&local).await;
        for i in 0..100 {
            assert_eq!(ask(&mut quick, format!("quick {i}")).await, format!("quick {i}"), "{local}");
        }
        gate.open(8);
        for (i, session) in slow.iter_mut().enumerate() {
            assert_eq!(text(session).await, format!("wait {i}"), "{local}");
        }
        drop((slow, quick)); // a drain waits a little for clients that stay
        let report = server.stop().await;
        assert_eq!((report.stats.messages, report.is_clean()), (108, true), "{local}: {report}");
    }
}

#[tokio::test]
async fn a_panic_or_an_error_costs_one_session_or_one_datagram() {
    let (places, net) = (Places::new(), Net::new());
    for endpoint in places.all() {
        let (server, local) = net.start(&endpoint, Gate::new()).await;
        let mut other = net.connect(&local).await;
        assert_eq!(ask(&mut other, "before").await, "before");
        for bad in ["panic", "fail"] {
            let mut session = net.connect(&local).await;
            assert_eq!(ask(&mut session, "alive").await, "alive", "{local}");
            tell(&mut session, bad).await;
            if is_datagram(&local) {
                assert_eq!(ask(&mut session, "still alive").await, "still alive", "{local}");
            } else {
                end(&mut session).await;
            }
            assert_eq!(ask(&mut other, "unharmed").await, "unharmed", "{local}");
        }
        drop(other);
        let report = server.stop().await;
        assert_eq!((report.stats.panics, report.stats.handler_errors), (1, 1), "{local}: {report}");
    }
}

#[tokio::test]
async fn after_a_half_close_every_answer_still_arrives_and_then_the_end() {
    let (places, net) = (Places::new(), Net::new());
    for endpoint in places.streams() {
        let gate = Gate::new();
        let (server, local) = net.start(&endpoint, gate.clone()).await;
        let mut session = net.connect(&local).await;
        for message in ["one", "wait", "three"] {
            session.send(message).await.unwrap();
        }
        within("shutdown", session.shutdown()).await.unwrap();
        assert_eq!(text(&mut session).await, "one", "{local}");
        gate.open(1);
        assert_eq!(text(&mut session).await, "wait", "{local}");
        assert_eq!(text(&mut session).await, "three", "{local}");
        assert!(within("the end", session.recv()).await.unwrap().is_none(), "{local}");
        drop(session);
        let report = server.stop().await;
        assert_eq!((report.stats.done, report.cut), (1, 0), "{local}: {report}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_mebibytes_arrive_equal_through_a_slow_reader() {
    const TOTAL: usize = 64 << 20;
    // A period that is no power of two, so that a piece at the wrong place shows.
    let pattern: Arc<Vec<u8>> =
        Arc::new((0..251 * 1021).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect());
    let (places, net) = (Places::new(), Net::new());
    for endpoint in ["tcp://127.0.0.1:0".to_owned(), places.unix()] {
        let server = net.server().listen(endpoint).framing(Framing::Chunks).handler(Echo).bind().await.unwrap().start();
        let local = server.local_endpoints()[0].clone();
        let (mut reader, mut writer) = net.connect_framed(&local, Framing::Chunks).await.split();
        let stalled = Arc::new(Semaphore::new(0));
        let (tell_stalled, bytes) = (Arc::clone(&stalled), Arc::clone(&pattern));
        let sender = tokio::spawn(async move {
            let mut sent = 0;
            while sent < TOTAL {
                let from = sent % bytes.len();
                let piece = &bytes[from..bytes.len().min(from + 60_000).min(from + TOTAL - sent)];
                let send = writer.send(piece);
                tokio::pin!(send);
                // Nobody reads yet: at some point nothing more can leave.
                if tokio::time::timeout(Duration::from_millis(100), &mut send).await.is_err() {
                    tell_stalled.add_permits(1);
                    send.await.unwrap();
                }
                sent += piece.len();
            }
            writer.shutdown().await.unwrap();
            sent
        });
        let stall = within("a stalled sender", stalled.acquire()).await.unwrap();
        stall.forget();
        let mut got = 0;
        while let Some(piece) = within(&local, reader.recv()).await.unwrap() {
            let mut rest = &piece[..];
            while !rest.is_empty() {
                let from = got % pattern.len();
                let len = rest.len().min(pattern.len() - from);
                assert!(rest[..len] == pattern[from..from + len], "{local}: other bytes within {len} from {got}");
                got += len;
                rest = &rest[len..];
            }
        }
        assert_eq!((got, sender.await.unwrap()), (TOTAL, TOTAL), "{local}");
        drop(reader);
        assert!(server.stop().await.is_clean());
    }
}

#[tokio::test]
async fn a_large_last_reply_survives_unread_input() {
    const LARGE: usize = 1_500_000;
    let large = |request: Request<'_>, reply: &mut Reply<'_>| {
        if request.message() == b"big" {
            reply.send(vec![b'y'; LARGE])?;
            reply.close();
        }
        Ok(())
    };
    let junk = vec![b'x'; 50_000];
    let (places, net) = (Places::new(), Net::new());
    for endpoint in places.streams() {
        let (server, local) = net.start_with(&endpoint, handler_fn(large), |limits| limits.max_reply = 2 << 20).await;
        for _ in 0..20 {
            let session = net.connect_framed(&local, Framing::Chunks).await;
            let (mut reader, mut writer) = session.split();
            let send = async {
                writer.send("big\n").await.unwrap();
                // Nobody will ever want this; `close` with it unread would cut the reply.
                for _ in 0..8 {
                    if writer.send(&junk).await.is_err() || writer.flush().await.is_err() {
                        break;
                    }
                }
            };
            let receive = async {
                let mut len = 0;
                while let Some(piece) = reader.recv().await.unwrap_or(None) {
                    assert!(piece.iter().all(|byte| *byte == b'y' || *byte == b'\n'));
                    len += piece.len();
                }
                len
            };
            let len = within(&local, async {
                tokio::select! {
                    len = receive => len,
                    () = async { send.await; std::future::pending().await } => 0,
                }
            });
            assert_eq!(len.await, LARGE + 1, "{local}");
        }
        drop(server);
    }
}

#[tokio::test]
async fn a_drain_lets_everything_that_is_under_way_finish_and_reports() {
    let (places, net) = (Places::new(), Net::new());
    let (gate, endpoints) = (Gate::new(), places.all());
    let mut builder = net.server().handler(gate.clone());
    for endpoint in &endpoints {
        builder = builder.listen(endpoint);
    }
    let server = builder.bind().await.unwrap().start();
    let (mut idle, mut busy) = (Vec::new(), Vec::new());
    for local in server.local_endpoints().to_vec() {
        let mut session = net.connect(&local).await;
        assert_eq!(ask(&mut session, "idle").await, "idle");
        idle.push((local.clone(), session));
        let mut session = net.connect(&local).await;
        assert_eq!(ask(&mut session, "busy").await, "busy");
        tell(&mut session, "wait for it").await;
        busy.push((local, session));
    }
    gate.wait_for(busy.len()).await;
    let stop = tokio::spawn(server.stop());
    for (local, session) in &mut idle {
        if !is_datagram(local) {
            end(session).await;
        }
    }
    drop(idle);
    assert!(!stop.is_finished());
    gate.open(busy.len());
    for (local, session) in &mut busy {
        assert_eq!(text(session).await, "wait for it", "{local}");
    }
    drop(busy);
    let report = within("the drain", stop).await.unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.stats.messages, 3 * endpoints.len() as u64, "{report}");
    for endpoint in endpoints {
        if let Some(path) = endpoint.split_once(":/").map(|(_, path)| format!("/{path}"))
            && endpoint.starts_with("unix")
        {
            assert!(!std::path::Path::new(&path).exists(), "{path} was left behind");
        }
    }
}

struct EchoSession;

#[async_trait]
impl SessionHandler for EchoSession {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        while let Some(message) = session.recv().await? {
            session.send(message).await?;
        }
        Ok(())
    }
}

async fn last_words<K>(net: &Net, endpoint: &str, handler: impl IntoService<K>) {
    let (server, local) = net.start(endpoint, handler).await;
    let mut session = net.connect(&local).await;
    assert_eq!(ask(&mut session, "here").await, "here");
    // On this one thread the server's tasks do not run before the drain begins: the message waits in the system.
    tell(&mut session, "last words").await;
    let stop = tokio::spawn(server.stop());
    assert_eq!(text(&mut session).await, "last words", "{local}");
    drop(session);
    assert!(within("the drain", stop).await.unwrap().is_clean(), "{local}");
}

#[tokio::test]
async fn what_a_message_handler_was_sent_before_a_drain_is_answered() {
    let (places, net) = (Places::new(), Net::new());
    for endpoint in places.all() {
        last_words(&net, &endpoint, Echo).await;
    }
}

#[tokio::test]
async fn what_a_session_handler_was_sent_before_a_drain_is_answered() {
    let (places, net) = (Places::new(), Net::new());
    for endpoint in places.all() {
        last_words(&net, &endpoint, EchoSession).await;
    }
}

#[tokio::test]
async fn what_never_ends_is_cut_at_the_drain_deadline_and_counted() {
    let (places, net) = (Places::new(), Net::new());
    let endpoints = places.all();
    let mut limits = Limits::default();
    limits.drain_timeout = Duration::from_millis(200);
    let gate = Gate::new();
    let mut builder = net.server().handler(gate.clone()).limits(limits);
    for endpoint in &endpoints {
        builder = builder.listen(endpoint);
    }
    let server = builder.bind().await.unwrap().start();
    let mut sessions = Vec::new();
    for local in server.local_endpoints().to_vec() {
        let mut session = net.connect(&local).await;
        assert_eq!(ask(&mut session, "here").await, "here");
        tell(&mut session, "wait for ever").await;
        sessions.push((local, session));
    }
    gate.wait_for(sessions.len()).await;
    let report = within("the drain", server.stop()).await;
    assert_eq!((report.cut, report.is_clean()), (endpoints.len() as u64, false), "{report}");
    for (local, session) in &mut sessions {
        if !is_datagram(local) {
            end(session).await;
        }
    }
}
