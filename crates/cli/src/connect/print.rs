//! Printing what peers say.

use std::io;

use swapwire::core::Printable;
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

/// The text of `bytes` as a terminal may be given it, in its lines.
pub(crate) fn escape(bytes: &[u8]) -> String {
    Printable::bytes(bytes).with_lines().to_string()
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
}
