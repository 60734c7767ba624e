//! What is counted is what the clients saw: messages and bytes, sessions and their ends, of every kind of wire and handler.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::common::{Net, ask, limits, until};
use swapwire_core::{
    Framing, Handler, HandlerError, Reply, Request, Session, SessionHandler, async_trait, handler_fn, handler_fn_async,
};
use swapwire_server::{Running, ServerBuilder, Snapshot};

/// Answers each message twice.
struct Twice;

#[async_trait]
impl SessionHandler for Twice {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        while let Some(message) = session.recv().await? {
            session.send(&message).await?;
            session.send(&message).await?;
        }
        Ok(())
    }
}

/// The same for each message; after a wait, if it is so.
struct TwiceEach(bool);

impl Handler for TwiceEach {
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        reply.send(request.message())?;
        if self.0 {
            tokio::task::yield_now().await;
        }
        Ok(reply.send(request.message())?)
    }
}

const KINDS: [&str; 4] = ["ready at once", "ready", "waits", "session"];

fn handled(builder: ServerBuilder, kind: &str) -> ServerBuilder {
    match kind {
        "session" => builder.handler(Twice),
        "ready" | "waits" => builder.handler(TwiceEach(kind == "waits")),
        _ => builder.handler(handler_fn(|request, reply| {
            reply.send(request.message())?;
            Ok(reply.send(request.message())?)
        })),
    }
}

async fn start(net: &Net, endpoint: &str, kind: &str, workers: Option<usize>) -> Running {
    let builder = handled(net.server().listen(endpoint).framing(Framing::Lines), kind);
    let builder = match workers {
        Some(workers) => builder.workers(workers),
        None => builder,
    };
    builder.bind().await.unwrap().start()
}

/// Messages and bytes, in and out.
fn traffic(stats: &Snapshot) -> [u64; 4] {
    [stats.messages, stats.messages_sent, stats.received_bytes, stats.sent_bytes]
}

/// Sends messages of these lengths, and receives two answers to each: what the server should have counted.
async fn talk(session: &mut Session, lengths: &[usize], end: u64) -> [u64; 4] {
    let mut seen = [0; 4];
    for len in lengths {
        let message = "x".repeat(*len);
        session.send(&message).await.unwrap();
        for _ in 0..2 {
            let answer = session.recv().await.unwrap().unwrap();
            assert_eq!(answer.len(), *len);
            seen[1] += 1;
            seen[3] += answer.len() as u64 + end;
        }
        seen[0] += 1;
        seen[2] += *len as u64 + end;
    }
    seen
}

#[tokio::test]
async fn messages_and_bytes_are_those_that_clients_sent_and_received() {
    for (endpoint, end) in [("mem:a", 1), ("mem-seq:a", 0), ("mem-dgram:a", 0)] {
        for kind in KINDS {
            for workers in [None, Some(1)] {
                let net = Net::new();
                let server = start(&net, endpoint, kind, workers).await;
                let mut seen = [0; 4];
                for lengths in [&[1, 700, 3][..], &[1000], &[5; 40]] {
                    let mut session = net.connect(endpoint).await;
                    let more = talk(&mut session, lengths, end).await;
                    seen = std::array::from_fn(|at| seen[at] + more[at]);
                    drop(session);
                }
                let stats = server.stop().await.stats;
                assert_eq!(traffic(&stats), seen, "{endpoint} {kind} {workers:?}");
                assert_eq!(stats.open(), 0, "{endpoint} {kind}: {stats:?}");
            }
        }
    }
}

/// With several writers at once, nothing is lost either: each thread of the caller's runtime counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sessions_on_several_threads_of_one_runtime_lose_no_count() {
    for kind in KINDS {
        let net = Net::new();
        let server = start(&net, "mem:a", kind, None).await;
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let mut session = net.connect("mem:a").await;
            clients.spawn(async move { talk(&mut session, &[7; 500], 1).await });
        }
        let all = clients.join_all().await;
        let seen: [u64; 4] = std::array::from_fn(|at| all.iter().map(|one| one[at]).sum());
        assert_eq!(traffic(&server.stop().await.stats), seen, "{kind}");
    }
}

/// A session of days shows while it lasts, also one that waits in a call.
#[tokio::test(start_paused = true)]
async fn what_a_session_moves_shows_while_it_lasts() {
    for endpoint in ["mem:a", "mem-seq:a", "mem-dgram:a"] {
        for kind in KINDS {
            let net = Net::new();
            let server = start(&net, endpoint, kind, None).await;
            let mut session = net.connect(endpoint).await;
            let seen = talk(&mut session, &[10; 3], u64::from(endpoint == "mem:a")).await;
            until(&server, |stats| traffic(stats) == seen).await;
            let is_session = kind == "session" || endpoint != "mem-dgram:a";
            assert_eq!(server.snapshot().open(), u64::from(is_session), "{endpoint} {kind}");
            let (info, counted) = server.snapshots().remove(0);
            assert_eq!((info.is_up, traffic(&counted)), (true, seen), "{endpoint} {kind}");
        }
    }
    let net = Net::new();
    let server = net.start("mem:a", handler_fn_async(|_| std::future::pending::<Result<String, HandlerError>>())).await;
    let mut session = net.connect("mem:a").await;
    session.send("abc").await.unwrap();
    session.flush().await.unwrap();
    until(&server, |stats| traffic(stats) == [1, 0, 4, 0]).await;
}

#[tokio::test(start_paused = true)]
async fn every_session_that_began_has_ended_or_is_open() {
    for endpoint in ["mem:a", "mem-seq:a", "mem-dgram:a"] {
        let net = Net::new();
        let limits = limits(|limits| limits.idle_timeout = Some(std::time::Duration::from_secs(60)));
        let server = net.start_limited(endpoint, Twice, limits).await;
        let mut sessions = Vec::new();
        for open in 1..=3 {
            let mut session = net.connect(endpoint).await;
            ask(&mut session, "x").await;
            sessions.push(session);
            assert_eq!(server.snapshot().open(), open, "{endpoint}");
        }
        until(&server, |stats| stats.idle_timeouts == 3).await;
        until(&server, |stats| stats.open() == 0).await;
    }
}

/// `promtool check metrics`, of the Debian package `prometheus`, has nothing to say of the text.
#[tokio::test]
async fn promtool_accepts_the_text() {
    let net = Net::new();
    let builder = net.server().handler(Twice).framing(Framing::Lines).listen("mem:a").listen("mem-dgram:c");
    let server = builder.listen("mem-seq:\"b\"\\").bind().await.unwrap().start();
    let mut session = net.connect("mem:a").await;
    talk(&mut session, &[1; 3], 1).await;
    let text = server.handle().prometheus().to_string();
    assert!(text.contains("swapwire_listener_up{listener=\"mem:a\",transport=\"mem\"} 1\n"), "{text}");
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut promtool) = command.spawn() else {
        eprintln!("skipped: no promtool");
        return;
    };
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let said = promtool.wait_with_output().unwrap();
    let words = [said.stdout, said.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(said.status.success() && words.concat().trim().is_empty(), "{words:?}: {text}");
}
