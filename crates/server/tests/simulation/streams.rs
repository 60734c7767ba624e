//! Clients of byte streams and message streams.

use std::sync::Arc;

use bytes::Bytes;
use swapwire_core::{RecvError, Registry, SendError, Session, SessionReader, SessionWriter};

use crate::clients::{Client, ClientLog, Ending, Leave, insist};
use crate::message::answers;
use crate::plan::{ClientPlan, Last, Plan, Style};
use crate::recorder::Recorder;

/// Why it cannot go on.
enum Over {
    Leave,
    /// Nothing more can be sent.
    Sending,
    Ended(Ending),
}

impl From<Leave> for Over {
    fn from(_: Leave) -> Self {
        Self::Leave
    }
}

impl From<SendError> for Over {
    fn from(_: SendError) -> Self {
        Self::Sending
    }
}

pub(crate) async fn run(plan: ClientPlan, whole: Arc<Plan>, registry: Registry, recorder: Arc<Recorder>) -> ClientLog {
    let (mut client, mut session) = match Client::connect(plan, &whole, &registry, recorder).await {
        Ok(both) => both,
        Err(log) => return log,
    };
    // Bytes without boundaries are answered in other pieces than they were asked in.
    let style = if whole.chunks() { Style::Halves } else { client.plan.style };
    let over = match style {
        Style::PingPong => ping_pong(&mut client, &mut session).await,
        Style::Pipeline => pipeline(&mut client, &mut session).await,
        Style::Halves => {
            let end = halves(&mut client, session).await;
            return client.finish(end);
        }
    };
    let end = match over {
        Ok(()) => last(&mut client, &mut session).await,
        Err(Over::Leave) => Ending::Left,
        Err(Over::Ended(end)) => end,
        // What was answered before can still be read.
        Err(Over::Sending) => read_on(&mut client, &mut session).await,
    };
    drop(session);
    client.finish(end)
}

async fn send(client: &mut Client, session: &mut Session, request: Vec<u8>) -> Result<(), Over> {
    client.step()?;
    let (dice, impatience) = (&mut client.plan.dice, client.plan.impatience);
    let message = request.clone();
    insist(session, dice, impatience, |session| {
        let message = message.clone();
        Box::pin(async move { session.send(message).await })
    })
    .await?;
    client.log.asked.push(request);
    Ok(())
}

async fn flush(client: &mut Client, session: &mut Session) -> Result<(), Over> {
    let (dice, impatience) = (&mut client.plan.dice, client.plan.impatience);
    insist(session, dice, impatience, |session| Box::pin(session.flush())).await?;
    client.flushed();
    Ok(())
}

async fn receive(client: &mut Client, session: &mut Session) -> Result<(), Over> {
    client.step()?;
    let (dice, impatience) = (&mut client.plan.dice, client.plan.impatience);
    let message = insist(session, dice, impatience, |session| Box::pin(session.recv())).await;
    take(client, message).map_err(Over::Ended)
}

fn take(client: &mut Client, message: Result<Option<Bytes>, RecvError>) -> Result<(), Ending> {
    match message {
        Ok(Some(message)) => {
            client.log.got.push(message.to_vec());
            Ok(())
        }
        Ok(None) => Err(Ending::Ended),
        Err(error) => Err(Ending::Broke(error.to_string())),
    }
}

async fn ping_pong(client: &mut Client, session: &mut Session) -> Result<(), Over> {
    for request in std::mem::take(&mut client.plan.requests) {
        let replies = answers(&request).len();
        send(client, session, request).await?;
        flush(client, session).await?;
        for _ in 0..replies {
            receive(client, session).await?;
        }
    }
    Ok(())
}

async fn pipeline(client: &mut Client, session: &mut Session) -> Result<(), Over> {
    let requests = std::mem::take(&mut client.plan.requests);
    let replies: usize = requests.iter().map(|request| answers(request).len()).sum();
    for request in requests {
        send(client, session, request).await?;
    }
    flush(client, session).await?;
    for _ in 0..replies {
        receive(client, session).await?;
    }
    Ok(())
}

/// All replies that are due are there.
async fn last(client: &mut Client, session: &mut Session) -> Ending {
    match client.plan.last {
        Last::Drops => return Ending::Served,
        Last::Stays => {}
        Last::ShutsDown => {
            let (dice, impatience) = (&mut client.plan.dice, client.plan.impatience);
            let ended = insist(session, dice, impatience, |session| Box::pin(session.shutdown())).await;
            if let Err(error) = ended {
                client.recorder.note(error.to_string());
            }
        }
    }
    read_on(client, session).await
}

/// Reads to the end.
async fn read_on(client: &mut Client, session: &mut Session) -> Ending {
    loop {
        match receive(client, session).await {
            Ok(()) => {}
            Err(Over::Ended(end)) => return end,
            Err(_) => return Ending::Left,
        }
    }
}

/// Reads and writes at the same time.
async fn halves(client: &mut Client, session: Session) -> Ending {
    let (mut reader, mut writer) = session.split();
    let requests = std::mem::take(&mut client.plan.requests);
    let (mut dice, impatience) = (client.plan.dice.fork(), client.plan.impatience);
    let stays = client.plan.last == Last::Stays;
    let recorder = Arc::clone(&client.recorder);
    let (mut asked, mut waiting) = (Vec::new(), 0);
    let write = async {
        for request in requests {
            let message = request.clone();
            let sent = insist(&mut writer, &mut dice, impatience, |writer: &mut SessionWriter| {
                let message = message.clone();
                Box::pin(async move { writer.send(message).await })
            });
            sent.await?;
            asked.push(request);
        }
        insist(&mut writer, &mut dice, impatience, |writer: &mut SessionWriter| Box::pin(writer.flush())).await?;
        if !recorder.has_drained() {
            waiting = asked.len();
        }
        if !stays {
            insist(&mut writer, &mut dice, impatience, |writer: &mut SessionWriter| Box::pin(writer.shutdown()))
                .await?;
        }
        Ok::<_, SendError>(())
    };
    let read = async {
        loop {
            if client.step().is_err() {
                return Ending::Left;
            }
            let (dice, impatience) = (&mut client.plan.dice, client.plan.impatience);
            let message = insist(&mut reader, dice, impatience, |reader: &mut SessionReader| Box::pin(reader.recv()));
            let message = message.await;
            if let Err(end) = take(client, message) {
                return end;
            }
        }
    };
    let end = {
        let (mut write, mut read) = (Box::pin(write), Box::pin(read));
        tokio::select! {
            biased;
            end = &mut read => end,
            wrote = &mut write => {
                let _ = wrote;
                read.await
            }
        }
    };
    (client.log.asked, client.log.waiting) = (asked, waiting);
    end
}
