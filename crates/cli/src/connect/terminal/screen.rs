//! The terminal itself: its mode, its width, and a line on it.

use std::io;

use terminal_size::terminal_size_of;

use super::line::{next, shown};
use crate::connect::print::escape;

/// The terminal in the mode of an editor: each key at once, without an echo. Dropping it gives the terminal back as it was.
#[derive(Debug, Default)]
pub(super) struct Screen {
    #[cfg(unix)]
    settings: Option<nix::sys::termios::Termios>,
}

impl Screen {
    /// Whether it can be edited on: a terminal that is dumb, or says nothing, keeps its own way of reading lines.
    pub(super) fn can_edit() -> bool {
        let term = std::env::var_os("TERM").unwrap_or_default();
        cfg!(unix) && !["", "dumb", "emacs", "cons25", "unknown"].iter().any(|poor| term == *poor)
    }

    /// Takes the terminal.
    #[cfg(unix)]
    pub(super) fn take() -> Self {
        use nix::sys::termios::SpecialCharacterIndices::{VMIN, VTIME};
        use nix::sys::termios::{InputFlags, LocalFlags, SetArg, tcgetattr, tcsetattr};
        let settings = tcgetattr(io::stdin()).ok();
        if let Some(mut keys) = settings.clone() {
            keys.local_flags &= !(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::IEXTEN | LocalFlags::ISIG);
            keys.input_flags &= !(InputFlags::ICRNL | InputFlags::INLCR | InputFlags::IGNCR);
            keys.input_flags &= !(InputFlags::IXON | InputFlags::ISTRIP);
            (keys.control_chars[VMIN as usize], keys.control_chars[VTIME as usize]) = (1, 0);
            // Now: one whose output is stuck must not hold this up, nor the end.
            let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &keys);
        }
        Self { settings }
    }

    #[cfg(not(unix))]
    pub(super) fn take() -> Self {
        Self {}
    }

    /// Lets the shell have it, until that brings this process back.
    pub(super) fn suspend(&mut self) {
        self.give_back();
        #[cfg(unix)]
        {
            use nix::sys::signal::{Signal, kill};
            // The whole group, as the terminal would.
            let _ = kill(nix::unistd::Pid::from_raw(0), Signal::SIGTSTP);
        }
        *self = Self::take();
    }

    fn give_back(&mut self) {
        #[cfg(unix)]
        if let Some(settings) = self.settings.take() {
            use nix::sys::termios::{SetArg, tcsetattr};
            let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &settings);
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Columns; 80 where the terminal does not know.
pub(super) fn width() -> usize {
    terminal_size_of(io::stdout()).map_or(80, |(width, _)| usize::from(width.0)).max(1)
}

/// Draws the line that is edited in one row of `width` columns: the prompt, and of the line as much as there is room for
/// around the cursor. Only CR and two sequences of ECMA-48 (EL, CUF) are used.
pub(super) fn draw(prompt: &str, before: &[u8], after: &[u8], width: usize) -> String {
    // The last column stays free: a cursor behind it would be in the next row.
    let room = width - 1;
    let prompt = end_of(prompt, room - (room / 2).min(20));
    let column = columns(prompt);
    let room = room.saturating_sub(column);
    // Each cell has a byte at least, so that more than these cannot be seen.
    let mut from = char_start(before, before.len().saturating_sub(room * 4));
    let mut cursor = columns_of(&before[from..], column);
    while cursor > room && from < before.len() {
        let mut surplus = cursor - room;
        while surplus > 0 && from < before.len() {
            let len = next(&before[from..]);
            surplus = surplus.saturating_sub(shown(&before[from..from + len], 0).1);
            from += len;
        }
        // A Tab is not as wide as before where it stands now.
        cursor = columns_of(&before[from..], column);
    }
    let (mut text, mut used) = (String::new(), 0);
    for part in [&before[from..], after] {
        let mut rest = part;
        while !rest.is_empty() {
            let (cell, behind) = rest.split_at(next(rest));
            let (shown, width) = shown(cell, column + used);
            if used + width > room {
                break;
            }
            (text, used, rest) = (text + &shown, used + width, behind);
        }
    }
    let right = column + cursor.min(room);
    let back = if right == 0 { String::new() } else { format!("\x1b[{right}C") };
    format!("\r{prompt}{text}\x1b[K\r{back}")
}

/// The end of `text` that has room, in whole cells and sequences.
fn end_of(text: &str, room: usize) -> &str {
    let (mut rest, mut surplus) = (text, columns(text).saturating_sub(room));
    while surplus > 0 {
        let (len, columns) = unit(rest);
        (rest, surplus) = (&rest[len..], surplus.saturating_sub(columns));
    }
    rest
}

/// Columns of a text without a Tab.
fn columns(mut text: &str) -> usize {
    let mut used = 0;
    while !text.is_empty() {
        let (len, columns) = unit(text);
        (text, used) = (&text[len..], used + columns);
    }
    used
}

/// Bytes and columns of the first cell or sequence.
fn unit(text: &str) -> (usize, usize) {
    match sequence(text.as_bytes()) {
        0 => {
            let len = next(text.as_bytes());
            (len, shown(&text.as_bytes()[..len], 0).1)
        }
        len => (len, 0),
    }
}

/// Bytes of the sequence at the beginning (ECMA-48, 5.3 to 5.6; xterm ends strings with BEL too), or 0. One that is not
/// whole takes all there is.
fn sequence(bytes: &[u8]) -> usize {
    let Some((0x1b, rest)) = bytes.split_first() else { return 0 };
    let at = |is_last: fn(&u8) -> bool| rest.iter().skip(1).position(is_last).map(|at| at + 2);
    let end = match rest.first() {
        // Of the next one, or of none.
        None | Some(0x1b | 0x80..) => Some(0),
        Some(b'[') => at(|byte| (b'@'..=b'~').contains(byte)),
        Some(b']' | b'P' | b'X' | b'^' | b'_') => {
            let st = rest.windows(2).position(|two| two == b"\x1b\\").map(|at| at + 2);
            at(|byte| *byte == 0x07).into_iter().chain(st).min()
        }
        Some(b' '..=b'/') => at(|byte| (b'0'..=b'~').contains(byte)),
        Some(_) => Some(1),
    };
    1 + end.unwrap_or(rest.len())
}

/// The last `len` bytes of what was said, or a few less: from the beginning of a character, and behind a sequence that they
/// would cut.
pub(super) fn last(said: &[u8], len: usize, raw: bool) -> &[u8] {
    let cut = char_start(said, said.len().saturating_sub(len));
    let near = cut.saturating_sub(len);
    let escape = said[near..cut].iter().rposition(|byte| *byte == 0x1b).filter(|_| raw);
    let behind = escape.map_or(cut, |at| near + at + sequence(&said[near + at..]));
    &said[behind.max(cut)..]
}

fn columns_of(mut bytes: &[u8], from: usize) -> usize {
    let mut used = 0;
    while !bytes.is_empty() {
        let (cell, rest) = bytes.split_at(next(bytes));
        used += shown(cell, from + used).1;
        bytes = rest;
    }
    used
}

/// The beginning of the character at this byte, or behind it.
fn char_start(bytes: &[u8], at: usize) -> usize {
    let inside = bytes[at..].iter().take(3).take_while(|byte| (0x80..0xc0).contains(*byte)).count();
    if at == 0 { 0 } else { at + inside }
}

/// What a peer says, for the eye; a CR before a line feed is a part of it.
pub(super) fn readable(message: &[u8], raw: bool) -> Vec<u8> {
    if raw {
        return message.to_vec();
    }
    let lines = message.split_inclusive(|byte| *byte == b'\n');
    let lines = lines.map(|line| match line.strip_suffix(b"\r\n") {
        Some(line) => escape(line) + "\n",
        None => escape(line),
    });
    lines.collect::<String>().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::line::tests::CELLS;
    use super::*;

    /// What a row shows after `drawn`, and where the cursor is.
    fn row(drawn: &str) -> (String, usize) {
        let (text, back) = drawn.strip_prefix('\r').unwrap().split_once("\x1b[K\r").unwrap();
        let right = back.strip_prefix("\x1b[").map_or(0, |back| back.strip_suffix('C').unwrap().parse().unwrap());
        (text.to_owned(), right)
    }

    #[test]
    fn a_short_line_is_shown_whole() {
        assert_eq!(row(&draw("> ", b"hel", b"lo", 80)), ("> hello".into(), 5));
        assert_eq!(row(&draw("", b"", b"", 80)), (String::new(), 0));
        assert_eq!(row(&draw("> ", b"a\tb", b"", 80)), ("> a     b".into(), 9));
        assert_eq!(row(&draw("> ", b"caf\xe9", b"", 80)), ("> caf\\xe9".into(), 9));
    }

    #[test]
    fn a_long_line_is_shown_around_the_cursor() {
        let line: Vec<u8> = (0..100).map(|n| b'a' + n % 26).collect();
        assert_eq!(row(&draw("> ", &line, b"", 20)), (format!("> {}", &String::from_utf8_lossy(&line[83..])), 19));
        assert_eq!(row(&draw("> ", &[], &line, 20)), ("> abcdefghijklmnopq".into(), 2));
        let (text, right) = row(&draw(&"p".repeat(100), &line[..5], &line[5..], 20));
        assert_eq!((text.len(), right), (19, 15));
    }

    #[test]
    fn nothing_is_wider_than_the_terminal() {
        let texts =
            ["", "a", "日本語", "e\u{301}\t\u{1b}[31mred\u{1b}[0m", "größe größe größe größe größe größe größe"];
        for width in [1, 2, 3, 4, 9, 20, 41] {
            for (prompt, text) in texts.iter().flat_map(|prompt| texts.iter().map(move |text| (prompt, text))) {
                for at in (0..=text.len()).filter(|at| text.is_char_boundary(*at)) {
                    let (before, after) = text.as_bytes().split_at(at);
                    let (shown, right) = row(&draw(prompt, before, after, width));
                    let fits = columns(&shown) < width && right < width;
                    assert!(fits, "{width} {prompt:?} {text:?} {at}: {shown:?} {right}");
                }
            }
        }
    }

    #[test]
    fn sequences_are_whole_and_have_no_columns() {
        let sequences =
            ["\x1b[31m", "\x1b[1;5H", "\x1b]0;title\x07", "\x1b]8;;at\x1b\\", "\x1bPq\x1b\\", "\x1b(B", "\x1b7"];
        for (one, other) in sequences.iter().flat_map(|one| sequences.iter().map(move |other| (one, other))) {
            let text = format!("größe{one}c{other}{one}de");
            // What is left has the colours of the last sequences.
            let end = end_of(&text, 2);
            assert_eq!((columns(&text), columns(end)), (8, 2), "{text:?}");
            assert!(end.ends_with("de") && text.ends_with(end) && !end.contains('c'), "{text:?}: {end:?}");
            let mut starts = vec![0];
            while starts[starts.len() - 1] < text.len() {
                let start = starts[starts.len() - 1];
                starts.push(start + unit(&text[start..]).0);
            }
            for len in 12..text.len() {
                let seen = last(text.as_bytes(), len, true).len();
                assert!(seen <= len && starts.contains(&(text.len() - seen)), "{text:?}, {len}: {seen}");
            }
        }
        // One that does not end is no text, and one that has just begun is none.
        assert_eq!(["a\x1b[31", "a\x1b]0;title", "a\x1b", "a\x1b\x1b7", "a\x1bö"].map(columns), [1, 1, 1, 1, 2]);
        // Without --raw it is text.
        assert_eq!(last(b"ab\x1b[31m", 3, false), b"31m");
    }

    /// However long a prompt is, each cell of it is looked at a few times.
    #[test]
    fn a_long_prompt_takes_linear_work() {
        for text in ["p", "日", "\x1b[1mb", "e\u{301}"] {
            let prompt = text.repeat((64 << 10) / text.len());
            let before = CELLS.get();
            let (shown, _) = row(&draw(&prompt, b"typed", b"", 80));
            let cells = CELLS.get() - before;
            assert!(shown.ends_with("typed") && columns(&shown) < 80, "{text:?}: {shown:?}");
            assert!(cells < 4 * (64 << 10), "{text:?}: {cells} cells looked at");
        }
    }

    #[test]
    fn line_ends_are_line_ends() {
        assert_eq!(readable(b"a\r\nb\rc\n\x1b[m\r\n", false), b"a\nb\\rc\n\\x1b[m\n");
        assert_eq!(readable(b"a\r\n\x1b[m", true), b"a\r\n\x1b[m");
    }
}
