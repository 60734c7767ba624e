//! The line that is edited: bytes, as they will be sent.

use unicode_width::UnicodeWidthChar as _;

use crate::connect::print::escape;

/// Where a Tab goes.
const TAB: usize = 8;

/// Bytes and a place among them, always between two [cells](next). Bounded: what is beyond is counted and forgotten.
#[derive(Debug, Default)]
pub(super) struct Line {
    bytes: Vec<u8>,
    at: usize,
    max: usize,
    over: usize,
}

impl Line {
    /// Of at most `max` bytes.
    pub(super) fn new(max: usize) -> Self {
        Self { max, ..Self::default() }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn before(&self) -> &[u8] {
        &self.bytes[..self.at]
    }

    pub(super) fn after(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    /// Empties it. Gives the bytes, and how many were too many.
    pub(super) fn take(&mut self) -> (Vec<u8>, usize) {
        self.at = 0;
        (std::mem::take(&mut self.bytes), std::mem::take(&mut self.over))
    }

    /// Takes another text, as far as there is room.
    pub(super) fn set(&mut self, text: &[u8]) {
        self.bytes = text[..text.len().min(self.max)].to_vec();
        (self.at, self.over) = (self.bytes.len(), 0);
    }

    pub(super) fn insert(&mut self, bytes: &[u8]) {
        let len = bytes.len().min(self.max - self.bytes.len());
        self.over += bytes.len() - len;
        self.bytes.splice(self.at..self.at, bytes[..len].iter().copied());
        self.at += len;
    }

    pub(super) fn left(&mut self) {
        self.at -= previous(self.before());
    }

    pub(super) fn right(&mut self) {
        self.at += next(self.after());
    }

    pub(super) fn home(&mut self) {
        self.at = 0;
    }

    pub(super) fn end(&mut self) {
        self.at = self.bytes.len();
    }

    pub(super) fn word_left(&mut self) {
        let is_space = |byte: &u8| byte.is_ascii_whitespace();
        let words = self.before().trim_ascii_end();
        self.at = words.iter().rposition(is_space).map_or(0, |space| space + 1);
    }

    pub(super) fn word_right(&mut self) {
        let is_space = |byte: &u8| byte.is_ascii_whitespace();
        let spaces = self.after().len() - self.after().trim_ascii_start().len();
        let word = &self.after()[spaces..];
        self.at += spaces + word.iter().position(is_space).unwrap_or(word.len());
    }

    pub(super) fn delete(&mut self) {
        let len = next(self.after());
        self.take_out(self.at, self.at + len);
    }

    /// Takes out what is between here and where `go` goes.
    pub(super) fn kill(&mut self, go: impl FnOnce(&mut Self)) -> Vec<u8> {
        let from = self.at;
        go(self);
        let (start, end) = (self.at.min(from), self.at.max(from));
        self.at = start;
        self.take_out(start, end)
    }

    /// Of a line that is empty then, nothing was too much.
    fn take_out(&mut self, start: usize, end: usize) -> Vec<u8> {
        let out = self.bytes.drain(start..end).collect();
        if self.bytes.is_empty() {
            self.over = 0;
        }
        out
    }
}

/// How many bytes the first cell has: a character with those of no width behind it, or one byte that belongs to none.
pub(super) fn next(bytes: &[u8]) -> usize {
    let first = first(bytes);
    let mut len = first;
    // A Tab or a control character carries nothing.
    while len > 0 && is_combining(&bytes[len..]) && !bytes[0].is_ascii_control() {
        len += self::first(&bytes[len..]);
    }
    len
}

/// How many bytes the last cell has.
fn previous(bytes: &[u8]) -> usize {
    let mut start = bytes.len();
    loop {
        start -= last(&bytes[..start]);
        // A combining character belongs to the character before it, if there is one.
        if start == 0 || !is_combining(&bytes[start..]) {
            break;
        }
    }
    let mut len = next(&bytes[start..]);
    while start + len < bytes.len() {
        start += len;
        len = next(&bytes[start..]);
    }
    bytes.len() - start
}

/// Bytes of the first character, or 1.
fn first(bytes: &[u8]) -> usize {
    let chars = |len: &usize| std::str::from_utf8(&bytes[..*len]).is_ok();
    (1..=bytes.len().min(4)).find(chars).unwrap_or_else(|| bytes.len().min(1))
}

/// Bytes of the last character, or 1.
fn last(bytes: &[u8]) -> usize {
    let one =
        |len: &usize| std::str::from_utf8(&bytes[bytes.len() - *len..]).is_ok_and(|text| text.chars().count() == 1);
    (1..=bytes.len().min(4)).find(one).unwrap_or_else(|| bytes.len().min(1))
}

fn is_combining(bytes: &[u8]) -> bool {
    let first = std::str::from_utf8(&bytes[..first(bytes)]).unwrap_or_default();
    first.chars().next().is_some_and(|c| c.width() == Some(0) && !c.is_control() && escape(first.as_bytes()) == first)
}

/// A cell as it is shown in this column, and how wide that is.
pub(super) fn shown(cell: &[u8], column: usize) -> (String, usize) {
    #[cfg(test)]
    tests::CELLS.set(tests::CELLS.get() + 1);
    if cell == b"\t" {
        let width = TAB - column % TAB;
        return (" ".repeat(width), width);
    }
    let text = if cell == b"\n" { "\\n".to_owned() } else { escape(cell) };
    let width = text.chars().map(|c| c.width().unwrap_or(0)).sum();
    (text, width)
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        /// Cells that this thread has shown.
        pub(in super::super) static CELLS: Cell<usize> = const { Cell::new(0) };
    }

    fn line(before: &str, after: &str) -> Line {
        let mut line = Line::new(100);
        line.set([before, after].concat().as_bytes());
        line.at = before.len();
        line
    }

    fn parts(line: &Line) -> (String, String) {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        (text(line.before()), text(line.after()))
    }

    #[test]
    fn moving_and_deleting_go_by_what_is_seen() {
        let mut one = line("aö日e\u{301}", "x");
        one.left();
        assert_eq!(parts(&one), ("aö日".into(), "e\u{301}x".into()));
        one.left();
        one.left();
        assert_eq!(parts(&one), ("a".into(), "ö日e\u{301}x".into()));
        one.right();
        one.right();
        one.delete();
        assert_eq!(parts(&one), ("aö日".into(), "x".into()));
        assert_eq!(one.kill(Line::left), "日".as_bytes());
        one.home();
        one.left();
        one.end();
        one.right();
        one.delete();
        assert_eq!(parts(&one), ("aöx".into(), "".into()));
    }

    #[test]
    fn bytes_that_are_no_text_are_cells() {
        let mut one = Line::new(100);
        for byte in b"\xe9\xc3\xa9\xff\xf0\x9f" {
            one.insert(&[*byte]);
        }
        let mut cells = Vec::new();
        while !one.before().is_empty() {
            cells.insert(0, one.kill(Line::left));
        }
        assert_eq!(cells, [&b"\xe9"[..], b"\xc3\xa9", b"\xff", b"\xf0", b"\x9f"]);
    }

    #[test]
    fn the_same_cells_in_both_directions() {
        let pieces = ["a", "\u{301}", "\t", "日", "\u{200d}", "\u{1b}", "\u{202e}", "é", "\n"];
        for n in 0..pieces.len().pow(3) {
            let text: String = (0..3).map(|at| pieces[n / pieces.len().pow(at) % pieces.len()]).collect();
            let mut ends = vec![0];
            while ends[ends.len() - 1] < text.len() {
                let end = ends[ends.len() - 1];
                ends.push(end + next(&text.as_bytes()[end..]));
            }
            let mut back = vec![text.len()];
            while back[back.len() - 1] > 0 {
                let end = back[back.len() - 1];
                back.push(end - previous(&text.as_bytes()[..end]));
            }
            back.reverse();
            assert_eq!(ends, back, "{text:?}");
        }
    }

    #[test]
    fn words_are_between_spaces() {
        let mut one = line("one two ", " three");
        one.word_left();
        assert_eq!(parts(&one).0, "one ");
        one.word_right();
        one.word_right();
        assert_eq!(parts(&one), ("one two  three".into(), "".into()));
        assert_eq!(one.kill(Line::word_left), b"three");
        one.home();
        assert_eq!(one.kill(Line::word_right), b"one");
        assert_eq!(one.kill(Line::end), b" two  ");
    }

    #[test]
    fn a_line_is_bounded_and_tells_what_was_too_much() {
        let mut one = Line::new(3);
        one.insert(b"ab");
        one.insert(b"cde");
        one.left();
        one.insert(b"f");
        assert_eq!(one.take(), (b"abc".to_vec(), 3));
        one.set(b"123456");
        assert_eq!(one.take(), (b"123".to_vec(), 0));
    }

    #[test]
    fn a_line_that_was_emptied_is_a_new_one() {
        let ways: [fn(&mut Line); 5] = [
            |line| drop(line.kill(Line::home)),
            |line| drop((line.kill(Line::word_left), line.kill(Line::word_left))),
            |line| {
                line.home();
                line.kill(Line::end);
            },
            |line| (0..4).for_each(|_| drop(line.kill(Line::left))),
            |line| {
                line.home();
                (0..4).for_each(|_| line.delete());
            },
        ];
        for way in ways {
            let mut one = Line::new(4);
            one.insert(b"ab cdef");
            way(&mut one);
            one.insert(b"abcd");
            assert_eq!(one.take(), (b"abcd".to_vec(), 0));
        }
        // What is left of one that was cut is still cut.
        let mut one = Line::new(4);
        one.insert(b"ab cdef");
        one.kill(Line::word_left);
        assert_eq!(one.take(), (b"ab ".to_vec(), 3));
    }

    #[test]
    fn what_is_shown_has_a_width() {
        assert_eq!(shown("日".as_bytes(), 0), ("日".into(), 2));
        assert_eq!(shown("e\u{301}".as_bytes(), 0), ("e\u{301}".into(), 1));
        assert_eq!(shown(b"\t", 2).1, 6);
        assert_eq!(shown(b"\xe9", 0), ("\\xe9".into(), 4));
        assert_eq!(shown(b"\x1b", 0), ("\\x1b".into(), 4));
        assert_eq!(shown(b"\n", 0), ("\\n".into(), 2));
    }
}
