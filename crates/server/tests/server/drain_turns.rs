//! A task that has had its turn is not one for which nothing waits.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::Arc;
use std::time::Duration;

use crate::common::{text, until};
use swapwire_core::{
    Framing, Handler, HandlerError, Registry, Reply, Request, Session, SessionConfig, SessionHandler, async_trait,
};
use swapwire_mem::MemNetwork;
use swapwire_server::{Server, ServerBuilder};
use swapwire_testkit::{Faults, Faulty};
use tokio::sync::Notify;

/// Answers a `0` when it is told to.
struct Slow(Arc<Notify>);

impl Handler for Slow {
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        if request.message() == b"0" {
            self.0.notified().await;
        }
        Ok(reply.send(request.message())?)
    }
}

#[async_trait]
impl SessionHandler for Slow {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        while let Some(message) = session.recv().await? {
            if message == "0" {
                self.0.notified().await;
            }
            session.send(message).await?;
        }
        Ok(())
    }
}

async fn all_that_waits_is_answered(serve: impl FnOnce(ServerBuilder, Slow) -> ServerBuilder) {
    // Each byte is read by itself, so a turn of the task ends between two of them.
    let mut faults = Faults::default();
    faults.slice = 1;
    let (network, go_on) = (MemNetwork::new(), Arc::new(Notify::new()));
    let builder = Server::builder().transport(Faulty::new(network.clone(), faults, 1)).framing(Framing::Fixed(1));
    let server = serve(builder.listen("mem:here"), Slow(Arc::clone(&go_on))).bind().await.unwrap().start();
    let link = Registry::new().with(network).connect(&"mem:here".parse().unwrap()).await.unwrap();
    let mut client = Session::new(link, SessionConfig::framed(Framing::Fixed(1)));
    client.send("0").await.unwrap();
    client.send("0").await.unwrap();
    for _ in 0..1000 {
        client.send("x").await.unwrap();
    }
    client.flush().await.unwrap();
    until(&server, |stats| stats.sessions == 1).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let stopped = tokio::spawn(server.stop());
    // The drain has been known for long when the others' turn comes.
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        go_on.notify_one();
        assert_eq!(text(&mut client).await, "0");
    }
    for _ in 0..1000 {
        assert_eq!(text(&mut client).await, "x");
    }
    assert_eq!(client.recv().await.unwrap(), None);
    drop(client);
    let report = stopped.await.unwrap();
    assert_eq!((report.stats.messages, report.is_clean()), (1002, true), "{report}");
}

#[tokio::test(start_paused = true)]
async fn by_a_message_handler() {
    all_that_waits_is_answered(|builder, slow| builder.handler(swapwire_server::PerMessage::new(slow))).await;
}

#[tokio::test(start_paused = true)]
async fn by_a_session_handler() {
    all_that_waits_is_answered(|builder, slow| builder.handler(swapwire_server::PerSession::new(slow))).await;
}
