//! One connection: opened, used, and opened anew when it breaks or has answered its number of requests.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use swapwire_core::{ByteStream, Endpoint, Framing, Link};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::exchange::{ByteExchange, End, MessageExchange, Requester};
use super::ports;
use super::shared::{Job, Shared};
use crate::load::usage::local_ports;

/// Failures in a row after which the target counts as failed.
const ATTEMPTS: usize = 5;
/// Before the second attempt; it doubles.
const PAUSE: Duration = Duration::from_millis(10);
/// For opening a connection, however short replies may take: a handshake of TCP repeats itself after a second.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connection `index` of the round, which is `place` of its thread; it is opened at `at`.
pub(crate) async fn run(job: Arc<Job>, shared: Arc<Shared>, index: usize, place: usize, at: Instant) {
    if !job.ramp.is_zero() {
        sleep_until(at).await;
    }
    let mut requester = Requester::new(Arc::clone(&job), index);
    let (mut opened, mut failures) = (false, 0);
    for attempt in index.. {
        let endpoint = &job.endpoints[attempt % job.endpoints.len()];
        let Unopened { kind, why } = match open(&job, endpoint, &shared).await {
            Ok(link) => {
                opening_done(&shared, std::mem::replace(&mut opened, true));
                requester.renew();
                match drive(link, &mut requester, &shared, place).await {
                    End::Done => break,
                    End::UsedUp => {
                        failures = 0;
                        continue;
                    }
                    End::Broken(kind) => {
                        failures = if requester.was_answered() { 0 } else { failures };
                        Unopened { why: format!("{endpoint}: {kind}"), kind }
                    }
                }
            }
            // Every address gets its chance.
            Err(error) if !opened && failures + 1 >= job.endpoints.len() => return shared.fail(error.why),
            Err(error) => error,
        };
        failures += 1;
        let over = {
            let state = &mut shared.lock().state;
            state.tally.error(kind.clone());
            requester.over(Instant::now(), state)
        };
        if over {
            break;
        }
        if failures >= ATTEMPTS.max(job.endpoints.len()) {
            return shared.fail(format!("{why}, {failures} times in a row"));
        }
        if failures > 1 {
            sleep(PAUSE * (1 << (failures - 2).min(ATTEMPTS))).await;
        }
    }
    let state = &mut shared.lock().state;
    let unsent = requester.backlog(state);
    state.tally.round.requests += unsent;
    state.tally.round.faults.unsent += unsent;
}

/// Why there is no connection, or no more.
struct Unopened {
    /// As it is counted.
    kind: String,
    /// A line that tells all of it.
    why: String,
}

/// Opens the connection and records how long that took.
async fn open(job: &Job, endpoint: &Endpoint, shared: &Shared) -> Result<Link, Unopened> {
    let begun = Instant::now();
    let patience = job.timeout.max(PATIENCE);
    let line = |why: String| Unopened { kind: why.clone(), why };
    match timeout(patience, job.registry.connect(endpoint)).await {
        Ok(Ok(link)) => {
            shared.lock().state.tally.round.connect.record(begun.elapsed());
            Ok(link)
        }
        Ok(Err(error)) if ports::are_used_up(&error, local_ports()) => Err(Unopened {
            kind: crate::result::OUT_OF_PORTS.to_owned(),
            why: format!("connect {endpoint}: {}", ports::explained(job.reconnect_every.is_some())),
        }),
        Ok(Err(error)) => Err(line(error.to_string())),
        Err(_) => Err(line(format!("connect {endpoint}: no answer within {patience:?}"))),
    }
}

fn opening_done(shared: &Shared, again: bool) {
    let inner = &mut *shared.lock();
    if again {
        let measured = inner.state.window.is_some_and(|window| window.holds(Instant::now()));
        inner.state.tally.round.reconnects += u64::from(measured);
    } else {
        inner.open += 1;
        shared.opened.notify_one();
    }
}

async fn drive(link: Link, requester: &mut Requester, shared: &Shared, place: usize) -> End {
    poll_fn(|cx| {
        shared.lock().wakers[place] = Some(cx.waker().clone());
        std::task::Poll::Ready(())
    })
    .await;
    match link {
        Link::Bytes { io, .. } => drive_bytes(io, None, requester, shared).await,
        Link::Framed { io, framing, .. } => drive_bytes(io, Some(&framing), requester, shared).await,
        Link::Messages { io, info } => {
            let mut messages = MessageExchange::new(io, &info, requester);
            let end = poll_fn(|cx| messages.poll(cx, shared)).await;
            messages.note_drops(shared);
            end
        }
        // `Link` may grow a shape that this generator does not know.
        _ => End::Broken("connect: a shape of wire that the generator does not know".to_owned()),
    }
}

async fn drive_bytes(
    io: Box<dyn ByteStream>,
    framing: Option<&Framing>,
    requester: &mut Requester,
    shared: &Shared,
) -> End {
    let mut bytes = ByteExchange::new(io, framing, requester);
    poll_fn(|cx| bytes.poll(cx, shared)).await
}
