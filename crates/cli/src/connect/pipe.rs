//! Talking from and to pipes and files.

use std::io::{self, IsTerminal as _};

use swapwire::Session;

use super::flow::Flow;
use super::input::{Lines, Pieces, Whole};
use super::print::Plain;
use super::talk::{End, Patience, talk};
use super::{Plan, WAIT};
use crate::exit::{self, Failure, complain};

/// Sends the standard input, prints what comes, and says what was missing.
pub(crate) async fn run(session: Session, plan: &Plan) -> Result<u8, Failure> {
    let escaped = io::stdout().is_terminal() && !plan.raw;
    let mut output = Plain::new(escaped, plan.framing.boundaries());
    let time = plan.wait.unwrap_or(if plan.tells_end() { None } else { Some(WAIT) });
    let patience = Patience { time, in_all: false, for_input: true };
    let flow = Flow::default();
    let (max, unread) = (plan.max_message, |error| plan.failed("read the standard input for", error));
    let end = if plan.framing.boundaries() {
        let lines = Lines::of_stdin(max, plan.takes_empty()).map_err(unread)?;
        talk(session, lines, &mut output, plan, &flow, patience).await
    } else if plan.is_stream() {
        talk(session, Pieces::of_stdin(max).map_err(unread)?, &mut output, plan, &flow, patience).await
    } else {
        talk(session, Whole::of_stdin(max).map_err(unread)?, &mut output, plan, &flow, patience).await
    };
    conclude(&end, plan, &flow, patience)
}

/// What the end means, also at a prompt: says what was missing, and gives the exit code.
pub(crate) fn conclude(end: &End, plan: &Plan, flow: &Flow, patience: Patience) -> Result<u8, Failure> {
    let endpoint = &plan.endpoint;
    let (sent, received) = (flow.sent(), flow.received());
    let skipped = if flow.skipped() > 0 { exit::FAILURE } else { exit::OK };
    let unanswered = sent > 0 && received == 0;
    match end {
        End::Broken(what, why) => Err(Failure::failed(format_args!("{what} {endpoint}: {why}"))),
        End::Unread | End::Left => Ok(exit::OK),
        End::Peer { input_ended: false } => {
            Err(Failure::failed(format_args!("send {endpoint}: the peer ended before the input did")))
        }
        // Only sending was asked for.
        End::Waited | End::Peer { .. } if patience.time.is_some_and(|time| time.is_zero()) => Ok(skipped),
        End::Peer { input_ended: true } if plan.half_close() => {
            if !unanswered {
                return Ok(skipped);
            }
            let hint = if plan.tells_end() {
                "; if it ended because the sending half was closed, --no-shutdown keeps the sending half open"
            } else {
                ""
            };
            Err(Failure::failed(format_args!("receive {endpoint}: the peer ended without a reply{hint}")))
        }
        End::Waited if plan.half_close() => {
            let time = patience.time.unwrap_or_default();
            if plan.tells_end() {
                complain(format_args!("receive {endpoint}: the peer did not end within {time:?}"));
                return Ok(if received == 0 { exit::FAILURE } else { skipped });
            }
            if unanswered {
                return Err(Failure::failed(format_args!("receive {endpoint}: no reply arrived within {time:?}")));
            }
            Ok(skipped)
        }
        End::Settled | End::Waited | End::Peer { .. } => {
            // Settled without all replies: each loss was told when it happened.
            if received < sent && !matches!(end, End::Settled) {
                let why = plan.why_missing();
                complain(format_args!("receive {endpoint}: {received} of {sent} replies arrived{why}"));
            }
            Ok(if flow.lost() > 0 || received < sent { exit::FAILURE } else { skipped })
        }
    }
}
