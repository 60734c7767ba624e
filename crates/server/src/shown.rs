//! What others wrote, as it may stand in a log.

use std::fmt::{self, Display, Write};

/// Errors of handlers and transports may repeat what a peer said.
const LONGEST: usize = 256;

/// On one line, without anything that controls a terminal or changes the order in which text is shown, and no longer than
/// 256 bytes before it is escaped.
pub(crate) struct Shown<T>(pub(crate) T);

impl<T: Display> Display for Shown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut escaped = Escaped { to: f, left: LONGEST };
        match write!(escaped, "{}", self.0) {
            Err(_) if escaped.left == 0 => f.write_str("…"),
            written => written,
        }
    }
}

struct Escaped<'a, 'b> {
    to: &'a mut fmt::Formatter<'b>,
    left: usize,
}

impl Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if c.len_utf8() > self.left {
                self.left = 0;
                return Err(fmt::Error);
            }
            self.left -= c.len_utf8();
            // What a text in quotes would escape and a log need not.
            if matches!(c, '"' | '\'' | '\\') {
                self.to.write_char(c)?;
            } else {
                write!(self.to, "{}", c.escape_debug())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_through_that_should_not() {
        let all: String = (0..=0x2fff).filter_map(char::from_u32).collect();
        for chunk in all.chars().collect::<Vec<_>>().chunks(60) {
            let shown = Shown(chunk.iter().collect::<String>()).to_string();
            let bad = |c: char| {
                c.is_control()
                    || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}')
            };
            assert!(!shown.contains(bad), "{shown:?}");
            assert!(!shown.ends_with('…'), "{shown:?}");
        }
        assert_eq!(
            Shown("plain 'text', \"quoted\" ü\r\n\x1b[2J").to_string(),
            "plain 'text', \"quoted\" ü\\r\\n\\u{1b}[2J"
        );
    }

    #[test]
    fn what_is_long_is_cut() {
        assert_eq!(Shown("x".repeat(256)).to_string(), "x".repeat(256));
        assert_eq!(Shown("x".repeat(1 << 20)).to_string(), "x".repeat(256) + "…");
        assert_eq!(Shown("x".repeat(255) + "ü").to_string(), "x".repeat(255) + "…");
    }
}
