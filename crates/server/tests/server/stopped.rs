//! A process that was stopped for longer than every deadline looks at what came meanwhile before it believes that one is
//! over.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::Duration;

use crate::common::stopped::Stopped;
use crate::common::{limits, text, until};
use swapwire_core::{
    Framing, Handler, HandlerError, Reply, Request, Session, SessionConfig, SessionHandler, async_trait,
};
use swapwire_server::{Limits, PerMessage, PerSession, Running, Server, Snapshot};
use tokio::time::{Instant, advance, sleep, timeout};

/// Longer than any deadline here.
const STOP: Duration = Duration::from_secs(1000);
/// More than a wire of the memory network holds, but less than the queue towards a peer.
const MUCH: usize = 200_000;

/// Says a message back; `much` is answered with much.
struct Echo;

impl Handler for Echo {
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        Ok(reply.send(said(request.message()))?)
    }
}

#[async_trait]
impl SessionHandler for Echo {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        while let Some(message) = session.recv().await? {
            session.send(said(&message)).await?;
        }
        Ok(())
    }
}

fn said(message: &[u8]) -> Vec<u8> {
    if message == b"much" { vec![b'x'; MUCH] } else { message.to_vec() }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Messages,
    Sessions,
}

/// Every wire on which somebody has deadlines, with every kind of handler that has them there.
const ALL: [(&str, Kind); 5] = [
    ("mem:a", Kind::Messages),
    ("mem-seq:a", Kind::Messages),
    ("mem:a", Kind::Sessions),
    ("mem-seq:a", Kind::Sessions),
    ("mem-dgram:a", Kind::Sessions),
];

async fn serve(net: &Stopped, endpoint: &str, kind: Kind, limits: Limits) -> Running {
    let builder = Server::builder().transport(net.clone()).listen(endpoint).framing(Framing::Lines).limits(limits);
    let builder = match kind {
        Kind::Messages => builder.handler(PerMessage::new(Echo)),
        Kind::Sessions => builder.handler(PerSession::new(Echo)),
    };
    builder.bind().await.unwrap().start()
}

async fn connect(net: &Stopped, endpoint: &str, framing: Framing) -> Session {
    let link = net.inner.connect(&endpoint.parse().unwrap()).await.unwrap();
    Session::new(link, SessionConfig::framed(framing))
}

async fn say(session: &mut Session, message: impl AsRef<[u8]>) {
    session.send(message.as_ref()).await.unwrap();
    session.flush().await.unwrap();
}

fn late(stats: Snapshot) -> u64 {
    stats.idle_timeouts + stats.frame_timeouts + stats.write_timeouts + stats.handshakes_failed + stats.cut
}

