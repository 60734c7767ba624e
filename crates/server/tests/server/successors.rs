//! However a session ends, whoever comes next on its thread gets its own bytes: buffers, and what frames, are the thread's.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;
use std::time::Duration;

use crate::common::numbered::numbered;
use crate::common::{Net, ask, limits, text};
use swapwire_core::{Framing, Handler, HandlerError, HandlerProperties, Reply, Request, Session};
use swapwire_server::{Limits, Running};
use tokio::sync::Semaphore;
use tokio::time::sleep;

/// More than the wire takes, so that some of it is not sent.
const BIG: usize = 100_000;

struct Odd {
    at_once: bool,
    gate: Arc<Semaphore>,
}

impl Handler for Odd {
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        match request.message() {
            b"big" => reply.send([b'B'; BIG])?,
            b"fail" => {
                reply.send(b"what a failed call left")?;
                return Err("as asked".into());
            }
            b"panic" => {
                reply.send(b"what a panic left")?;
                // In the midst of a message.
                reply.write(|out| {
                    out.put(b"and half a message");
                    panic!("as asked");
                })?;
            }
            b"half" => {
                reply.send(b"half of a reply")?;
                self.gate.acquire().await?.forget();
            }
            b"bye" => reply.close(),
            message => reply.send(message)?,
        }
        Ok(())
    }

    fn properties(&self) -> HandlerProperties {
        HandlerProperties::new().with_ready_at_once(self.at_once)
    }
}

/// What becomes of the connection once its requests are sent.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// Closed before the server has read.
    Break,
    /// Closed when the server waits, for room or for a call.
    BreakLater,
    /// Kept, and nothing read, until every deadline is over.
    Keep,
}

const ENDS: [(&[&str], Then); 15] = [
    (&["big"], Then::Break),
    (&["small", "big", "big"], Then::Break),
    (&["big", "big", "big"], Then::BreakLater),
    (&["big", "big", "big"], Then::Keep),
    (&["fail"], Then::Break),
    (&["small", "fail"], Then::Keep),
    (&["big", "fail"], Then::BreakLater),
    (&["big", "fail"], Then::Keep),
    (&["small", "panic"], Then::Keep),
    (&["big", "big", "panic"], Then::BreakLater),
    (&["small", "half", "small"], Then::BreakLater),
    (&["big", "half", "big"], Then::BreakLater),
    (&["big", "big", "big", "half"], Then::Keep),
    (&["big", "bye", "behind it"], Then::Keep),
    (&["big", "bye"], Then::BreakLater),
];

struct House {
    net: Net,
    gate: Arc<Semaphore>,
    servers: Vec<Running>,
}

fn framings() -> [(&'static str, Framing); 3] {
    [("mem:lines", Framing::Lines), ("mem:length", Framing::length_prefixed()), ("mem:numbered", numbered())]
}

impl House {
    async fn new(at_once: bool, change: impl Fn(&mut Limits)) -> Self {
        let (net, gate) = (Net::new(), Arc::new(Semaphore::new(0)));
        let limits = limits(|l| {
            l.write_timeout = Some(Duration::from_secs(5));
            change(l);
        });
        let mut servers = Vec::new();
        for (endpoint, framing) in framings() {
            let handler = Odd { at_once, gate: Arc::clone(&gate) };
            let builder = net.server().listen(endpoint).handler(handler).framing(framing).limits(limits.clone());
            servers.push(builder.bind().await.unwrap().start());
        }
        Self { net, gate, servers }
    }

    async fn visitors(&self) -> Vec<Session> {
        let mut all = Vec::new();
        for (endpoint, framing) in framings() {
            all.push(self.net.connect_framed(endpoint, framing).await);
        }
        all
    }

    /// Has a session end that way.
    async fn bring_to_an_end(&self, endpoint: &str, framing: Framing, requests: &[&str], then: Then) {
        let mut session = self.net.connect_framed(endpoint, framing).await;
        for request in requests {
            session.send(*request).await.unwrap();
        }
        session.flush().await.unwrap();
        match then {
            Then::Break => drop(session),
            Then::BreakLater => {
                sleep(Duration::from_millis(1)).await;
                drop(session);
            }
            // Longer than the deadline for writing and the patience of a close together.
            Then::Keep => sleep(Duration::from_secs(10)).await,
        }
        if requests.contains(&"half") {
            self.gate.add_permits(1);
        }
        sleep(Duration::from_millis(1)).await;
        // A call that was dropped has taken none.
        self.gate.forget_permits(1);
    }
}

/// Every message comes back as it is, and nothing besides.
async fn check(session: &mut Session, what: &str) {
    for message in [what.to_owned(), String::new(), what.repeat(300)] {
        assert_eq!(ask(session, &message).await, message, "{what}");
    }
    for message in ["a", what, "c"] {
        session.send(message).await.unwrap();
    }
    for message in ["a", what, "c"] {
        assert_eq!(text(session).await, message, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_ends_a_session_its_successors_get_their_own() {
    for at_once in [false, true] {
        // With so small a queue, replies are written between the calls of one read.
        for out_queue in [256 << 10, 1000] {
            let house = House::new(at_once, |l| l.out_queue = out_queue).await;
            let mut old = house.visitors().await;
            for (requests, then) in ENDS {
                for (endpoint, framing) in framings() {
                    house.bring_to_an_end(endpoint, framing, requests, then).await;
                    let what = format!("{at_once} {out_queue} {requests:?} {then:?} {endpoint}");
                    for session in old.iter_mut().chain(&mut house.visitors().await) {
                        check(session, &what).await;
                    }
                }
            }
            drop(old);
            for server in house.servers {
                let report = server.stop().await;
                assert!(report.is_clean(), "{report}");
                let stats = &report.stats;
                // Every way to end was met: with the small queue some peers are gone before the call that fails.
                assert!(stats.broken >= 3 && stats.write_timeouts >= 2, "{report}");
                assert!(stats.panics >= 1 && stats.handler_errors >= 2 && stats.done > 0, "{report}");
            }
        }
    }
}

/// A drain that runs out of time drops sessions in the midst of everything; the thread, and its buffers, go on.
#[tokio::test(start_paused = true)]
async fn what_a_cut_session_had_reaches_nobody() {
    for at_once in [false, true] {
        let other = House::new(at_once, |_| {}).await;
        let mut old = other.visitors().await;
        for requests in [&["big", "big"][..], &["small", "half"], &["big", "half", "big"]] {
            let house = House::new(at_once, |l| l.write_timeout = None).await;
            let mut victims = house.visitors().await;
            for victim in &mut victims {
                for request in requests {
                    victim.send(*request).await.unwrap();
                }
                victim.flush().await.unwrap();
            }
            sleep(Duration::from_millis(1)).await;
            for server in house.servers {
                let report = server.stop().await;
                assert_eq!((report.cut, report.stats.cut), (1, 1), "{requests:?}: {report}");
            }
            for session in old.iter_mut().chain(&mut other.visitors().await) {
                check(session, &format!("{at_once} {requests:?}")).await;
            }
            drop(victims);
        }
    }
}
