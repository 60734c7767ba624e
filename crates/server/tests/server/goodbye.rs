//! A wire that has a good-bye says it in every orderly end, and in no other; elsewhere closing is as it was.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::future::pending;
use std::time::Duration;

use crate::common::farewell::{Ends, Farewell, Watched};
use crate::common::{ask, limits, text, until};
use swapwire_core::{
    Framing, Handler, HandlerError, Reply, Request, Session, SessionConfig, SessionHandler, async_trait,
};
use swapwire_server::{Limits, PerMessage, PerSession, Running, Server, SessionEnd};

use Farewell::{Said, Unsaid};

/// Of `flood`: more than any queue below takes, and more than the smallest budget of memory.
const FLOOD: usize = 400;
const DROP: [u8; 10_000] = [b'!'; 10_000];

/// Does what a message says.
struct Obeys;

impl Handler for Obeys {
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        reply.send(request.message())?;
        match request.message() {
            b"close" => reply.close(),
            b"fail" => return Err("as asked".into()),
            b"panic" => panic!("as asked"),
            b"wait" => pending().await,
            b"huge" => reply.send(vec![b'!'; 2 << 20])?,
            b"flood" => {
                for _ in 0..FLOOD {
                    reply.send(DROP)?;
                }
            }
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
                b"panic" => panic!("as asked"),
                b"wait" => pending().await,
                b"huge" => session.send(vec![b'!'; 2 << 20]).await?,
                b"flood" => {
                    for _ in 0..FLOOD {
                        session.send(DROP).await?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// A wire, and a handler of a kind.
#[derive(Clone, Copy, Debug)]
struct Kind {
    endpoint: &'static str,
    per_session: bool,
}

const KINDS: [Kind; 4] = [
    Kind { endpoint: "mem:a", per_session: false },
    Kind { endpoint: "mem:a", per_session: true },
    Kind { endpoint: "mem-seq:a", per_session: false },
    Kind { endpoint: "mem-seq:a", per_session: true },
];

/// A server, and a client that was answered once.
struct Talk {
    server: Running,
    client: Session,
    ends: Ends,
}

impl Talk {
    async fn begin(kind: Kind, has_goodbye: bool, workers: Option<usize>, limits: Limits) -> Self {
        let (transport, ends) = Watched::new(has_goodbye);
        let mut builder = Server::builder().transport(transport).listen(kind.endpoint).framing(Framing::Lines);
        if let Some(workers) = workers {
            // With several, the one above is not the first one's.
            builder = builder.listen("mem:other").workers(workers);
        }
        let builder = if kind.per_session {
            builder.handler(PerSession::new(Obeys))
        } else {
            builder.handler(PerMessage::new(Obeys))
        };
        let server = builder.limits(limits).bind().await.unwrap().start();
        let client = ends.clients.connect(&kind.endpoint.parse().unwrap()).await.unwrap();
        let mut client = Session::new(client, SessionConfig::framed(Framing::Lines));
        assert_eq!(ask(&mut client, "hello").await, "hello");
        Self { server, client, ends }
    }

    /// Asks for it, and waits for the end of the session.
    async fn end_by(&mut self, what: &str, end: SessionEnd) -> Farewell {
        self.client.send(what).await.unwrap();
        self.client.flush().await.unwrap();
        until(&self.server, |stats| stats.ended(end) == 1).await;
        self.ends.next().await
    }
}

/// Bounds for replies that are many, and deadlines that a paused clock passes.
fn bounds() -> Limits {
    limits(|l| {
        (l.max_reply, l.out_queue) = (8 << 20, 8 << 20);
        l.idle_timeout = Some(Duration::from_secs(1000));
        l.write_timeout = Some(Duration::from_secs(5));
    })
}

#[tokio::test(start_paused = true)]
async fn it_is_said_when_a_handler_closes_and_its_replies_have_left() {
    for kind in KINDS {
        let mut talk = Talk::begin(kind, true, None, bounds()).await;
        talk.client.send("close").await.unwrap();
        assert_eq!(text(&mut talk.client).await, "close", "{kind:?}");
        assert!(talk.client.recv().await.unwrap().is_none(), "{kind:?}");
        drop(talk.client);
        assert_eq!(talk.ends.next().await, Said, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_said_behind_replies_that_were_long_to_leave() {
    for kind in KINDS {
        let mut talk = Talk::begin(kind, true, None, bounds()).await;
        talk.client.send("flood").await.unwrap();
        talk.client.send("close").await.unwrap();
        assert_eq!(text(&mut talk.client).await, "flood", "{kind:?}");
        for _ in 0..FLOOD {
            assert_eq!(text(&mut talk.client).await.len(), DROP.len(), "{kind:?}");
        }
        assert_eq!(text(&mut talk.client).await, "close", "{kind:?}");
        assert!(talk.client.recv().await.unwrap().is_none(), "{kind:?}");
        drop(talk.client);
        assert_eq!(talk.ends.next().await, Said, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_said_when_the_peer_has_ended() {
    for kind in KINDS {
        let mut talk = Talk::begin(kind, true, None, bounds()).await;
        // Where a half can be closed, the client hears the end; else it is gone.
        if kind.endpoint.starts_with("mem:") {
            talk.client.shutdown().await.unwrap();
            assert!(talk.client.recv().await.unwrap().is_none(), "{kind:?}");
        }
        drop(talk.client);
        assert_eq!(talk.ends.next().await, Said, "{kind:?}");
        assert_eq!(talk.server.stop().await.stats.done, 1, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_said_to_a_peer_that_says_nothing() {
    for kind in KINDS {
        let mut talk = Talk::begin(kind, true, None, bounds()).await;
        assert!(talk.client.recv().await.unwrap().is_none(), "{kind:?}");
        drop(talk.client);
        assert_eq!(talk.ends.next().await, Said, "{kind:?}");
        assert_eq!(talk.server.snapshot().idle_timeouts, 1, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_said_in_a_drain() {
    for kind in KINDS {
        let Talk { server, mut client, mut ends } = Talk::begin(kind, true, None, bounds()).await;
        let client = async move { client.recv().await.unwrap() };
        let (report, heard) = tokio::join!(server.stop(), client);
        assert!(heard.is_none() && report.is_clean(), "{kind:?}: {report}");
        assert_eq!(ends.next().await, Said, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_not_said_where_a_handler_gave_up() {
    for kind in KINDS {
        let mut talk = Talk::begin(kind, true, None, bounds()).await;
        assert_eq!(talk.end_by("fail", SessionEnd::HandlerError).await, Unsaid, "{kind:?}");
        let mut talk = Talk::begin(kind, true, None, bounds()).await;
        assert_eq!(talk.end_by("panic", SessionEnd::Panicked).await, Unsaid, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_not_said_to_a_peer_that_does_not_take_its_replies() {
    for kind in KINDS {
        let mut talk = Talk::begin(kind, true, None, bounds()).await;
        assert_eq!(talk.end_by("flood", SessionEnd::WriteTimeout).await, Unsaid, "{kind:?}");
        let mut talk = Talk::begin(kind, true, None, bounds().memory_budget(1 << 20)).await;
        assert_eq!(talk.end_by("flood", SessionEnd::OverBudget).await, Unsaid, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_not_said_by_a_server_that_cuts_or_is_dropped() {
    for kind in KINDS {
        let Talk { server, mut client, mut ends } = Talk::begin(kind, true, None, bounds()).await;
        client.send("wait").await.unwrap();
        client.flush().await.unwrap();
        let report = server.stop().await;
        assert_eq!((report.cut, ends.next().await), (1, Unsaid), "{kind:?}");
        let Talk { server, client, mut ends } = Talk::begin(kind, true, None, bounds()).await;
        drop(server);
        assert_eq!(ends.next().await, Unsaid, "{kind:?}");
        drop(client);
    }
}

/// A reply that the wire does not take is no end of it; but then what was sent is not all.
#[tokio::test(start_paused = true)]
async fn it_is_not_said_behind_a_reply_that_was_lost() {
    for kind in KINDS.into_iter().filter(|kind| kind.endpoint.starts_with("mem-seq:")) {
        let mut talk = Talk::begin(kind, true, None, bounds()).await;
        talk.client.send("huge").await.unwrap();
        talk.client.send("close").await.unwrap();
        while talk.client.recv().await.unwrap().is_some() {}
        drop(talk.client);
        assert_eq!(talk.ends.next().await, Unsaid, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_not_said_on_a_connection_that_broke() {
    for kind in KINDS {
        let Talk { server, client, mut ends } = Talk::begin(kind, true, None, bounds()).await;
        ends.cut_clients();
        drop(client);
        assert_eq!(ends.next().await, Unsaid, "{kind:?}");
        assert_eq!(server.stop().await.stats.broken, 1, "{kind:?}");
    }
}

/// With one worker and with several; their clocks are real.
#[tokio::test]
async fn workers_say_it_and_do_not_as_one_server_does() {
    for (kind, workers) in KINDS.into_iter().flat_map(|kind| [(kind, 1), (kind, 2)]) {
        let begin = || Talk::begin(kind, true, Some(workers), bounds().idle_timeout(Duration::from_millis(50)));
        // An idle deadline.
        let mut talk = begin().await;
        assert!(talk.client.recv().await.unwrap().is_none(), "{kind:?}, {workers}");
        drop(talk.client);
        assert_eq!(talk.ends.next().await, Said, "{kind:?}, {workers}");
        let begin = || Talk::begin(kind, true, Some(workers), bounds());
        let Talk { server, mut client, mut ends } = begin().await;
        let client = async move { client.recv().await.unwrap() };
        let (report, heard) = tokio::join!(server.stop(), client);
        assert!(heard.is_none() && report.is_clean(), "{kind:?}, {workers}: {report}");
        assert_eq!(ends.next().await, Said, "{kind:?}, {workers}");
        let mut talk = begin().await;
        assert_eq!(talk.end_by("fail", SessionEnd::HandlerError).await, Unsaid, "{kind:?}, {workers}");
        let Talk { server, client, mut ends } = begin().await;
        drop(server);
        assert_eq!(ends.next().await, Unsaid, "{kind:?}, {workers}");
        drop(client);
    }
}

/// There the end of the sending tells the peer what a drop would tell it, too.
#[tokio::test(start_paused = true)]
async fn a_wire_without_one_is_closed_as_ever() {
    for kind in KINDS {
        let is_bytes = kind.endpoint.starts_with("mem:");
        let mut talk = Talk::begin(kind, false, None, bounds()).await;
        talk.client.send("fail").await.unwrap();
        while talk.client.recv().await.unwrap().is_some() {}
        drop(talk.client);
        assert_eq!(talk.ends.next().await, Said, "{kind:?}: the peer may still read");
        let mut talk = Talk::begin(kind, false, None, bounds()).await;
        if is_bytes {
            talk.client.shutdown().await.unwrap();
            assert!(talk.client.recv().await.unwrap().is_none(), "{kind:?}");
        }
        drop(talk.client);
        // A message handler spares the system call behind the end of its peer.
        let expected = if is_bytes && !kind.per_session { Unsaid } else { Said };
        assert_eq!(talk.ends.next().await, expected, "{kind:?}");
    }
}
