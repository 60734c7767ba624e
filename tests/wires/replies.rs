//! What a call replies is its own, on every wire: handlers that replace the `Reply` they are lent harm nobody else, and
//! layers take the replies of a call apart and pass them on.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "../../crates/server/tests/common/hostile.rs"]
mod hostile;

use crate::common::{Net, Places, ask, end, is_datagram, tell, text, until, within};
use hostile::{Hostile, TRICKS};
use swapwire::{
    Endpoint, Framing, Handler, HandlerError, HandlerExt as _, HandlerProperties, Reply, Request, Session, handler_fn,
};
use tokio::task::JoinSet;

const ROUNDS: usize = 8;
/// Messages under way at once, of each honest client.
const WINDOW: usize = 8;

/// Gets every reply of its own, byte for byte.
async fn honest(mut session: Session, client: usize) {
    for round in 0..ROUNDS {
        let message = |i| format!("client {client} round {round} message {i} {}", "x".repeat(i * 9));
        for i in 0..WINDOW {
            tell(&mut session, message(i)).await;
        }
        let mut replies = Vec::new();
        for _ in 0..WINDOW {
            replies.push(text(&mut session).await);
        }
        // Datagrams may be handled in any order.
        replies.sort_by_key(String::len);
        assert_eq!(replies, (0..WINDOW).map(|i| message(i).to_uppercase()).collect::<Vec<_>>());
    }
}

async fn evil(net: &Net, local: &Endpoint) {
    for trick in TRICKS {
        let mut session = net.connect(local).await;
        assert_eq!(ask(&mut session, "one").await, "ONE", "{trick} on {local}");
        tell(&mut session, trick).await;
        match is_datagram(local) {
            true => assert_eq!(ask(&mut session, "two").await, "TWO", "{trick} on {local}"),
            false => end(&mut session).await,
        }
    }
}

async fn nobody_else_is_harmed(workers: Option<usize>) {
    let (places, net) = (Places::new(), Net::new());
    for (endpoint, waits) in places.all().into_iter().flat_map(|at| [false, true].map(|waits| (at.clone(), waits))) {
        let mut builder = net.server().listen(&endpoint).handler(Hostile::new(waits));
        if let Some(workers) = workers {
            builder = builder.workers(workers);
        }
        let server = builder.bind().await.unwrap().start();
        let local = server.local_endpoints()[0].clone();
        let mut clients = JoinSet::new();
        for client in 0..4 {
            clients.spawn(honest(net.connect(&local).await, client));
        }
        tokio::join!(evil(&net, &local), evil(&net, &local), async { within(&local, clients.join_all()).await });
        // Those that come later find nothing changed.
        honest(net.connect(&local).await, 4).await;
        let tricks = 2 * TRICKS.len() as u64;
        until(&server, |stats| stats.handler_errors + stats.panics >= tricks).await;
        let stats = server.stop().await.stats;
        assert_eq!((stats.handler_errors, stats.panics), (tricks - 2, 2), "{local}, waits: {waits}: {stats:?}");
    }
}

#[tokio::test]
async fn a_handler_that_replaces_its_reply_harms_nobody_else() {
    nobody_else_is_harmed(None).await;
}

#[tokio::test]
async fn a_handler_that_replaces_its_reply_harms_nobody_else_on_workers() {
    nobody_else_is_harmed(Some(2)).await;
}

#[tokio::test]
async fn two_calls_that_wait_and_exchange_replies_fail() {
    let (places, net) = (Places::new(), Net::new());
    for endpoint in places.all() {
        let (server, local) = net.start(&endpoint, Hostile::new(true)).await;
        let (mut one, mut two) = (net.connect(&local).await, net.connect(&local).await);
        for session in [&mut one, &mut two] {
            tell(session, "meet").await;
        }
        until(&server, |stats| stats.handler_errors == 2).await;
        for (session, message) in [(&mut one, "one"), (&mut two, "two")] {
            match is_datagram(&local) {
                true => assert_eq!(ask(session, message).await, message.to_uppercase(), "{local}"),
                false => end(session).await,
            }
        }
        drop((one, two));
        drop(server);
    }
}

/// Leaves out empty replies, tells how many there were, and passes on what is left in reverse.
struct Reversed<H>(H);

impl<H: Handler> Handler for Reversed<H> {
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        let mut inner = reply.fork();
        self.0.handle(request, &mut inner).await?;
        let messages: Vec<_> = inner.messages().collect();
        for message in messages.iter().rev().filter(|message| !message.is_empty()) {
            reply.send(message)?;
        }
        reply.send(messages.len().to_string().as_bytes())?;
        if inner.closes() {
            reply.close();
        }
        Ok(())
    }

    fn properties(&self) -> HandlerProperties {
        self.0.properties()
    }
}

/// Passes on what a call replied, unless it failed; then it says so.
struct Excused<H>(H);

impl<H: Handler> Handler for Excused<H> {
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        let mut inner = reply.fork();
        match self.0.handle(request, &mut inner).await {
            Ok(()) => Ok(reply.append(&inner)?),
            Err(error) => Ok(reply.send(format!("sorry: {error}").as_bytes())?),
        }
    }

    fn properties(&self) -> HandlerProperties {
        self.0.properties()
    }
}

#[tokio::test]
async fn a_layer_takes_the_replies_of_a_call_apart_on_every_wire() {
    let (places, net) = (Places::new(), Net::new());
    let framings = [
        Framing::Lines,
        Framing::length_prefixed(),
        Framing::codec(tokio_util::codec::LengthDelimitedCodec::new),
        Framing::Delimited("--".into()),
    ];
    for endpoint in places.all() {
        for framing in &framings {
            let words = handler_fn(|request, reply| {
                for word in request.message().split(|byte| *byte == b' ') {
                    reply.send(word)?;
                }
                match request.message() {
                    b"fail at once" => return Err("as asked".into()),
                    b"good bye" => reply.close(),
                    _ => {}
                }
                Ok(())
            });
            let handler = Excused(Reversed(words));
            let server = net.server().listen(&endpoint).framing(framing.clone()).handler(handler);
            let server = server.bind().await.unwrap().start();
            let local = server.local_endpoints()[0].clone();
            let mut session = net.connect_framed(&local, framing.clone()).await;
            tell(&mut session, "a b  c").await;
            tell(&mut session, "fail at once").await;
            tell(&mut session, "good bye").await;
            for expected in ["c", "b", "a", "4", "sorry: as asked", "bye", "good", "2"] {
                assert_eq!(text(&mut session).await, expected, "{local}, framed by {framing}");
            }
            if !is_datagram(&local) {
                end(&mut session).await;
            }
            drop(session);
            assert!(server.stop().await.is_clean(), "{local}");
        }
    }
}

/// The inner call's view is a layer's own, and replacing it is nobody's loss but the layer's.
#[tokio::test]
async fn a_call_within_a_layer_may_do_what_it_likes_with_what_the_layer_made() {
    let net = Net::new();
    let (server, local) = net.start("mem:here", Hostile::new(false).with_layer(ForkLayer)).await;
    let mut session = net.connect(&local).await;
    for message in ["one", "replace", "two"] {
        tell(&mut session, message).await;
    }
    for expected in ["ONE", "loot", "TWO"] {
        assert_eq!(text(&mut session).await, expected);
    }
    assert_eq!(server.snapshot().handler_errors, 0);
}

struct ForkLayer;

impl<H> swapwire::core::Layer<H> for ForkLayer {
    type Service = Excused<H>;

    fn layer(&self, inner: H) -> Excused<H> {
        Excused(inner)
    }
}
