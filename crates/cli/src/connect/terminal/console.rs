//! What is on the terminal: what the peer said, and below it the line that is edited.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::sync::Notify;
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::timeout;

use super::editor::{Editor, Event};
use super::history::History;
use super::screen::{Screen, draw, last, readable, width};
use crate::connect::input::{Input, Item};
use crate::connect::print::Output;
use crate::stdio::{self, Stdin};

const PROMPT: &str = "> ";
/// Bytes of lines that were typed and not yet sent, if there is more than one; each counts [`LINE`] more.
const TYPED: usize = 1 << 20;
const LINE: usize = 64;
/// Bytes that may wait for the terminal before the peer has to wait.
const SHOWN: usize = 64 << 10;
/// Bytes of what the peer said that are looked at for each column.
const SEEN: usize = 16;
/// How long the end waits for a terminal that takes nothing.
const FAREWELL: Duration = Duration::from_secs(1);
/// Bytes of a question at most.
const QUESTION: usize = 1 << 10;
/// A question for a secret has one of these in it.
const SECRETS: [&str; 12] =
    ["pass", "secret", "pin", "code", "token", "otp", "kennwort", "contrase", "senha", "парол", "密码", "パス"];

/// Keys go in, lines come out; messages go in. All of it happens in one task, which never waits for the terminal.
#[derive(Debug)]
pub(super) struct Console {
    state: RefCell<State>,
    /// A line was typed, or the input ended.
    typed: Notify,
    /// There is something to write.
    dirty: Notify,
    /// Something was written.
    written: Notify,
    /// The input has ended.
    ended: Notify,
    /// The terminal takes nothing more.
    gone: Notify,
    /// Bytes that are being written.
    writing: Cell<usize>,
    /// The edited line is to be drawn when the terminal has taken what waits.
    late: Cell<bool>,
    /// A line was entered for which there was no room.
    lost: Cell<bool>,
    ways: Ways,
}

/// What is typed and shown how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ways {
    /// What the peer says controls the terminal.
    pub(super) raw: bool,
    /// What the peer says is text, whose lines may come in pieces.
    pub(super) text: bool,
    /// An empty line is something to send.
    pub(super) empty: bool,
    /// Bytes of a line at most.
    pub(super) max: usize,
}

#[derive(Debug)]
struct State {
    screen: Screen,
    editor: Editor,
    /// What the peer said without an end of line: it stands where else the prompt does.
    unended: Vec<u8>,
    /// What stood there while the edited line was typed.
    asked: Asked,
    /// The edited line is on the screen.
    drawn: bool,
    out: Vec<u8>,
    /// With what each counts.
    lines: VecDeque<(Item, usize)>,
    /// What the lines count.
    kept: usize,
    ended: bool,
}

/// What the peer wanted to know, the most delicate last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Asked {
    Nothing,
    Something,
    Secret,
}

impl Asked {
    /// By what was said without an end of line.
    fn by(unended: &[u8]) -> Self {
        let end = &unended[unended.len().saturating_sub(QUESTION)..];
        let question = String::from_utf8_lossy(end).to_lowercase();
        if SECRETS.iter().any(|secret| question.contains(secret)) {
            Self::Secret
        } else if unended.is_empty() {
            Self::Nothing
        } else {
            Self::Something
        }
    }
}

impl Console {
    /// On a terminal that was taken.
    pub(super) fn new(screen: Screen, history: History, ways: Ways) -> Self {
        let state = State {
            screen,
            editor: Editor::new(ways.max, history),
            unended: Vec::new(),
            asked: Asked::Nothing,
            drawn: false,
            out: Vec::new(),
            lines: VecDeque::new(),
            kept: 0,
            ended: false,
        };
        let [typed, dirty, written, ended, gone] = std::array::from_fn(|_| Notify::new());
        Self {
            state: RefCell::new(state),
            typed,
            dirty,
            written,
            ended,
            gone,
            writing: Cell::new(0),
            late: Cell::new(false),
            lost: Cell::new(false),
            ways,
        }
    }

    /// A line that is neither the peer's nor the user's.
    pub(super) fn note(&self, line: &str) {
        self.change(|state| {
            state.print(line.as_bytes());
            state.print(b"\n");
        });
    }

