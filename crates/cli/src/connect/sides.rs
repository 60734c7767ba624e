//! The two sides of a talk: sending and receiving.

use std::io;
use std::time::Duration;

use swapwire::ErrorClass;
use swapwire::core::{RecvError, SendError, SessionReader, SessionWriter};
use tokio::time::timeout;

use super::Plan;
use super::flow::Flow;
use super::input::{Input, Item};
use super::print::Output;

/// Why one side has stopped.
#[derive(Debug)]
pub(crate) enum Stop {
    /// No process reads the output any more.
    Unread,
    /// It broke: operation and cause.
    Broken(&'static str, String),
}

/// Sends what the input gives to its end, then ends the sending half.
pub(crate) async fn send(
    writer: &mut SessionWriter,
    input: &mut impl Input,
    plan: &Plan,
    flow: &Flow,
) -> Result<(), Stop> {
    loop {
        let message = match input.next().await {
            Ok(Item::Message(message)) => message,
            Ok(Item::TooLong(len)) => {
                flow.note_skipped();
                let max = plan.max_message;
                let why = format!("a message of {len} bytes is longer than --max-message {max}; it was not sent");
                flow.complain(plan, "send", &why);
                continue;
            }
            Ok(Item::End) => break,
            Err(error) => return Err(Stop::Broken("read the standard input for", error.to_string())),
        };
        if plan.datagrams() && flow.is_full(message.len()) {
            flush(writer, plan, flow).await?;
            flow.room(message.len()).await;
        }
        queue(writer, &message, plan, flow).await?;
        if !input.has_more() {
            flush(writer, plan, flow).await?;
        }
    }
    if !plan.tells_end() {
        return flush(writer, plan, flow).await;
    }
    writer.shutdown().await.map_err(|error| Stop::from_send(&error))
}

/// Queues one message; one that cannot be sent is told and forgotten.
async fn queue(writer: &mut SessionWriter, message: &[u8], plan: &Plan, flow: &Flow) -> Result<(), Stop> {
    loop {
        match writer.reserve().await {
            Ok(permit) => {
                match permit.send(message) {
                    Ok(()) => flow.note_sent(),
                    Err(error) if survives(error.class()) => {
                        flow.note_skipped();
                        flow.complain(plan, "send", &cause(&error));
                    }
                    Err(error) => return Err(Stop::from_send(&error)),
                }
                return Ok(());
            }
            // This is about an earlier one.
            Err(error) => lose(&error, plan, flow)?,
        }
    }
}

async fn flush(writer: &mut SessionWriter, plan: &Plan, flow: &Flow) -> Result<(), Stop> {
    while let Err(error) = writer.flush().await {
        lose(&error, plan, flow)?;
    }
    Ok(())
}

fn lose(error: &SendError, plan: &Plan, flow: &Flow) -> Result<(), Stop> {
    if !survives(error.class()) {
        return Err(Stop::from_send(error));
    }
    flow.note_lost();
    flow.complain(plan, "send", &cause(error));
    Ok(())
}

/// Shows what comes until the peer ends.
pub(crate) async fn receive(
    reader: &mut SessionReader,
    output: &mut impl Output,
    plan: &Plan,
    flow: &Flow,
) -> Result<(), Stop> {
    loop {
        // Messages that are there already are shown together.
        let next = match timeout(Duration::ZERO, reader.recv()).await {
            Ok(next) => next,
            Err(_) => {
                output.idle().await.map_err(|error| Stop::from_output(&error))?;
                tokio::select! {
                    next = reader.recv() => next,
                    () = output.stale() => continue,
                }
            }
        };
        match next {
            Ok(Some(message)) => {
                flow.set_showing(true);
                let shown = output.show(&message).await;
                flow.set_showing(false);
                shown.map_err(|error| Stop::from_output(&error))?;
                flow.note_received();
            }
            Ok(None) => return Ok(()),
            Err(error) if survives(error.class()) => {
                flow.note_lost();
                flow.complain(plan, "receive", &cut(&error, plan).unwrap_or_else(|| cause(&error)));
            }
            Err(error) => return Err(Stop::Broken("receive", cause(&error))),
        }
    }
}

/// Whether the session goes on.
fn survives(class: ErrorClass) -> bool {
    matches!(class, ErrorClass::PeerNoise | ErrorClass::Retryable)
}

/// What is said of a reply that came, but not whole.
fn cut(error: &RecvError, plan: &Plan) -> Option<String> {
    match error {
        RecvError::TooLarge { len, max } if *max == plan.max_message => {
            Some(format!("a reply of {len} bytes is longer than --max-message {max}; it was dropped"))
        }
        RecvError::TooLarge { max, .. } => {
            Some(format!("a reply was cut at {max} bytes, the longest that is received; it was dropped"))
        }
        _ => None,
    }
}

/// The cause alone: the operation is said together with the endpoint.
fn cause(error: &(impl std::error::Error + 'static)) -> String {
    let error: &(dyn std::error::Error + 'static) = error;
    let noise = match (error.downcast_ref(), error.downcast_ref()) {
        (Some(RecvError::PeerNoise(noise)), _) | (_, Some(SendError::PeerNoise(noise))) => Some(noise),
        _ => None,
    };
    // A wire that knows more says it itself.
    if noise.is_some_and(|noise| noise.kind() == io::ErrorKind::ConnectionRefused && noise.get_ref().is_none()) {
        return "connection refused: no server is listening there".to_owned();
    }
    let text = error.to_string();
    text.split_once(": ").map_or(text.as_str(), |(_, cause)| cause).to_owned()
}

impl Stop {
    pub(crate) fn from_output(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Unread,
            _ => Self::Broken("write the standard output for", error.to_string()),
        }
    }

    fn from_send(error: &SendError) -> Self {
        Self::Broken("send", cause(error))
    }
}
