//! A line editor: keys in, lines out. It knows no terminal.

use super::history::History;
use super::keys::{Key, Keys};
use super::line::Line;

/// What a key led to beside a change of the line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A line was entered; so many of its bytes were too many and are lost.
    Line(Vec<u8>, usize),
    EndOfInput,
    Leave,
    Suspend,
    Clear,
}

#[derive(Debug)]
pub(super) struct Editor {
    keys: Keys,
    line: Line,
    history: History,
    /// What was cut out last.
    cut: Vec<u8>,
}

impl Editor {
    /// For lines of at most `max` bytes.
    pub(super) fn new(max: usize, history: History) -> Self {
        Self { keys: Keys::default(), line: Line::new(max), history, cut: Vec::new() }
    }

    pub(super) fn line(&self) -> &Line {
        &self.line
    }

    /// What was typed and not entered, which is gone then, and how many bytes were too many.
    pub(super) fn take(&mut self) -> (Vec<u8>, usize) {
        self.line.take()
    }

    /// Remembers a line that was entered; for this session alone, unless it is `lasting`.
    pub(super) fn remember(&mut self, line: &[u8], lasting: bool) {
        self.history.add(line, lasting);
    }

    /// Forgets what was cut out last.
    pub(super) fn forget(&mut self) {
        self.cut.clear();
    }

    /// The byte of a key, or of a part of one.
    pub(super) fn feed(&mut self, byte: u8) -> Option<Event> {
        let line = &mut self.line;
        match self.keys.feed(byte)? {
            Key::Byte(byte) => line.insert(&[byte]),
            Key::Left => line.left(),
            Key::Right => line.right(),
            Key::Home => line.home(),
            Key::End => line.end(),
            Key::WordLeft => line.word_left(),
            Key::WordRight => line.word_right(),
            Key::Backspace => drop(line.kill(Line::left)),
            Key::Delete => line.delete(),
            Key::KillToEnd => self.cut = line.kill(Line::end),
            Key::KillToStart => self.cut = line.kill(Line::home),
            Key::KillWord => self.cut = line.kill(Line::word_left),
            Key::KillWordRight => self.cut = line.kill(Line::word_right),
            Key::Yank => line.insert(&self.cut),
            Key::Older => {
                if let Some(older) = self.history.older(line.bytes()) {
                    line.set(older);
                }
            }
            Key::Newer => {
                if let Some(newer) = self.history.newer() {
                    line.set(&newer);
                }
            }
            Key::Search => {
                if let Some(found) = self.history.search(line.bytes()) {
                    line.set(found);
                }
            }
            Key::Enter => {
                self.history.leave();
                let (bytes, over) = line.take();
                return Some(Event::Line(bytes, over));
            }
            // Within a line it deletes, as editors do; elsewhere it ends, whatever was typed.
            Key::EndOfInput if !line.after().is_empty() => line.delete(),
            Key::EndOfInput => return Some(Event::EndOfInput),
            Key::Leave => return Some(Event::Leave),
            Key::Suspend => return Some(Event::Suspend),
            Key::Clear => return Some(Event::Clear),
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(typed: &[u8]) -> Vec<Event> {
        let mut editor = Editor::new(100, History::default());
        let mut events = Vec::new();
        for byte in typed {
            match editor.feed(*byte) {
                Some(Event::Line(line, over)) => {
                    editor.remember(&line, false);
                    events.push(Event::Line(line, over));
                }
                event => events.extend(event),
            }
        }
        events
    }

    fn lines(typed: &[u8]) -> Vec<Vec<u8>> {
        let line = |event| match event {
            Event::Line(line, 0) => line,
            event => panic!("{event:?}"),
        };
        events(typed).into_iter().map(line).collect()
    }

    #[test]
    fn what_is_typed_is_what_is_entered() {
        let typed = [&b"set\tkey\tvalue\r"[..], b"caf\xe9\n", b"\r", "日本語\r".as_bytes()].concat();
        assert_eq!(lines(&typed), [&b"set\tkey\tvalue"[..], b"caf\xe9", b"", "日本語".as_bytes()]);
    }

    #[test]
    fn keys_edit() {
        // Backspace, cursor keys, Ctrl-A and Ctrl-E, Ctrl-W and Ctrl-Y, Ctrl-U, Ctrl-K, Ctrl-D.
        assert_eq!(lines(b"hallo\x7f\x7f\x7f\x7fello\r"), [b"hello"]);
        assert_eq!(lines(b"ac\x1b[Db\r"), [b"abc"]);
        assert_eq!(lines(b"bc\x01a\x05d\r"), [b"abcd"]);
        assert_eq!(lines(b"one two\x17\x01\x19 \r"), [b"two one "]);
        assert_eq!(lines(b"wrong\x15right\r"), [b"right"]);
        assert_eq!(lines(b"right wrong\x1bb\x02\x0b\r"), [b"right"]);
        assert_eq!(lines(b"xabc\x01\x04\r"), [b"abc"]);
    }

    #[test]
    fn older_lines_come_back() {
        assert_eq!(lines(b"one\rtwo\r\x1b[A\x1b[A\r"), [&b"one"[..], b"two", b"one"]);
        assert_eq!(lines(b"one\rdraft\x10\x0e!\r"), [&b"one"[..], b"draft!"]);
        assert_eq!(lines(b"find me\rother\rind\x12\r"), [&b"find me"[..], b"other", b"find me"]);
    }

    #[test]
    fn ctrl_c_and_ctrl_d_end() {
        for typed in [&b""[..], b"something", b"some\xe9", b"\x1b[1"] {
            assert_eq!(events(&[typed, b"\x03"].concat()), [Event::Leave]);
            assert_eq!(events(&[typed, b"\x04"].concat()), [Event::EndOfInput]);
        }
    }
}
