//! Clients of datagrams.

use std::sync::Arc;
use std::time::Duration;

use swapwire_core::{Registry, Session};
use tokio::time::{sleep, timeout};

use crate::clients::{Client, ClientLog, Ending, insist};
use crate::plan::{ClientPlan, Plan};
use crate::recorder::Recorder;

/// When nothing came for so long, nothing comes: longer than all latencies, stalls and calls together.
const QUIET: Duration = Duration::from_secs(3);

pub(crate) async fn run(plan: ClientPlan, whole: Arc<Plan>, registry: Registry, recorder: Arc<Recorder>) -> ClientLog {
    let (mut client, mut session) = match Client::connect(plan, &whole, &registry, recorder).await {
        Ok(both) => both,
        Err(log) => return log,
    };
    for request in std::mem::take(&mut client.plan.requests) {
        if client.step().is_err() {
            return client.finish(Ending::Left);
        }
        let (dice, impatience) = (&mut client.plan.dice, client.plan.impatience);
        let message = request.clone();
        let sent = insist(&mut session, dice, impatience, |session: &mut Session| {
            let message = message.clone();
            Box::pin(async move { session.send(message).await })
        });
        if sent.await.is_ok() {
            client.log.asked.push(request);
        }
        let (dice, impatience) = (&mut client.plan.dice, client.plan.impatience);
        let flushed = insist(&mut session, dice, impatience, |session: &mut Session| Box::pin(session.flush())).await;
        if let Err(error) = flushed {
            client.recorder.note(error.to_string());
        }
        if client.plan.dice.chance(0.5) {
            let pause = client.plan.dice.time(&(Duration::ZERO..Duration::from_millis(20)));
            receive(&mut client, &mut session, pause).await;
        }
    }
    while receive(&mut client, &mut session, QUIET).await {}
    drop(session);
    client.finish(Ending::Served)
}

/// Receives one message, if it comes soon; whether one came.
async fn receive(client: &mut Client, session: &mut Session, patience: Duration) -> bool {
    let (dice, impatience) = (&mut client.plan.dice, client.plan.impatience);
    let message =
        timeout(patience, insist(session, dice, impatience, |session: &mut Session| Box::pin(session.recv())));
    match message.await {
        Ok(Ok(Some(message))) => {
            client.log.got.push(message.to_vec());
            true
        }
        Ok(Ok(None)) => {
            sleep(patience).await;
            false
        }
        Ok(Err(error)) => {
            client.recorder.note(error.to_string());
            true
        }
        Err(_) => false,
    }
}
