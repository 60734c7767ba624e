//! What happens when all connections together keep more than the budget.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::future::pending;

use crate::common::{Net, ask, limits, until};
use swapwire_core::{Framing, Handler, HandlerError, Reply, Request, Session, SessionHandler, async_trait};
use swapwire_server::{IntoService, Limits, Running};
use tokio::time::{Duration, timeout};

const KIB: usize = 1024;
const BUDGET: usize = 1 << 20;

/// Answers with what it is asked; waits for ever if that begins with "wait".
struct Echo;

impl Handler for Echo {
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        if request.message().starts_with(b"wait") {
            pending::<()>().await;
        }
        Ok(reply.send(request.message())?)
    }
}

/// The same for whole sessions.
struct EchoSession;

#[async_trait]
impl SessionHandler for EchoSession {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        while let Some(message) = session.recv().await? {
            session.send(&message).await?;
        }
        Ok(())
    }
}

fn budget() -> Limits {
    limits(|limits| limits.memory_budget = Some(BUDGET))
}

/// Clients that each send `size` bytes of `what` without taking anything, until somebody has to go: the ones that kept so
/// much for longest. Somebody who asks little, and one who keeps some, are answered all the while.
async fn the_oldest_of_equals_go<K>(endpoint: &str, handler: impl IntoService<K>, what: &[u8], size: usize) {
    let net = Net::new();
    let server = net.start_limited(endpoint, handler, budget()).await;
    let mut good = net.connect(endpoint).await;
    let mut bad = Vec::new();
    while server.snapshot().over_budget == 0 {
        assert!(bad.len() < 200, "nobody went");
        bad.push(hold(&net, &server, endpoint, what, size).await);
        assert_eq!(ask(&mut good, "hello").await, "hello");
    }
    assert!(bad.len() > 1, "{}", bad.len());
    // The first of them, and only that, has ended.
    for (i, client) in bad.iter_mut().enumerate() {
        while let Ok(Ok(Some(_))) = timeout(Duration::from_millis(50), client.recv()).await {}
        let ended = matches!(timeout(Duration::from_millis(50), client.recv()).await, Ok(Ok(None) | Err(_)));
        assert_eq!(ended, i == 0, "{i} of {}", bad.len());
        if i == 0 {
            break;
        }
    }
    assert_eq!(ask(&mut good, "hello again").await, "hello again");
    drop(bad);
    assert_eq!(server.stop().await.stats.over_budget, 1);
}

/// A client that has sent so much, as far as the server takes it.
async fn hold(net: &Net, server: &Running, endpoint: &str, what: &[u8], size: usize) -> Session {
    let mut client = net.connect_framed(endpoint, Framing::Chunks).await;
    let mut left = size;
    while left > 0 {
        let part = what.len().min(left);
        let sent = timeout(Duration::from_millis(50), async {
            client.send(&what[..part]).await?;
            client.flush().await
        });
        match sent.await {
            Ok(Ok(())) => left -= part,
            _ => break,
        }
    }
    until(server, |stats| stats.sessions > 0).await;
    client
}

fn part(of: &[u8]) -> Vec<u8> {
    of.iter().copied().cycle().take(32 * KIB).collect()
}

fn lines() -> Vec<u8> {
    let mut lines = part(b"x");
    lines.iter_mut().skip(1023).step_by(1024).for_each(|byte| *byte = b'\n');
    lines
}

#[tokio::test(start_paused = true)]
async fn whoever_does_not_end_a_message() {
    the_oldest_of_equals_go("mem:a", Echo, &part(b"x"), 200 * KIB).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_does_not_take_replies() {
    the_oldest_of_equals_go("mem:a", Echo, &lines(), 1000 * KIB).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_does_not_take_messages() {
    the_oldest_of_equals_go("mem-seq:a", Echo, &part(b"x"), 2000 * KIB).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_does_not_end_a_message_to_a_session() {
    the_oldest_of_equals_go("mem:a", EchoSession, &part(b"x"), 200 * KIB).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_does_not_take_what_a_session_sends() {
    the_oldest_of_equals_go("mem:a", EchoSession, &lines(), 1000 * KIB).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_call() {
    let long = [b"wait", &vec![b'x'; 200 * KIB][..], b"\n"].concat();
    the_oldest_of_equals_go("mem:a", Echo, &long, long.len()).await;
}
