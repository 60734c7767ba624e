//! Message streams that have a part of a message: the frame deadline and the budget of memory.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::time::Duration;

use crate::common::assembled::{Assembled, Clients};
use crate::common::limits;
use swapwire_core::{HandlerError, Session, SessionHandler, async_trait, handler_fn};
use swapwire_server::{Limits, PerMessage, PerSession, Running, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::time::{Instant, sleep};

const FRAME: Duration = Duration::from_secs(10);
/// What the clock of the server may be late, and what a test's own may be.
const LATE: Duration = Duration::from_millis(200);

struct Echo;

#[async_trait]
impl SessionHandler for Echo {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        while let Some(message) = session.recv().await? {
            session.send(message).await?;
        }
        Ok(())
    }
}

async fn start(per_session: bool, limits: Limits) -> (Running, Clients) {
    let transport = Assembled::new();
    let clients = transport.clients();
    let builder = Server::builder().transport(transport).listen("assembled:here").limits(limits);
    let builder = match per_session {
        true => builder.handler(PerSession::new(Echo)),
        false => builder.handler(PerMessage::new(handler_fn(|request, reply| Ok(reply.send(request.message())?)))),
    };
    (builder.bind().await.unwrap().start(), clients)
}

async fn echo(client: &mut DuplexStream, message: &[u8]) {
    let frame = [&[0, u8::try_from(message.len()).unwrap()], message].concat();
    client.write_all(&frame).await.unwrap();
    let mut heard = vec![0; frame.len()];
    client.read_exact(&mut heard).await.unwrap();
    assert_eq!(heard, frame);
}

fn deadlines() -> Limits {
    limits(|l| (l.frame_timeout, l.idle_timeout) = (Some(FRAME), Some(FRAME * 10)))
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_not_whole_in_time_ends_its_session() {
    for per_session in [false, true] {
        let (server, clients) = start(per_session, deadlines()).await;
        let mut client = clients.connect(1024).await;
        echo(&mut client, b"hello").await;
        // Longer than a frame may take, but it has not begun.
        sleep(FRAME * 2).await;
        echo(&mut client, b"hello").await;
        client.write_all(&[0, 200]).await.unwrap();
        let begun = Instant::now();
        // One that trickles does not take longer.
        let trickle = async {
            while client.write_all(b".").await.is_ok() {
                sleep(Duration::from_millis(500)).await;
            }
        };
        trickle.await;
        let late = begun.elapsed();
        assert!(late >= FRAME && late <= FRAME + LATE + Duration::from_millis(500), "{per_session}: {late:?}");
        let stats = server.stop().await.stats;
        assert_eq!((stats.frame_timeouts, stats.idle_timeouts, stats.messages), (1, 0, 2), "{per_session}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_message_has_the_time_of_its_own() {
    for per_session in [false, true] {
        let (server, clients) = start(per_session, deadlines()).await;
        let mut client = clients.connect(1024).await;
        for _ in 0..5 {
            // The end of one and the beginning of the next at once.
            client.write_all(&[0, 1]).await.unwrap();
            sleep(FRAME * 2 / 3).await;
            client.write_all(b"x").await.unwrap();
        }
        let mut heard = [0; 15];
        client.read_exact(&mut heard).await.unwrap();
        client.write_all(&[0, 1]).await.unwrap();
        for _ in 0..5 {
            sleep(FRAME * 2 / 3).await;
            client.write_all(&[b'x', 0, 1]).await.unwrap();
            client.read_exact(&mut heard[..3]).await.unwrap();
        }
        client.write_all(b"x").await.unwrap();
        client.read_exact(&mut heard[..3]).await.unwrap();
        // And then the idle deadline holds again.
        sleep(FRAME * 2).await;
        echo(&mut client, b"hello").await;
        drop(client);
        let report = server.stop().await;
        assert!(report.is_clean(), "{per_session}: {report}");
        assert_eq!((report.stats.frame_timeouts, report.stats.messages), (0, 12), "{per_session}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_whole_counts_for_the_budget() {
    const BUDGET: usize = 1 << 20;
    for per_session in [false, true] {
        let (server, clients) = start(per_session, limits(|l| l.memory_budget = Some(BUDGET))).await;
        let mut good = clients.connect(1024).await;
        echo(&mut good, b"hello").await;
        let mut bad = Vec::new();
        while server.snapshot().over_budget == 0 {
            assert!(bad.len() < 100, "{per_session}: nobody went");
            let mut client = clients.connect(1 << 17).await;
            client.write_all(&[255, 254]).await.unwrap();
            client.write_all(&[0; 60_000]).await.unwrap();
            sleep(Duration::from_millis(1)).await;
            bad.push(client);
        }
        // Buffers grow by doubling.
        assert!(bad.len() * 60_000 >= BUDGET / 3, "{per_session}: {} of them", bad.len());
        echo(&mut good, b"hello").await;
        drop((good, bad));
        assert_eq!(server.stop().await.stats.over_budget, 1, "{per_session}");
    }
}

/// A peer that takes nothing is given the time of `write_timeout`, also where the wire has a buffer of its own.
#[tokio::test(start_paused = true)]
async fn a_reply_that_stays_in_the_wire_is_waited_for_no_longer_than_the_write_deadline() {
    let (server, clients) = start(false, limits(|l| l.write_timeout = Some(FRAME))).await;
    let mut client = clients.connect(8).await;
    client.write_all(&[0, 10]).await.unwrap();
    client.write_all(b"0123456789").await.unwrap();
    crate::common::until(&server, |stats| stats.write_timeouts + stats.idle_timeouts == 1).await;
    assert_eq!(server.stop().await.stats.write_timeouts, 1);
}