    /// Reads keys, until the user asks to leave or the terminal is gone.
    pub(super) async fn keys(&self, mut stdin: Stdin) -> io::Result<()> {
        let mut bytes = [0; 4096];
        loop {
            let len = stdin.read(&mut bytes).await?;
            if len == 0 {
                self.end_input(&mut self.state.borrow_mut());
                return std::future::pending().await;
            }
            let mut leave = false;
            self.change(|state| leave = bytes[..len].iter().any(|byte| self.key(state, *byte)));
            if leave {
                return Ok(());
            }
            // A paste is sent while it comes.
            yield_now().await;
        }
    }

    /// Gives whether the user asks to leave.
    fn key(&self, state: &mut State, byte: u8) -> bool {
        match state.editor.feed(byte) {
            None => {}
            Some(Event::Line(line, over)) => self.enter(state, line, over),
            // Once more: not waiting for the replies.
            Some(Event::EndOfInput) if state.ended => return true,
            Some(Event::EndOfInput) => {
                // The last line needs no end, as from a pipe.
                let (line, over) = state.editor.take();
                if !line.is_empty() {
                    self.enter(state, line, over);
                }
                self.end_input(state);
            }
            Some(Event::Leave) => return true,
            Some(Event::Suspend) => state.screen.suspend(),
            Some(Event::Clear) => state.print(b"\x1b[H\x1b[2J"),
        }
        false
    }

    fn enter(&self, state: &mut State, line: Vec<u8>, over: usize) {
        // The whole of it stays, in as many rows as it needs.
        let (question, asked) = state.take_question();
        let prompt = if question.is_empty() { PROMPT.into() } else { readable(&question, self.ways.raw) };
        let echo = String::from_utf8_lossy(&readable(&line, false)).replace('\n', "\\n");
        state.tell(&[&prompt, echo.as_bytes(), b"\n"].concat());
        if state.ended || line.is_empty() && !self.ways.empty {
            return;
        }
        state.remember(&line, asked);
        let item = if over > 0 { Item::TooLong(line.len() + over) } else { Item::Message(line) };
        let cost = LINE + if let Item::Message(line) = &item { line.len() } else { 0 };
        if state.kept > 0 && state.kept + cost > TYPED {
            state.tell(b"the peer does not read: this line is not sent\n");
            self.lost.set(true);
            return;
        }
        state.kept += cost;
        state.lines.push_back((item, cost));
        self.typed.notify_one();
    }

    /// Whether a line that was entered is not sent.
    pub(super) fn has_lost(&self) -> bool {
        self.lost.get()
    }

    fn end_input(&self, state: &mut State) {
        state.ended = true;
        self.typed.notify_one();
        self.ended.notify_one();
    }

    /// Waits for the end of the input.
    pub(super) async fn ended(&self) {
        self.ended.notified().await;
    }

    /// Waits until the terminal takes nothing more.
    pub(super) async fn gone(&self) {
        self.gone.notified().await;
    }

