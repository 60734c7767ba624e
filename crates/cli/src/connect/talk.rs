//! Sending and receiving at the same time.

use std::pin::{Pin, pin};
use std::time::Duration;

use swapwire::Session;
use tokio::time::{Instant, sleep_until, timeout};

use super::flow::Flow;
use super::input::Input;
use super::print::Output;
use super::sides::{Stop, receive, send};
use super::{Plan, WAIT};

/// How long a peer may take to answer a good-bye that ends both directions, as a WebSocket's.
const GOODBYE: Duration = Duration::from_secs(1);

/// How a talk ended.
#[derive(Debug)]
pub(crate) enum End {
    /// Every message has its reply.
    Settled,
    /// The peer has ended.
    Peer {
        /// Whether the input had ended before.
        input_ended: bool,
    },
    /// The wait was over.
    Waited,
    /// The user asks to leave at once.
    Left,
    /// No process reads the output any more.
    Unread,
    /// It broke: operation and cause.
    Broken(&'static str, String),
}

/// How long to wait for the peer after the input has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// `None`: for ever.
    pub(crate) time: Option<Duration>,
    /// From the end of the input, not from the last reply.
    pub(crate) in_all: bool,
    /// When the peer ends first, still read the input for a while: it may be about to end.
    pub(crate) for_input: bool,
}

/// Sends what the input gives and shows what comes, until both have ended or one must.
pub(crate) async fn talk(
    session: Session,
    mut input: impl Input,
    output: &mut impl Output,
    plan: &Plan,
    flow: &Flow,
    patience: Patience,
) -> End {
    let (mut reader, mut writer) = session.split();
    let end = {
        let mut send = pin!(send(&mut writer, &mut input, plan, flow));
        let mut receive = pin!(receive(&mut reader, output, plan, flow));
        tokio::select! {
            sent = &mut send => match sent {
                Ok(()) => {
                    flow.note_sent_all();
                    finish(receive, plan, flow, patience).await
                }
                Err(Stop::Broken(what, why)) => {
                    // What the peer said before it left is still worth reading.
                    match timeout(patience.time.unwrap_or(WAIT), receive).await {
                        Ok(Err(Stop::Unread)) => End::Unread,
                        _ => End::Broken(what, why),
                    }
                }
                Err(stop) => stop.into(),
            },
            received = &mut receive => match received {
                // Nothing was said that the peer could have missed.
                Ok(()) if !patience.for_input || flow.sent() == 0 => End::Peer { input_ended: flow.sent() == 0 },
                Ok(()) => match timeout(patience.time.unwrap_or(WAIT), send).await {
                    Ok(Ok(())) => End::Peer { input_ended: true },
                    Ok(Err(_)) | Err(_) => End::Peer { input_ended: false },
                },
                Err(stop) => stop.into(),
            },
        }
    };
    if plan.capabilities.says_goodbye && !plan.half_close() && !matches!(end, End::Broken(..)) {
        let goodbye = async {
            writer.shutdown().await.ok()?;
            while let Ok(Some(_)) = reader.recv().await {}
            Some(())
        };
        let _ = timeout(GOODBYE, goodbye).await;
    }
    match output.flush().await {
        Err(error) => Stop::from_output(&error).into(),
        Ok(()) => end,
    }
}

/// The input has ended: waits for what is still to come.
async fn finish(
    mut receive: Pin<&mut impl Future<Output = Result<(), Stop>>>,
    plan: &Plan,
    flow: &Flow,
    patience: Patience,
) -> End {
    let mut since = Instant::now();
    loop {
        if !plan.half_close() && flow.is_settled() {
            return End::Settled;
        }
        let over = async {
            match patience.time {
                Some(time) => sleep_until(since + time).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            received = &mut receive => {
                return received.map_or_else(End::from, |()| End::Peer { input_ended: true });
            }
            () = flow.changed(), if !patience.in_all => since = Instant::now(),
            () = over => {
                if !flow.is_showing() || patience.in_all {
                    return End::Waited;
                }
                since = Instant::now();
            }
        }
    }
}

impl From<Stop> for End {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Unread => Self::Unread,
            Stop::Broken(what, why) => Self::Broken(what, why),
        }
    }
}
