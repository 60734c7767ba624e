//! From the bytes of a terminal to keys.

/// What a key means at the prompt, where editors have agreed on a meaning (`readline(3)`, "EMACS MODE").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// A byte of the line: a Tab too, and what is no valid UTF-8.
    Byte(u8),
    Enter,
    Left,
    Right,
    Home,
    End,
    WordLeft,
    WordRight,
    Backspace,
    Delete,
    KillToEnd,
    KillToStart,
    KillWord,
    KillWordRight,
    Yank,
    Older,
    Newer,
    Search,
    Clear,
    /// Ctrl-D.
    EndOfInput,
    /// Ctrl-C and Ctrl-\.
    Leave,
    /// Ctrl-Z.
    Suspend,
}

/// Where in a sequence the bytes are.
#[derive(Clone, Copy, Debug, Default)]
enum At {
    #[default]
    Start,
    /// After a CR: an LF belongs to it.
    Return,
    /// After Ctrl-V: the next byte is one of the line.
    Quoted,
    Escape,
    /// ESC O and one more.
    Single,
    /// ESC [ and numbers: the first of them, and whether there was a second.
    Sequence {
        first: u16,
        second: bool,
    },
    /// ESC [ [ and one more: a function key of the Linux console.
    Function,
}

/// Cuts bytes into keys; sequences may come in any pieces. A sequence without a meaning is no key. Ctrl-C and Ctrl-D end
/// an unfinished one.
#[derive(Debug, Default)]
pub(super) struct Keys(At);

impl Keys {
    pub(super) fn feed(&mut self, byte: u8) -> Option<Key> {
        let at = std::mem::take(&mut self.0);
        match (at, byte) {
            (At::Quoted, _) => Some(Key::Byte(byte)),
            (At::Return, b'\n') => None,
            (At::Start | At::Return, _) | (_, 0..0x1b | 0x1c..0x20) => self.plain(byte),
            (_, 0x1b) => self.go(At::Escape),
            (At::Escape, b'[') => self.go(At::Sequence { first: 0, second: false }),
            (At::Escape, b'O') => self.go(At::Single),
            (At::Escape, _) => with_alt(byte),
            (At::Single, _) => named(byte),
            (At::Function, _) => None,
            (At::Sequence { first: 0, second: false }, b'[') => self.go(At::Function),
            (At::Sequence { first, second }, b'0'..=b'9') if !second => {
                let first = first.saturating_mul(10).saturating_add(u16::from(byte - b'0'));
                self.go(At::Sequence { first, second })
            }
            (At::Sequence { first, .. }, b' '..=b'?') => self.go(At::Sequence { first, second: true }),
            (At::Sequence { first, second }, _) => sequence(first, second, byte),
        }
    }

    fn go(&mut self, at: At) -> Option<Key> {
        self.0 = at;
        None
    }

    fn plain(&mut self, byte: u8) -> Option<Key> {
        Some(match byte {
            0x01 => Key::Home,
            0x02 => Key::Left,
            0x03 | 0x1c => Key::Leave,
            0x04 => Key::EndOfInput,
            0x05 => Key::End,
            0x06 => Key::Right,
            0x08 | 0x7f => Key::Backspace,
            b'\n' => Key::Enter,
            b'\r' => {
                self.0 = At::Return;
                Key::Enter
            }
            0x0b => Key::KillToEnd,
            0x0c => Key::Clear,
            0x0e => Key::Newer,
            0x10 => Key::Older,
            0x12 => Key::Search,
            0x15 => Key::KillToStart,
            0x16 => return self.go(At::Quoted),
            0x17 => Key::KillWord,
            0x19 => Key::Yank,
            0x1a => Key::Suspend,
            0x1b => return self.go(At::Escape),
            byte => Key::Byte(byte),
        })
    }
}

/// A key with Alt; most do what they do without.
fn with_alt(byte: u8) -> Option<Key> {
    Some(match byte {
        b'b' => Key::WordLeft,
        b'f' => Key::WordRight,
        b'd' => Key::KillWordRight,
        0x7f => Key::KillWord,
        byte => Key::Byte(byte),
    })
}

fn named(byte: u8) -> Option<Key> {
    Some(match byte {
        b'A' => Key::Older,
        b'B' => Key::Newer,
        b'C' => Key::Right,
        b'D' => Key::Left,
        b'F' => Key::End,
        b'H' => Key::Home,
        b'M' => Key::Enter,
        _ => return None,
    })
}

fn sequence(first: u16, second: bool, last: u8) -> Option<Key> {
    match (last, first) {
        // With Ctrl, Alt or Shift.
        (b'C', _) if second => Some(Key::WordRight),
        (b'D', _) if second => Some(Key::WordLeft),
        (b'~', 1 | 7) => Some(Key::Home),
        (b'~', 3) => Some(Key::Delete),
        (b'~', 4 | 8) => Some(Key::End),
        (b'A'..=b'H', _) => named(last),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut keys = Keys::default();
        bytes.iter().filter_map(|byte| keys.feed(*byte)).collect()
    }

    fn text(text: &[u8]) -> Vec<Key> {
        text.iter().map(|byte| Key::Byte(*byte)).collect()
    }

    #[test]
    fn tabs_and_odd_bytes_are_bytes() {
        assert_eq!(keys(b"a\tb\xe9\xff"), text(b"a\tb\xe9\xff"));
        assert_eq!(keys("größe".as_bytes()), text("größe".as_bytes()));
        assert_eq!(keys(b"\x16\x03\x16\x1bx"), text(b"\x03\x1bx"));
        assert_eq!(keys(b"\0\x07"), text(b"\0\x07"));
    }

    #[test]
    fn a_line_ends_once() {
        use Key::Enter;
        assert_eq!(keys(b"\r\n\r\r\n\n"), [Enter, Enter, Enter, Enter]);
        assert_eq!(keys(b"\r\n\n\r"), [Enter, Enter, Enter]);
    }

    #[test]
    fn sequences_are_keys_or_nothing() {
        use Key::{Delete, End, Home, KillWord, Left, Newer, Older, Right, WordLeft, WordRight};
        assert_eq!(keys(b"\x1b[A\x1b[B\x1b[C\x1b[D\x1bOA\x1bOB"), [Older, Newer, Right, Left, Older, Newer]);
        assert_eq!(keys(b"\x1b[H\x1b[F\x1b[1~\x1b[4~\x1b[7~\x1b[8~\x1b[3~"), [Home, End, Home, End, Home, End, Delete]);
        assert_eq!(keys(b"\x1b[1;5C\x1b[1;3D\x1bb\x1bf\x1b\x7f"), [WordRight, WordLeft, WordLeft, WordRight, KillWord]);
        // Function keys, a bracketed paste, an answer of the terminal to no request.
        assert_eq!(keys(b"\x1b[15~\x1bOP\x1b[[Ax\x1b[200~y\x1b[201~z\x1b[?1;2c\x1b[24;80R"), text(b"xyz"));
    }

    #[test]
    fn ctrl_c_and_ctrl_d_end_any_sequence() {
        for begun in ["\x1b", "\x1b[", "\x1b[1;", "\x1bO", "\x1b[["] {
            for (byte, key) in [(3, Key::Leave), (4, Key::EndOfInput)] {
                assert_eq!(keys(&[begun.as_bytes(), &[byte]].concat()), [key], "{begun:?}");
            }
        }
    }
}
