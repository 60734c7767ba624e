//! A server that speaks unasked, over any wire: `cargo run --example push [-- ENDPOINT]`.
//!
//! A session handler hands out a sender that other tasks keep; here a task counts for each peer, while the peer may set
//! the step by sending a number.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use swapwire::{
    Framing, HandlerError, HandlerProperties, Server, Session, SessionConfig, SessionHandler, async_trait,
    connect_with, default_registry,
};

struct Counter;

#[async_trait]
impl SessionHandler for Counter {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        // The sender of a datagram may be forged, and would be sent three times what it said and no more. This one believes
        // everybody; a server that others reach has its peers repeat a random number first.
        session.trust_peer();
        let sender = session.sender(); // a bounded handle: when the peer does not read, `send` waits
        let step = Arc::new(AtomicU64::new(1));
        let mine = Arc::clone(&step);
        let push = async move {
            let mut count = 0;
            while sender.send(format!("count {count}").as_bytes()).await.is_ok() {
                count += mine.load(Relaxed);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let listen = async {
            // Receiving also writes what was queued, and ends when the peer ends or the server drains.
            while let Some(message) = session.recv().await? {
                step.store(std::str::from_utf8(&message)?.trim().parse()?, Relaxed);
            }
            Ok(())
        };
        tokio::select! {
            result = listen => result,
            () = push => Ok(()),
        }
    }

    /// It speaks more than it is spoken to: on UDP it stays on loopback, unless the server says otherwise.
    fn properties(&self) -> HandlerProperties {
        HandlerProperties::new().with_amplifies(true)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "mem:push".to_owned());
    let registry = default_registry();
    let server = Server::builder().registry(registry.clone()).listen(endpoint).handler(Counter).framing(Framing::Lines);
    let server = server.bind().await?.start();

    let lines = SessionConfig::framed(Framing::Lines);
    let mut session = connect_with(&registry, &server.local_endpoints()[0], lines).await?;
    session.send("1000").await?; // on a datagram socket, this is also what introduces us
    loop {
        let message = session.recv().await?.ok_or("the server has closed")?;
        let text = String::from_utf8_lossy(&message);
        println!("{text}");
        if text.len() > "count 1000".len() {
            break;
        }
    }
    drop(session);
    println!("{}", server.stop().await);
    Ok(())
}
