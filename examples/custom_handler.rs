//! Handlers of your own, over TCP and UDP: `cargo run --example custom_handler [-- ENDPOINT…]`.
//!
//! Words come back in reverse order; on the last endpoint, a session handler numbers its peer's messages.

use swapwire::{Framing, Handler, HandlerError, Listen, Reply, Request, Session, SessionHandler, async_trait};

// --- handler ---
struct ReverseWords;

impl Handler for ReverseWords {
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        let words: Vec<&[u8]> = request.message().split(|byte| *byte == b' ').rev().collect();
        Ok(reply.send(words.join(&b' '))?)
    }
}
// --- handler ---

/// A session handler's state is its local variables: here, what this peer has said so far.
struct Tally;

#[async_trait]
impl SessionHandler for Tally {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        let (mut messages, mut bytes) = (0_u64, 0);
        while let Some(message) = session.recv().await? {
            messages += 1;
            bytes += message.len();
            session.send(format!("{messages} messages, {bytes} bytes")).await?;
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = |n: usize, or: &str| std::env::args().nth(n).unwrap_or_else(|| or.to_owned());
    let server = swapwire::server()
        .listen(port(1, "tcp://127.0.0.1:8888"))
        .listen(port(2, "udp://127.0.0.1:8888"))
        .handler(ReverseWords)
        .listen(Listen::on(port(3, "tcp://127.0.0.1:8889")).handler(Tally))
        .framing(Framing::Lines)
        .bind()
        .await?;
    for endpoint in server.local_endpoints() {
        println!("listening {endpoint}");
    }
    let report = server.run_until(async { tokio::signal::ctrl_c().await.unwrap_or(()) }).await;
    eprintln!("{report}");
    Ok(())
}