#[tokio::test(start_paused = true)]
async fn who_spoke_meanwhile_was_not_idle() {
    for (endpoint, kind) in ALL {
        let net = Stopped::new();
        let idle = limits(|l| l.idle_timeout = Some(Duration::from_secs(2)));
        let server = serve(&net, endpoint, kind, idle).await;
        let mut session = connect(&net, endpoint, Framing::Lines).await;
        for round in ["one", "two", "three"] {
            say(&mut session, round).await;
            assert_eq!(text(&mut session).await, round, "{endpoint} {kind:?}");
            net.stop();
            say(&mut session, "meanwhile").await;
            net.go_on_after(STOP).await;
            assert_eq!(text(&mut session).await, "meanwhile", "{endpoint} {kind:?}");
        }
        assert_eq!(late(server.snapshot()), 0, "{endpoint} {kind:?}");
        // Who says nothing goes all the same, and not much later.
        let begun = Instant::now();
        until(&server, |stats| stats.idle_timeouts == 1).await;
        assert!(begun.elapsed() < Duration::from_millis(2150), "{endpoint} {kind:?}: {:?}", begun.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_was_whole_meanwhile_came_in_time() {
    for kind in [Kind::Messages, Kind::Sessions] {
        let net = Stopped::new();
        let frame = limits(|l| l.frame_timeout = Some(Duration::from_secs(2)));
        let server = serve(&net, "mem:a", kind, frame).await;
        let mut session = connect(&net, "mem:a", Framing::Chunks).await;
        say(&mut session, "hal").await;
        sleep(Duration::from_secs(1)).await;
        net.stop();
        say(&mut session, "f\n").await;
        net.go_on_after(STOP).await;
        assert_eq!(text(&mut session).await, "half\n", "{kind:?}");
        assert_eq!(late(server.snapshot()), 0, "{kind:?}");
        // Bytes that do not make it whole are no excuse.
        say(&mut session, "hal").await;
        sleep(Duration::from_secs(1)).await;
        net.stop();
        say(&mut session, "f").await;
        net.go_on_after(STOP).await;
        let begun = Instant::now();
        assert_eq!(session.recv().await.unwrap(), None);
        assert!(begun.elapsed() < Duration::from_millis(150), "{kind:?}: {:?}", begun.elapsed());
        drop(session);
        until(&server, |stats| stats.frame_timeouts == 1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_read_meanwhile_is_written_to() {
    for (endpoint, kind) in ALL.into_iter().filter(|(endpoint, _)| !endpoint.contains("dgram")) {
        let net = Stopped::new();
        let write = limits(|l| l.write_timeout = Some(Duration::from_secs(2)));
        let server = serve(&net, endpoint, kind, write).await;
        let mut session = connect(&net, endpoint, Framing::Lines).await;
        // As many as the wire does not take.
        const REPLIES: usize = 20;
        for _ in 0..REPLIES {
            say(&mut session, "much").await;
        }
        sleep(Duration::from_secs(1)).await;
        net.stop();
        // What the wire held.
        let read = |session: &mut Session| futures::FutureExt::now_or_never(session.recv()).map(|got| got.unwrap());
        let mut got = 0;
        while let Some(reply) = read(&mut session) {
            got += usize::from(reply.is_some_and(|reply| reply.len() == MUCH));
        }
        net.go_on_after(STOP).await;
        while got < REPLIES {
            assert_eq!(session.recv().await.unwrap().map(|reply| reply.len()), Some(MUCH), "{endpoint} {kind:?}");
            got += 1;
        }
        assert_eq!(late(server.snapshot()), 0, "{endpoint} {kind:?}");
    }
}

/// Stopped while it was at work, as it began to be idle, to have half a frame, not to get rid of a reply: none of these
/// began when the clock was told last.
#[tokio::test(start_paused = true)]
async fn what_begins_as_it_goes_on_began_no_sooner() {
    for (endpoint, kind) in ALL {
        let net = Stopped::new();
        let short = limits(|l| {
            l.idle_timeout = Some(Duration::from_secs(2));
            l.frame_timeout = Some(Duration::from_secs(2));
            l.write_timeout = Some(Duration::from_secs(2));
        });
        let server = serve(&net, endpoint, kind, short).await;
        let mut session = connect(&net, endpoint, Framing::Lines).await;
        for round in ["one", "two", "three"] {
            say(&mut session, round).await;
            assert_eq!(text(&mut session).await, round, "{endpoint} {kind:?}");
            net.stop();
            say(&mut session, "meanwhile").await;
            net.go_on_at_work_after(STOP).await;
            assert_eq!(text(&mut session).await, "meanwhile", "{endpoint} {kind:?}");
            sleep(Duration::from_millis(1900)).await;
        }
        assert_eq!(late(server.snapshot()), 0, "{endpoint} {kind:?}");
        if endpoint != "mem:a" {
            continue;
        }
        // Replies of which the wire holds but a few; and half a frame.
        const REPLIES: usize = 20;
        let mut stuck = connect(&net, endpoint, Framing::Lines).await;
        let mut half = connect(&net, endpoint, Framing::Chunks).await;
        say(&mut stuck, "one").await;
        say(&mut half, "one\n").await;
        assert_eq!((text(&mut stuck).await, text(&mut half).await), ("one".into(), "one\n".into()));
        net.stop();
        for _ in 0..REPLIES {
            say(&mut stuck, "much").await;
        }
        say(&mut half, "hal").await;
        net.go_on_at_work_after(STOP).await;
        sleep(Duration::from_millis(1900)).await;
        say(&mut half, "f\n").await;
        assert_eq!(text(&mut half).await, "half\n", "{kind:?}");
        for _ in 0..REPLIES {
            assert_eq!(stuck.recv().await.unwrap().map(|reply| reply.len()), Some(MUCH), "{kind:?}");
        }
        let stats = server.snapshot();
        assert_eq!((stats.frame_timeouts, stats.write_timeouts), (0, 0), "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_grace_that_begins_as_it_goes_on_is_a_whole_one() {
    for kind in [Kind::Messages, Kind::Sessions] {
        let net = Stopped::new();
        let server = serve(&net, "mem:a", kind, limits(|_| {})).await;
        let mut half = connect(&net, "mem:a", Framing::Chunks).await;
        say(&mut half, "one\n").await;
        assert_eq!(text(&mut half).await, "one\n");
        net.stop();
        say(&mut half, "hal").await;
        let drained = tokio::spawn(server.stop());
        net.go_on_at_work_after(STOP).await;
        sleep(Duration::from_millis(900)).await;
        say(&mut half, "f\n").await;
        assert_eq!(text(&mut half).await, "half\n", "{kind:?}");
        drop(half);
        let report = drained.await.unwrap();
        assert!(report.is_clean(), "{kind:?}: {report}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_was_done_meanwhile_came_in_time() {
    let net = Stopped::new();
    let server = serve(&net, "mem:a", Kind::Messages, limits(|_| {})).await;
    net.stop();
    let mut session = connect(&net, "mem:a", Framing::Lines).await;
    until(&server, |stats| stats.sessions == 1).await;
    say(&mut session, "hello").await;
    net.go_on_after(STOP).await;
    assert_eq!(text(&mut session).await, "hello");
    assert_eq!(late(server.snapshot()), 0);
}

#[tokio::test(start_paused = true)]
async fn a_drain_answers_what_came_meanwhile() {
    for kind in [Kind::Messages, Kind::Sessions] {
        let net = Stopped::new();
        let server = serve(&net, "mem:a", kind, limits(|_| {})).await;
        let mut half = connect(&net, "mem:a", Framing::Chunks).await;
        say(&mut half, "one\nhal").await;
        assert_eq!(text(&mut half).await, "one\n");
        let drained = tokio::spawn(server.stop());
        sleep(Duration::from_millis(500)).await;
        net.stop();
        say(&mut half, "f\n").await;
        net.go_on_after(STOP).await;
        assert_eq!(text(&mut half).await, "half\n", "{kind:?}");
        drop(half);
        let report = drained.await.unwrap();
        assert!(report.is_clean(), "{kind:?}: {report}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_hears_the_datagrams_that_came_meanwhile() {
    for kind in [Kind::Messages, Kind::Sessions] {
        let net = Stopped::new();
        let server = serve(&net, "mem-dgram:a", kind, limits(|_| {})).await;
        let mut session = connect(&net, "mem-dgram:a", Framing::Lines).await;
        say(&mut session, "one").await;
        assert_eq!(text(&mut session).await, "one");
        let drained = tokio::spawn(server.stop());
        sleep(Duration::from_millis(5)).await;
        net.stop();
        say(&mut session, "two").await;
        net.go_on_after(STOP).await;
        let heard = timeout(STOP, text(&mut session)).await;
        assert_eq!(heard.as_deref(), Ok("two"), "{kind:?}");
        let report = drained.await.unwrap();
        assert!(report.is_clean(), "{kind:?}: {report}");
    }
}

/// A socket with more in it than its loop takes in a turn: who is silent is not believed to be so before all was taken.
#[tokio::test(start_paused = true)]
async fn a_datagram_behind_many_others_came_in_time() {
    let net = Stopped::new();
    let idle = limits(|l| l.idle_timeout = Some(Duration::from_secs(2)));
    let server = serve(&net, "mem-dgram:a", Kind::Sessions, idle).await;
    let mut sessions = Vec::new();
    for _ in 0..200 {
        let mut session = connect(&net, "mem-dgram:a", Framing::Lines).await;
        say(&mut session, "one").await;
        assert_eq!(text(&mut session).await, "one");
        sessions.push(session);
    }
    net.stop();
    for session in &mut sessions {
        say(session, "two").await;
    }
    net.go_on_after(STOP).await;
    for session in &mut sessions {
        assert_eq!(text(session).await, "two");
    }
    assert_eq!((server.snapshot().sessions, late(server.snapshot())), (200, 0));
    advance(STOP).await;
    until(&server, |stats| stats.idle_timeouts == 200).await;
}
