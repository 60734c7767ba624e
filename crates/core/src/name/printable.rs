//! Text from elsewhere in a message for people.

use std::fmt::{self, Display, Write};

/// Whether a terminal, a log or a page does something when it is shown `c`: control characters (C0, DEL, C1), the separators
/// of lines and paragraphs, and what turns the direction of writing (UAX 9, section 2: marks, embeddings, overrides, isolates).
pub fn needs_escape(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text of `T` on one line, with each character that [needs it](needs_escape) as its escape (`\r`, `\x1b`, `\u{9b}`). A backslash stays a
/// backslash: this is for the eye and not for reading back.
///
/// ```
/// use swapwire_core::Printable;
/// assert_eq!(Printable::new("größe\r\n\x1b[2J").to_string(), "größe\\r\\n\\x1b[2J");
/// assert_eq!(Printable::bytes(b"a\xff\n\x07").with_lines().to_string(), "a\\xff\n\\x07");
/// assert_eq!(Printable::new("abcdef").at_most(3).to_string(), "abc…");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Printable<T> {
    text: T,
    most: usize,
    lines: bool,
}

impl<T> Printable<T> {
    /// All of `text`.
    pub const fn new(text: T) -> Self {
        Self { text, most: usize::MAX, lines: false }
    }

    /// Cuts what has more than `bytes` bytes before it is escaped, and shows `…` for the rest.
    #[must_use]
    pub const fn at_most(mut self, bytes: usize) -> Self {
        self.most = bytes;
        self
    }

    /// Leaves line feeds and tabs as they are.
    #[must_use]
    pub const fn with_lines(mut self) -> Self {
        self.lines = true;
        self
    }
}

impl<'a> Printable<Bytes<'a>> {
    /// Bytes that may be text: what is not UTF-8 is shown as `\xff`.
    pub const fn bytes(bytes: &'a [u8]) -> Self {
        Self::new(Bytes(bytes))
    }
}

/// Bytes that may be text; see [`Printable::bytes`].
#[derive(Clone, Copy, Debug)]
pub struct Bytes<'a>(&'a [u8]);

impl Display for Bytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            write!(f, "{}{}", chunk.valid(), chunk.invalid().escape_ascii())?;
        }
        Ok(())
    }
}

impl<T: Display> Display for Printable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut escaping = Escaping { to: f, left: self.most, lines: self.lines, cut: false };
        match write!(escaping, "{}", self.text) {
            Err(_) if escaping.cut => f.write_char('…'),
            written => written,
        }
    }
}

struct Escaping<'a, 'b> {
    to: &'a mut fmt::Formatter<'b>,
    left: usize,
    lines: bool,
    cut: bool,
}

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut end = text.len().min(self.left);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.left -= end;
        let (shown, mut from) = (&text[..end], 0);
        for (at, c) in shown.char_indices() {
            if needs_escape(c) && !(self.lines && matches!(c, '\n' | '\t')) {
                self.to.write_str(&shown[from..at])?;
                match u8::try_from(c) {
                    Ok(byte) if c.is_ascii() => write!(self.to, "{}", byte.escape_ascii())?,
                    _ => write!(self.to, "{}", c.escape_default())?,
                }
                from = at + c.len_utf8();
            }
        }
        self.to.write_str(&shown[from..])?;
        self.cut = end < text.len();
        if self.cut { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Endpoint;

    /// What must not be shown as it is, said in another way than the rule does: by general category (Cc, Zl, Zp) and by the
    /// property `Bidi_Control`.
    fn must_not_show(c: char) -> bool {
        matches!(u32::from(c), 0..=0x1f | 0x7f..=0x9f | 0x61c | 0x200e | 0x200f | 0x2028..=0x202e | 0x2066..=0x2069)
    }

    #[test]
    fn nothing_gets_through_that_should_not() {
        for c in (0..=0xffff).filter_map(char::from_u32) {
            let shown = Printable::new(c).to_string();
            assert!(!shown.contains(must_not_show), "{c:?}");
            assert_eq!(shown.chars().eq([c]), !must_not_show(c), "{c:?} is shown as {shown}");
            let lines = Printable::bytes(c.to_string().as_bytes()).with_lines().to_string();
            assert_eq!(lines, if c == '\n' || c == '\t' { c.to_string() } else { shown });
        }
        for byte in 0x80..=0xff {
            assert_eq!(Printable::bytes(&[b'a', byte]).to_string(), format!("a\\x{byte:02x}"));
        }
        let error = ".\u{1b}[2J\n".parse::<Endpoint>().unwrap_err();
        assert!(!error.to_string().contains(char::is_control), "{error}");
    }

    #[test]
    fn plain_text_stays_as_it_is() {
        let text = "'quoted' \"twice\" \\ back, größe, 日本, שלום, e\u{301}";
        assert_eq!(Printable::new(text).to_string(), text);
        assert_eq!(Printable::bytes(text.as_bytes()).to_string(), text);
    }

    #[test]
    fn what_is_long_is_cut() {
        let cut = |text: &str| Printable::new(text).at_most(256).to_string();
        assert_eq!(cut(&"x".repeat(256)), "x".repeat(256));
        assert_eq!(cut(&"x".repeat(1 << 20)), "x".repeat(256) + "…");
        assert_eq!(cut(&("x".repeat(255) + "ü")), "x".repeat(255) + "…");
        // Also where it comes in pieces.
        let pieces = format_args!("{}{}{}", "ab", 'ü', "cd").to_string();
        assert_eq!(Printable::new(format_args!("{}{}{}", "ab", 'ü', "cd")).at_most(3).to_string(), "ab…");
        assert_eq!(Printable::new(&pieces).at_most(5).to_string(), "abüc…");
    }
}
