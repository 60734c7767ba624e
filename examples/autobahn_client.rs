//! Sends back what comes, in each case of an Autobahn server: `scripts/autobahn` runs it with `ws://HOST:PORT`.
//!
//! A client of a protocol that is judged is a session like any other. Its replies have the kind of the message that came last,
//! text or binary.

use swapwire::{Framing, Session, SessionConfig, connect_with, default_registry};

/// As the largest message of the cases.
const LARGEST: usize = 16 << 20;

/// `?` would begin the options of an endpoint: a query is a part of the path, percent-encoded.
async fn dial(place: &str, path: &str) -> Result<Session, swapwire::Error> {
    let mut config = SessionConfig::framed(Framing::Chunks);
    config.max_message = LARGEST;
    connect_with(&default_registry(), format!("{place}/{path}"), config).await
}

/// Until the peer ends, or does what it may not.
async fn echo(mut session: Session) {
    while let Ok(Some(message)) = session.recv().await {
        if session.send(&message).await.is_err() {
            break;
        }
    }
    // Tells why, and waits for the peer's end; which it need not do.
    let _ = session.guard().close(LARGEST).await;
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let place = std::env::args().nth(1).ok_or("usage: autobahn_client ws://HOST:PORT")?;
    let place = place.trim_end_matches('/');
    let mut session = dial(place, "getCaseCount").await?;
    let count = session.recv().await?.ok_or("the server does not tell how many cases it has")?;
    let count: usize = std::str::from_utf8(&count)?.parse()?;
    drop(session);
    for case in 1..=count {
        echo(dial(place, &format!("runCase%3Fcase={case}%26agent=swapwire")).await?).await;
    }
    echo(dial(place, "updateReports%3Fagent=swapwire").await?).await;
    Ok(())
}
