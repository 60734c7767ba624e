//! Talking at a prompt.

use std::io;
use std::time::Duration;

use rustyline::ExternalPrinter;
use swapwire::Session;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::flow::Flow;
use super::input::{Input, Item};
use super::print::{Output, escape};
use super::talk::{End, Patience, talk};
use super::{Plan, WAIT};
use crate::exit::{self, Failure, complain};
use crate::signals::Signals;

mod editor;
mod history;
mod screen;

use editor::Turn;
use screen::Screen;

/// Sends what is typed and prints what comes, until Ctrl-D, Ctrl-C or the peer's end.
pub(crate) async fn run(session: Session, plan: &Plan) -> Result<u8, Failure> {
    let mut signals = Signals::new()
        .map_err(|error| Failure::failed(format_args!("connect {}: watch for signals: {error}", plan.endpoint)))?;
    let screen = Screen::take();
    let (typed, turn, printer) =
        editor::start().map_err(|error| Failure::failed(format_args!("connect {}: {error}", plan.endpoint)))?;
    let input = Typed { lines: typed, max: plan.max_message };
    let mut output = Prompted { printer, raw: plan.raw, turn };
    let patience = Patience { time: plan.wait.unwrap_or(Some(WAIT)), in_all: plan.half_close(), for_input: false };
    let flow = Flow::default();
    let end = tokio::select! {
        end = talk(session, input, &mut output, plan, &flow, patience) => end,
        // Not from the keyboard, where Ctrl-C is a key like others.
        () = signals.next() => End::Left,
    };
    // No new prompt; one may still be up, in another thread that waits for keys and cannot be called off.
    drop(output);
    screen.wipe();
    drop(screen);
    let endpoint = &plan.endpoint;
    match end {
        End::Broken(what, why) => Err(Failure::failed(format_args!("{what} {endpoint}: {why}"))),
        End::Peer { input_ended: false } => {
            complain(format_args!("{endpoint}: the peer ended the session"));
            Ok(exit::OK)
        }
        End::Waited if !plan.half_close() && flow.received() < flow.sent() => {
            let (received, sent, why) = (flow.received(), flow.sent(), plan.why_missing());
            complain(format_args!("{endpoint}: {received} of {sent} replies came{why}"));
            Ok(exit::OK)
        }
        _ => Ok(exit::OK),
    }
}

/// Lines from the prompt.
#[derive(Debug)]
struct Typed {
    lines: mpsc::Receiver<Item>,
    max: usize,
}

impl Input for Typed {
    async fn next(&mut self) -> io::Result<Item> {
        Ok(match self.lines.recv().await {
            Some(Item::Message(line)) if line.len() > self.max => Item::TooLong(line.len()),
            Some(item) => item,
            None => Item::End,
        })
    }
}

/// The terminal, around the line that is being edited.
struct Prompted {
    printer: Option<Box<dyn ExternalPrinter + Send>>,
    raw: bool,
    turn: Turn,
}

impl Output for Prompted {
    async fn show(&mut self, message: &[u8]) -> io::Result<()> {
        let mut text = if self.raw { String::from_utf8_lossy(message).into_owned() } else { escape(message) };
        text.push('\n');
        // The printer waits for the editor, which may wait for a key press to be done with.
        let printer = self.printer.take();
        self.printer = spawn_blocking(move || screen::print(printer, text)).await?;
        Ok(())
    }

    async fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    async fn idle(&mut self) -> io::Result<()> {
        self.turn.done();
        Ok(())
    }
}

/// A prompt that comes back before the reply only makes the reply jump over it: so it waits this long for one.
const REPLY: Duration = Duration::from_millis(200);
