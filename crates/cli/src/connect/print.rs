//! Printing what peers say.

use std::fmt::Write as _;
use std::io;

use tokio::io::{AsyncWriteExt as _, BufWriter, Stdout};

/// Where messages are shown.
pub(crate) trait Output {
    /// Shows one message. Not cancel safe.
    async fn show(&mut self, message: &[u8]) -> io::Result<()>;

    /// Makes everything visible that was shown.
    async fn flush(&mut self) -> io::Result<()>;

    /// As `flush`, when nothing more is to be shown at the moment.
    async fn idle(&mut self) -> io::Result<()> {
        self.flush().await
    }
}

/// The standard output, buffered.
#[derive(Debug)]
pub(crate) struct Plain {
    out: BufWriter<Stdout>,
    escaped: bool,
    lines: bool,
}

impl Plain {
    /// `escaped` for terminals; `lines` puts each message on a line of its own.
    pub(crate) fn new(escaped: bool, lines: bool) -> Self {
        Self { out: BufWriter::with_capacity(64 << 10, tokio::io::stdout()), escaped, lines }
    }
}

impl Output for Plain {
    async fn show(&mut self, message: &[u8]) -> io::Result<()> {
        if self.escaped {
            self.out.write_all(escape(message).as_bytes()).await?;
        } else {
            self.out.write_all(message).await?;
        }
        if self.lines {
            self.out.write_all(b"\n").await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.out.flush().await
    }
}

/// The text of `bytes` without anything that controls a terminal or changes the order in which text is shown: controls
/// other than line feed and tab (C0, DEL, C1), bytes that are not UTF-8, and the Unicode characters for direction are
/// shown as escapes. A backslash stays a backslash, so this is for the eye and not for reading back.
pub(crate) fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            let _ = match c {
                '\n' | '\t' => text.write_char(c),
                '\r' => text.write_str("\\r"),
                c if c.is_ascii_control() => write!(text, "\\x{:02x}", u32::from(c)),
                c if c.is_control() || changes_direction(c) => write!(text, "\\u{{{:x}}}", u32::from(c)),
                c => text.write_char(c),
            };
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// Marks, embeddings, overrides and isolates of the Unicode bidirectional algorithm (UAX 9, section 2).
fn changes_direction(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_stays_as_it_is() {
        let text = "line\n\ttab \\ back, größe, 日本, שלום";
        assert_eq!(escape(text.as_bytes()), text);
    }

    #[test]
    fn what_controls_a_terminal_is_escaped() {
        assert_eq!(escape(b"\x1b]52;c;\x07"), "\\x1b]52;c;\\x07");
        assert_eq!(escape(b"a\rb\0\x7f"), "a\\rb\\x00\\x7f");
        assert_eq!(escape("\u{9b}6n \u{202e}\u{2066}\u{200f}".as_bytes()), "\\u{9b}6n \\u{202e}\\u{2066}\\u{200f}");
        assert_eq!(escape(b"\xff\xc3"), "\\xff\\xc3");
    }

    #[test]
    fn no_byte_gets_through_that_should_not() {
        let all: Vec<u8> = (0..=255).collect();
        let clean = |c: char| !c.is_control() || c == '\n' || c == '\t';
        assert!(escape(&all).chars().all(clean));
        for code in (0..0x3000).filter_map(char::from_u32) {
            let shown = escape(code.to_string().as_bytes());
            assert!(shown.chars().all(clean) && !shown.chars().any(changes_direction), "{code:?}");
        }
    }
}