    /// Changes what is on the screen above the edited line, or that.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.borrow_mut();
        change(&mut state);
        if !state.editor.line().bytes().is_empty() {
            state.asked = state.asked.max(Asked::by(&state.unended));
        }
        if state.out.len() > SHOWN {
            self.late.set(true);
        } else if !state.ended {
            let prompt = if state.unended.is_empty() { PROMPT.into() } else { self.prompt(&state.unended) };
            let line = state.editor.line();
            let drawn = draw(&prompt, line.before(), line.after(), width());
            state.out.extend_from_slice(drawn.as_bytes());
            state.drawn = true;
        }
        self.dirty.notify_one();
    }

    /// What was said without an end, as far as it can be seen: a cell has some bytes, and sequences stand between them.
    fn prompt(&self, said: &[u8]) -> String {
        let seen = last(said, SEEN * width(), self.ways.raw);
        String::from_utf8_lossy(&readable(seen, self.ways.raw)).replace(['\n', '\r', '\t'], " ")
    }

    /// Writes what is to be seen, for ever.
    pub(super) async fn write(&self) {
        loop {
            if self.late.get() && self.state.borrow().out.len() <= SHOWN {
                self.late.set(false);
                self.change(|_| ());
            }
            let bytes = std::mem::take(&mut self.state.borrow_mut().out);
            if bytes.is_empty() {
                self.dirty.notified().await;
                continue;
            }
            self.writing.set(bytes.len());
            let written = spawn_blocking(move || stdio::Output::Stdout.write_all(&bytes)).await;
            if !matches!(written, Ok(Ok(()))) {
                self.gone.notify_one();
                return std::future::pending().await;
            }
            self.writing.set(0);
            self.written.notify_waiters();
        }
    }

    /// Waits until no more than `len` bytes are to be written.
    async fn written(&self, len: usize) {
        while self.state.borrow().out.len() + self.writing.get() > len {
            self.written.notified().await;
        }
    }

    /// Takes the prompt away, and waits a while until that is to be seen. What was typed and not entered stays in sight and
    /// in the history; gives whether there was something that the end of the input did not send.
    pub(super) async fn end(&self, writing: impl Future<Output = ()>) -> bool {
        let unsent = self.close();
        let _ = timeout(FAREWELL, async {
            tokio::select! {
                () = writing => {}
                () = self.written(0) => {}
            }
        })
        .await;
        unsent
    }

    fn close(&self) -> bool {
        let mut state = self.state.borrow_mut();
        let (line, _) = state.editor.take();
        let (question, asked) = state.take_question();
        let question = readable(&question, self.ways.raw);
        if !line.is_empty() {
            let prompt = if question.is_empty() { PROMPT.as_bytes() } else { &question };
            state.print(&[prompt, &readable(&line, false), b"\n"].concat());
        } else if !question.is_empty() {
            state.print(&[&question[..], b"\n"].concat());
        } else {
            state.print(b"");
        }
        state.remember(&line, asked);
        let ended = std::mem::replace(&mut state.ended, true);
        self.dirty.notify_one();
        !line.is_empty() && !ended
    }
}

impl State {
    /// What was said without an end, and what was asked since the line began that is taken now.
    fn take_question(&mut self) -> (Vec<u8>, Asked) {
        let asked = std::mem::replace(&mut self.asked, Asked::Nothing).max(Asked::by(&self.unended));
        (std::mem::take(&mut self.unended), asked)
    }

    /// Remembers a line: for this session alone, if it answers something, and not at all, nor what was cut out of it, if it
    /// may be a secret.
    fn remember(&mut self, line: &[u8], asked: Asked) {
        match asked {
            Asked::Secret => self.editor.forget(),
            asked => self.editor.remember(line, asked == Asked::Nothing),
        }
    }

    /// The next line, or the end.
    fn take_item(&mut self) -> Option<Item> {
        match self.lines.pop_front() {
            Some((item, cost)) => {
                self.kept -= cost;
                Some(item)
            }
            None => self.ended.then_some(Item::End),
        }
    }

    /// As `print`, if the terminal takes what it is given: keys must not fill the memory.
    fn tell(&mut self, text: &[u8]) {
        if self.out.len() < TYPED {
            self.print(text);
        }
    }

    /// Puts text in the place of the edited line.
    fn print(&mut self, text: &[u8]) {
        if self.drawn {
            self.out.extend_from_slice(b"\r\x1b[K");
            self.drawn = false;
        }
        self.out.extend_from_slice(text);
    }
}

impl Input for &Console {
    async fn next(&mut self) -> io::Result<Item> {
        loop {
            if let Some(item) = self.state.borrow_mut().take_item() {
                return Ok(item);
            }
            self.typed.notified().await;
        }
    }

    fn has_more(&self) -> bool {
        !self.state.borrow().lines.is_empty()
    }
}

impl Output for &Console {
    async fn show(&mut self, message: &[u8]) -> io::Result<()> {
        self.change(|state| {
            let ended = if self.ways.text {
                let end = message.iter().rposition(|byte| *byte == b'\n').map(|end| state.unended.len() + end + 1);
                state.unended.extend_from_slice(message);
                // One that never ends is cut.
                let len = end.or((state.unended.len() > self.ways.max).then_some(state.unended.len()));
                state.unended.drain(..len.unwrap_or(0)).collect()
            } else {
                message.to_vec()
            };
            if !self.ways.text || !ended.is_empty() {
                state.print(&readable(&ended, self.ways.raw));
                if !ended.ends_with(b"\n") {
                    state.print(b"\n");
                }
            }
        });
        self.written(SHOWN).await;
        Ok(())
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.written(0).await;
        Ok(())
    }

    async fn idle(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
