//! Talking from and to pipes and files.

use std::io::{self, IsTerminal as _};

use swapwire::Session;

use super::flow::Flow;
use super::input::{Lines, Pieces};
use super::print::Plain;
use super::talk::{End, Patience, talk};
use super::{Plan, WAIT};
use crate::exit::{self, Failure, complain};

/// Sends the standard input, prints what comes, and says what was missing.
pub(crate) async fn run(session: Session, plan: &Plan) -> Result<u8, Failure> {
    let escaped = io::stdout().is_terminal() && !plan.raw;
    let mut output = Plain::new(escaped, !plan.plain_bytes());
    let time = plan.wait.unwrap_or(if plan.half_close() { None } else { Some(WAIT) });
    let patience = Patience { time, in_all: false, for_input: true };
    let flow = Flow::default();
    let end = if plan.plain_bytes() {
        talk(session, Pieces::of_stdin(plan.max_message), &mut output, plan, &flow, patience).await
    } else {
        talk(session, Lines::of_stdin(plan.max_message), &mut output, plan, &flow, patience).await
    };
    conclude(&end, plan, &flow, patience)
}

fn conclude(end: &End, plan: &Plan, flow: &Flow, patience: Patience) -> Result<u8, Failure> {
    let endpoint = &plan.endpoint;
    let (sent, received) = (flow.sent(), flow.received());
    let skipped = if flow.skipped() > 0 { exit::FAILURE } else { exit::OK };
    match end {
        End::Broken(what, why) => Err(Failure::failed(format_args!("{what} {endpoint}: {why}"))),
        End::Unread | End::Left => Ok(exit::OK),
        End::Peer { input_ended: false } => {
            Err(Failure::failed(format_args!("send {endpoint}: the peer ended before the input did")))
        }
        End::Peer { input_ended: true } if plan.half_close() => Ok(skipped),
        // Only sending was asked for.
        End::Waited if patience.time.is_some_and(|time| time.is_zero()) => Ok(skipped),
        End::Waited if plan.half_close() => {
            let time = patience.time.unwrap_or_default();
            complain(format_args!("receive {endpoint}: the peer did not end within {time:?}"));
            Ok(if received == 0 { exit::FAILURE } else { skipped })
        }
        End::Settled | End::Waited | End::Peer { .. } => {
            // Settled without all replies: each loss was told when it happened.
            if received < sent && !matches!(end, End::Settled) {
                let why = plan.why_missing();
                complain(format_args!("receive {endpoint}: {received} of {sent} replies came{why}"));
            }
            Ok(if flow.lost() > 0 || received == 0 && sent > 0 { exit::FAILURE } else { skipped })
        }
    }
}
