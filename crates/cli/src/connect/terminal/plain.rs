//! The prompt on a terminal that cannot be edited on: the system reads its lines, echoes them, and knows Backspace, Ctrl-C
//! and Ctrl-D (`termios(3)`, "Canonical mode").

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use super::screen::readable;
use crate::connect::input::{Input, Item};
use crate::connect::print::{Output, Plain};

/// How long a reply may take before a prompt says that another line can be typed.
const PAUSE: Duration = Duration::from_millis(200);

/// What is the last thing on the terminal.
#[derive(Clone, Debug, Default)]
pub(super) struct Row(Rc<LastRow>);

#[derive(Debug, Default)]
struct LastRow {
    /// A prompt.
    prompt: Cell<bool>,
    /// What the peer said without an end of line.
    said: Cell<bool>,
    /// A line was typed.
    typed: Notify,
}

/// Lines that end the row in which the prompt stands.
#[derive(Debug)]
pub(super) struct Typed<I> {
    /// Empty ones too.
    pub(super) lines: I,
    /// An empty line is something to send.
    pub(super) empty: bool,
    pub(super) row: Row,
}

impl<I: Input> Input for Typed<I> {
    async fn next(&mut self) -> io::Result<Item> {
        loop {
            let item = self.lines.next().await;
            self.row.0.prompt.set(false);
            self.row.0.said.set(false);
            if !matches!(item, Ok(Item::End)) {
                self.row.0.typed.notify_one();
            }
            if self.empty || !matches!(&item, Ok(Item::Message(line)) if line.is_empty()) {
                return item;
            }
        }
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
    row: Row,
}

impl Shown {
    /// What the peer says is `text`, whose lines may come in pieces, or else messages.
    pub(super) fn new(raw: bool, text: bool, row: Row) -> Self {
        Self { out: Plain::new(false, false), raw, text, row }
    }

    /// A line that is neither the peer's nor the user's.
    pub(super) async fn note(&mut self, line: &str) -> io::Result<()> {
        self.out.show(format!("{line}\n").as_bytes()).await
    }
}

impl Output for Shown {
    async fn show(&mut self, message: &[u8]) -> io::Result<()> {
        if self.row.0.prompt.replace(false) {
            self.out.show(b"\n").await?;
        }
        let ended = message.ends_with(b"\n");
        self.row.0.said.set(self.text && !ended);
        self.out.show(&readable(message, self.raw)).await?;
        if self.text || ended { Ok(()) } else { self.out.show(b"\n").await }
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.out.flush().await
    }

    async fn idle(&mut self) -> io::Result<()> {
        if !self.row.0.said.get() && !self.row.0.prompt.replace(true) {
            self.out.show(b"> ").await?;
        }
        self.out.flush().await
    }

    async fn stale(&mut self) {
        self.row.0.typed.notified().await;
        sleep(PAUSE).await;
    }
}
