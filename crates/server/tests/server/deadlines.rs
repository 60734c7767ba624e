//! Deadlines that are met, and those that do not apply.

use std::sync::Arc;
use std::time::Duration;

use crate::common::{Net, limits, text, until};
use swapwire_core::{Framing, HandlerError, Session, SessionHandler, async_trait, handler_fn_async};
use tokio::sync::Semaphore;
use tokio::time::sleep;

#[tokio::test(start_paused = true)]
async fn a_call_that_takes_long_is_not_idle() {
    for endpoint in ["mem:a", "mem-seq:a"] {
        let net = Net::new();
        let gate = Arc::new(Semaphore::new(0));
        let limits = limits(|l| l.idle_timeout = Some(Duration::from_secs(60)));
        let wait = {
            let gate = Arc::clone(&gate);
            handler_fn_async(move |message| {
                let gate = Arc::clone(&gate);
                async move {
                    gate.acquire().await?.forget();
                    Ok(message)
                }
            })
        };
        let _server = net.start_limited(endpoint, wait, limits).await;
        let mut session = net.connect(endpoint).await;
        session.send("wait").await.unwrap();
        session.flush().await.unwrap();
        sleep(Duration::from_secs(500)).await;
        gate.add_permits(1);
        assert_eq!(text(&mut session).await, "wait", "{endpoint}");
    }
}

/// Says much, and is done.
struct Farewell;

#[async_trait]
impl SessionHandler for Farewell {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        session.send(vec![b'x'; 200_000]).await?;
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_handler_left_to_be_sent_has_the_write_deadline_and_is_counted() {
    let net = Net::new();
    let server = net.start("mem:a", Farewell).await;
    let mut reads = net.connect("mem:a").await;
    assert_eq!(reads.recv().await.unwrap().map(|all| all.len()), Some(200_000));
    let _never_reads = [net.connect("mem:a").await, net.connect("mem:a").await];
    until(&server, |stats| (stats.done, stats.write_timeouts) == (1, 2)).await;
}

/// Takes its time for each message.
struct Thinker;

#[async_trait]
impl SessionHandler for Thinker {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        while let Some(message) = session.recv().await? {
            sleep(Duration::from_secs(100)).await;
            session.send(message).await?;
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_came_in_pieces_and_is_thought_about_is_no_partial_frame() {
    let net = Net::new();
    let _server = net.start("mem:a", Thinker).await;
    let mut pieces = net.connect_framed("mem:a", Framing::Chunks).await;
    for piece in ["ha", "lf\n"] {
        pieces.send(piece).await.unwrap();
        pieces.flush().await.unwrap();
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(pieces.recv().await.unwrap().unwrap(), "half\n");
}

/// The second look takes longer where many are open; that is no stop, for which there would be a grace.
#[tokio::test(start_paused = true)]
async fn a_drain_of_many_ends_at_its_deadline() {
    const MANY: usize = 5200;
    let net = Net::new();
    let limits = limits(|l| {
        l.max_connections = MANY;
        l.drain_timeout = Duration::from_secs(1);
        l.drain_grace = Duration::from_secs(10);
    });
    let waits = handler_fn_async(|_| std::future::pending::<Result<Vec<u8>, HandlerError>>());
    let server = net.start_limited("mem:a", waits, limits).await;
    let mut sessions = Vec::new();
    for _ in 0..MANY {
        let mut session = net.connect("mem:a").await;
        session.send("wait").await.unwrap();
        session.flush().await.unwrap();
        sessions.push(session);
    }
    until(&server, |stats| stats.sessions == MANY as u64).await;
    let report = server.stop().await;
    assert_eq!(report.cut, MANY as u64, "{report}");
    assert!(report.drain < Duration::from_millis(1500), "{report}");
}
