//! One connection: opened, used, and opened anew when it breaks or has had its share.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use swapwire_core::Link;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::bytes::{Bytes, End};
use super::messages::Messages;
use super::shared::{Job, Shared};
use super::turn::Turn;

/// Failures in a row after which the target counts as dead.
const ATTEMPTS: u32 = 5;
/// Before the second attempt; it doubles.
const PAUSE: Duration = Duration::from_millis(10);
/// For opening a connection, however short replies may take: a handshake of TCP repeats itself after a second.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connection `index` of the round, which is `place` of its thread; it is opened at `at`.
pub(crate) async fn run(job: Arc<Job>, shared: Arc<Shared>, index: usize, place: usize, at: Instant) {
    if !job.ramp.is_zero() {
        sleep_until(at).await;
    }
    let mut turn = Turn::new(Arc::clone(&job), index);
    let (mut opened, mut failures) = (false, 0);
    loop {
        let kind = match open(&job, &shared).await {
            Ok(link) => {
                opening_done(&shared, std::mem::replace(&mut opened, true));
                turn.renew();
                match drive(link, &mut turn, &shared, place).await {
                    End::Done => break,
                    End::UsedUp => continue,
                    End::Broken(kind) => {
                        failures = if turn.was_answered() { 0 } else { failures };
                        kind
                    }
                }
            }
            Err(error) if !opened => return shared.fail(error),
            Err(error) => error,
        };
        failures += 1;
        let over = {
            let ledger = &mut shared.lock().ledger;
            ledger.tally.error(kind.clone());
            turn.over(Instant::now(), ledger)
        };
        if over {
            break;
        }
        if failures >= ATTEMPTS {
            return shared.fail(format!("{}: {kind}, {failures} times in a row", job.endpoint));
        }
        if failures > 1 {
            sleep(PAUSE * 2_u32.pow(failures - 2)).await;
        }
    }
    let ledger = &mut shared.lock().ledger;
    let unsent = turn.backlog(ledger);
    ledger.tally.requests += unsent;
    ledger.tally.faults.unsent += unsent;
}

/// Opens the connection and records how long that took. An error is a line.
async fn open(job: &Job, shared: &Shared) -> Result<Link, String> {
    let begun = Instant::now();
    let patience = job.timeout.max(PATIENCE);
    match timeout(patience, job.registry.connect(&job.endpoint)).await {
        Ok(Ok(link)) => {
            shared.lock().ledger.tally.connect.record(begun.elapsed());
            Ok(link)
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("connect {}: no answer within {patience:?}", job.endpoint)),
    }
}

fn opening_done(shared: &Shared, again: bool) {
    let inner = &mut *shared.lock();
    if again {
        let measured = inner.ledger.window.is_some_and(|window| window.holds(Instant::now()));
        inner.ledger.tally.reconnects += u64::from(measured);
    } else {
        inner.open += 1;
        shared.opened.notify_one();
    }
}

async fn drive(link: Link, turn: &mut Turn, shared: &Shared, place: usize) -> End {
    poll_fn(|cx| {
        shared.lock().wakers[place] = Some(cx.waker().clone());
        std::task::Poll::Ready(())
    })
    .await;
    match link {
        Link::Bytes { io, .. } => {
            let mut bytes = Bytes::new(io, turn);
            poll_fn(|cx| bytes.poll(cx, shared)).await
        }
        Link::Messages { io, info } => {
            let mut messages = Messages::new(io, &info, turn);
            poll_fn(|cx| messages.poll(cx, shared)).await
        }
        // `Link` may grow a shape that this generator does not know.
        _ => End::Broken("connect: a shape of wire that the generator does not know".to_owned()),
    }
}
