//! The prompt on a terminal that cannot be edited on: the system reads its lines, echoes them, and knows Backspace, Ctrl-C
//! and Ctrl-D (`termios(3)`, "Canonical mode").

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use super::screen::readable;
use crate::connect::input::{Input, Item};
use crate::connect::print::{Output, Plain};

/// Whether a prompt is the last thing on the terminal.
#[derive(Clone, Debug, Default)]
pub(super) struct Prompt(Rc<Cell<bool>>);

/// Lines that end the row in which the prompt stands.
#[derive(Debug)]
pub(super) struct Typed<I> {
    pub(super) lines: I,
    pub(super) prompt: Prompt,
}

impl<I: Input> Input for Typed<I> {
    async fn next(&mut self) -> io::Result<Item> {
        let item = self.lines.next().await;
        self.prompt.0.set(false);
        item
    }

    fn has_more(&self) -> bool {
        self.lines.has_more()
    }
}

/// What the peer says, and a prompt below when it has nothing more to say.
#[derive(Debug)]
pub(super) struct Shown {
    out: Plain,
    raw: bool,
    text: bool,
    in_row: bool,
    prompt: Prompt,
}

impl Shown {
    /// What the peer says is `text`, whose lines may come in pieces, or else messages.
    pub(super) fn new(raw: bool, text: bool, prompt: Prompt) -> Self {
        Self { out: Plain::new(false, false), raw, text, in_row: false, prompt }
    }

    /// A line that is neither the peer's nor the user's.
    pub(super) async fn note(&mut self, line: &str) -> io::Result<()> {
        self.out.show(format!("{line}\n").as_bytes()).await
    }
}

impl Output for Shown {
    async fn show(&mut self, message: &[u8]) -> io::Result<()> {
        if self.prompt.0.replace(false) {
            self.out.show(b"\n").await?;
        }
        let ended = message.ends_with(b"\n");
        self.in_row = self.text && !ended;
        self.out.show(&readable(message, self.raw)).await?;
        if self.text || ended { Ok(()) } else { self.out.show(b"\n").await }
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.out.flush().await
    }

    async fn idle(&mut self) -> io::Result<()> {
        if !self.in_row && !self.prompt.0.replace(true) {
            self.out.show(b"> ").await?;
        }
        self.out.flush().await
    }
}
