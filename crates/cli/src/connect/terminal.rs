//! Talking at a prompt.

use std::io;
use std::pin::pin;
use std::rc::Rc;

use swapwire::Session;
use tokio::time::sleep;

use super::flow::Flow;
use super::input::{Input, Item, Lines};
use super::pipe::conclude;
use super::print::Output as _;
use super::talk::{End, Patience, talk};
use super::{Plan, WAIT};
use crate::exit::Failure;
use crate::signals::Signals;
use crate::stdio::Stdin;

mod console;
mod editor;
mod history;
mod keys;
mod line;
mod plain;
mod screen;

use console::{Console, Ways};
use history::History;
use plain::{Row, Shown, Typed};
use screen::Screen;

/// Sends what is typed and prints what comes, until Ctrl-D, Ctrl-C or the peer's end.
pub(crate) async fn run(session: Session, plan: &Plan) -> Result<u8, Failure> {
    let mut signals = Signals::new().map_err(|error| plan.failed("watch for signals for", error))?;
    let patience = Patience { time: plan.wait.unwrap_or(Some(WAIT)), in_all: plan.half_close(), for_input: false };
    let endpoint = &plan.endpoint;
    let end = if Screen::can_edit() {
        edit(session, plan, &mut signals, patience).await
    } else {
        read(session, plan, &mut signals, patience).await
    }
    .map_err(|error| plan.failed("read the standard input for", error))?;
    match end {
        Left { end: End::Peer { .. }, unsent: true, .. } => {
            Err(Failure::failed(format_args!("{endpoint}: the peer ended the session; the last input was not sent")))
        }
        Left { end: End::Peer { input_ended: false }, .. } => {
            Err(Failure::failed(format_args!("{endpoint}: the peer ended the session")))
        }
        Left { end, flow, .. } => conclude(&end, plan, &flow, patience),
    }
}

/// How a talk ended.
#[derive(Debug)]
struct Left {
    end: End,
    flow: Flow,
    /// Something was typed and not entered.
    unsent: bool,
}

/// To whom one talks, and how to leave.
fn greeting(plan: &Plan) -> String {
    let verb = if plan.datagrams() { "talking" } else { "connected" };
    format!("{verb} to {}; Ctrl-D ends, Ctrl-C leaves at once", plan.endpoint)
}

/// At a prompt of ours.
async fn edit(session: Session, plan: &Plan, signals: &mut Signals, patience: Patience) -> io::Result<Left> {
    let stdin = Stdin::new()?;
    let ways = Ways { raw: plan.raw, text: plan.shows_text(), empty: plan.takes_empty(), max: plan.max_message };
    let console = Rc::new(Console::new(Screen::take(), History::of_user(), ways));
    console.note(&greeting(plan));
    let flow = Flow::telling({
        let console = console.clone();
        move |line| console.note(&format!("swapwire: {line}"))
    });
    let mut output = &*console;
    let input = Ended { input: &*console, end: plan.sends_ends() };
    let mut writing = pin!(console.write());
    let end = tokio::select! {
        end = talk(session, input, &mut output, plan, &flow, patience) => end,
        // Not from the keyboard, where Ctrl-C is a key like others.
        () = signals.next() => End::Left,
        _ = console.keys(stdin) => End::Left,
        () = console.gone() => End::Left,
        () = &mut writing => End::Left,
        () = stuck(&console, &flow, patience) => End::Waited,
    };
    let unsent = console.end(writing).await;
    if console.has_lost() {
        flow.note_skipped();
    }
    Ok(Left { end, flow, unsent })
}

/// Ready when the input has ended, and what was typed cannot be sent within the wait, because the peer does not read.
async fn stuck(console: &Console, flow: &Flow, patience: Patience) {
    console.ended().await;
    if let Some(time) = patience.time {
        sleep(time).await;
        if !flow.has_sent_all() {
            return;
        }
    }
    std::future::pending().await
}

/// On a terminal that reads lines itself.
async fn read(session: Session, plan: &Plan, signals: &mut Signals, patience: Patience) -> io::Result<Left> {
    let row = Row::default();
    let lines = Lines::of_stdin(plan.max_message, true)?;
    let input = Ended { input: Typed { lines, empty: plan.takes_empty(), row: row.clone() }, end: plan.sends_ends() };
    let mut output = Shown::new(plan.raw, plan.shows_text(), row);
    output.note(&greeting(plan)).await?;
    output.flush().await?;
    let flow = Flow::default();
    let end = tokio::select! {
        end = talk(session, input, &mut output, plan, &flow, patience) => end,
        () = signals.next() => End::Left,
    };
    Ok(Left { end, flow, unsent: false })
}

/// Lines with their ends, where those are sent too.
#[derive(Debug)]
struct Ended<I> {
    input: I,
    end: bool,
}

impl<I: Input> Input for Ended<I> {
    async fn next(&mut self) -> io::Result<Item> {
        match self.input.next().await? {
            Item::Message(mut line) => {
                if self.end {
                    line.push(b'\n');
                }
                Ok(Item::Message(line))
            }
            item => Ok(item),
        }
    }

    fn has_more(&self) -> bool {
        self.input.has_more()
    }
}
