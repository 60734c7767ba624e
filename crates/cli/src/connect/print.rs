//! Printing what peers say.

use std::io::{self, Write as _};

use swapwire::core::Printable;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::stdio;

/// What is collected before it is written.
const BUFFER: usize = 64 << 10;

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

    /// Waits until `idle` has to be called again although nothing was shown.
    async fn stale(&mut self) {
        std::future::pending().await
    }
}

/// The standard output, buffered. It waits for a slow reader on another thread.
#[derive(Debug)]
pub(crate) struct Plain {
    buffer: Vec<u8>,
    /// A write under way, which gives its buffer back. It goes on when the future that waits for it is dropped.
    writing: Option<JoinHandle<io::Result<Vec<u8>>>>,
    escaped: bool,
    lines: bool,
}

impl Plain {
    /// `escaped` for terminals; `lines` puts each message on a line of its own.
    pub(crate) fn new(escaped: bool, lines: bool) -> Self {
        Self { buffer: Vec::new(), writing: None, escaped, lines }
    }

    /// Waits for the write under way.
    async fn written(&mut self) -> io::Result<()> {
        if let Some(writing) = &mut self.writing {
            let written = writing.await;
            self.writing = None;
            let spare = written??;
            if self.buffer.is_empty() {
                self.buffer = spare;
            }
        }
        Ok(())
    }

    /// Begins to write what was collected, after what is under way.
    async fn write(&mut self) -> io::Result<()> {
        self.written().await?;
        if !self.buffer.is_empty() {
            let mut buffer = std::mem::take(&mut self.buffer);
            self.writing = Some(spawn_blocking(move || {
                stdio::Output::Stdout.write_all(&buffer)?;
                buffer.clear();
                Ok(buffer)
            }));
        }
        Ok(())
    }
}

impl Output for Plain {
    async fn show(&mut self, message: &[u8]) -> io::Result<()> {
        if self.escaped {
            self.buffer.extend_from_slice(escape(message).as_bytes());
        } else {
            self.buffer.extend_from_slice(message);
        }
        if self.lines {
            self.buffer.push(b'\n');
        }
        if self.buffer.len() >= BUFFER { self.write().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.write().await?;
        self.written().await
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
