//! A session for each peer, on any wire: `cargo run --example session_echo [-- ENDPOINT…]`.
//!
//! A handler knows nothing of earlier messages; a session handler runs as long as its peer stays, on a datagram socket as
//! well, and what it remembers are its local variables. This one answers in upper case and counts. A line for each peer
//! that leaves tells how much it said; UDP knows no leaving, so there a session ends after the idle time, or at ctrl-c.

use swapwire::{Framing, HandlerError, Session, SessionHandler, async_trait};

struct Echo;

#[async_trait]
impl SessionHandler for Echo {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        let (mut messages, mut upper) = (0_u64, Vec::new());
        // `None`: the peer has left, or the server drains.
        while let Some(message) = session.recv().await? {
            upper.clear(); // its room is used again: no allocation per message
            upper.extend_from_slice(&message);
            upper.make_ascii_uppercase();
            session.send(&upper).await?; // queued; `recv` writes it, and waiting is here when the peer does not read
            messages += 1;
        }
        println!("{}: {messages} messages", session.peer());
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let endpoints = if asked.is_empty() { vec!["udp://127.0.0.1:8888".to_owned()] } else { asked };

    let server = endpoints.into_iter().fold(swapwire::server(), |server, endpoint| server.listen(endpoint));
    let server = server.handler(Echo).framing(Framing::Lines).bind().await?; // datagrams are messages already
    for endpoint in server.local_endpoints() {
        println!("listening {endpoint}");
    }
    let report = server.run_until(async { tokio::signal::ctrl_c().await.unwrap_or(()) }).await;
    eprintln!("{report}");
    Ok(())
}
