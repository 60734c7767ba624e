//! What is to be said.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use crate::stdio::Stdin;

/// The next thing from an input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// A message.
    Message(Vec<u8>),
    /// A message longer than can be sent, of so many bytes; it was dropped.
    TooLong(usize),
    /// That was all.
    End,
}

/// Where messages come from.
pub(crate) trait Input {
    /// Waits for the next one.
    async fn next(&mut self) -> io::Result<Item>;

    /// Whether another one is there without waiting, as far as is known.
    fn has_more(&self) -> bool {
        false
    }
}

/// Lines, without their endings; the last one needs none.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    from: BufReader<R>,
    max: usize,
    /// An empty line is a message too.
    empty: bool,
}

impl Lines<Stdin> {
    /// The lines of the standard input, of at most `max` bytes; those that are `empty` too, or without them.
    pub(crate) fn of_stdin(max: usize, empty: bool) -> io::Result<Self> {
        Ok(Self { from: BufReader::with_capacity(64 << 10, Stdin::new()?), max, empty })
    }
}

impl<R> Input for Lines<R>
where
    BufReader<R>: AsyncBufRead + Unpin,
    R: tokio::io::AsyncRead,
{
    async fn next(&mut self) -> io::Result<Item> {
        loop {
            let mut line = Vec::new();
            let mut len = 0;
            let ended = loop {
                let piece = self.from.fill_buf().await?;
                let (taken, ended) = match piece.iter().position(|byte| *byte == b'\n') {
                    Some(at) => (at + 1, true),
                    None => (piece.len(), piece.is_empty()),
                };
                len += taken;
                line.extend_from_slice(&piece[..taken]);
                // Two more for the ending. What is longer is counted and forgotten, but for its ending.
                if len > self.max.saturating_add(2) {
                    line.drain(..line.len().saturating_sub(2));
                }
                self.from.consume(taken);
                if ended {
                    break taken == 0;
                }
            };
            let ending = match &line[..] {
                [.., b'\r', b'\n'] => 2,
                [.., b'\n'] => 1,
                _ => 0,
            };
            line.truncate(line.len() - ending);
            match len - ending {
                0 if ended => return Ok(Item::End),
                0 if !self.empty => {}
                len if len > self.max => return Ok(Item::TooLong(len)),
                _ => return Ok(Item::Message(line)),
            }
        }
    }

    fn has_more(&self) -> bool {
        self.from.buffer().contains(&b'\n')
    }
}

/// The bytes of the standard input as they come.
#[derive(Debug)]
pub(crate) struct Pieces {
    from: BufReader<Stdin>,
    max: usize,
}

impl Pieces {
    /// In pieces of at most `max` bytes.
    pub(crate) fn of_stdin(max: usize) -> io::Result<Self> {
        Ok(Self { from: BufReader::with_capacity(64 << 10, Stdin::new()?), max })
    }
}

impl Input for Pieces {
    async fn next(&mut self) -> io::Result<Item> {
        let piece = self.from.fill_buf().await?;
        let piece = piece[..piece.len().min(self.max)].to_vec();
        self.from.consume(piece.len());
        Ok(if piece.is_empty() { Item::End } else { Item::Message(piece) })
    }

    fn has_more(&self) -> bool {
        !self.from.buffer().is_empty()
    }
}

/// All of an input as one message; no message, if there is nothing.
#[derive(Debug)]
pub(crate) struct Whole<R> {
    from: Option<R>,
    max: usize,
}

impl Whole<Stdin> {
    /// The standard input, of at most `max` bytes.
    pub(crate) fn of_stdin(max: usize) -> io::Result<Self> {
        Ok(Self { from: Some(Stdin::new()?), max })
    }
}

impl<R: tokio::io::AsyncRead + Unpin> Input for Whole<R> {
    async fn next(&mut self) -> io::Result<Item> {
        let Some(mut from) = self.from.take() else { return Ok(Item::End) };
        let (max, mut all) = (self.max as u64, Vec::new());
        (&mut from).take(max.saturating_add(1)).read_to_end(&mut all).await?;
        if all.len() > self.max {
            // What is longer is counted and forgotten.
            let rest = tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
            return Ok(Item::TooLong(all.len() + usize::try_from(rest).unwrap_or(usize::MAX - all.len())));
        }
        Ok(if all.is_empty() { Item::End } else { Item::Message(all) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn items(text: &[u8], max: usize) -> Vec<Item> {
        // A small buffer, so that lines come in pieces.
        all(Lines { from: BufReader::with_capacity(3, text), max, empty: false }).await
    }

    async fn all(mut input: impl Input) -> Vec<Item> {
        let mut items = Vec::new();
        loop {
            match input.next().await.unwrap() {
                Item::End => return items,
                item => items.push(item),
            }
        }
    }

    fn message(text: &str) -> Item {
        Item::Message(text.into())
    }

    #[tokio::test]
    async fn empty_lines_are_skipped_and_the_last_needs_no_ending() {
        let got = items(b"\n\r\none\r\n\n two \nthree", 100).await;
        assert_eq!(got, [message("one"), message(" two "), message("three")]);
        assert_eq!(items(b"", 100).await, []);
    }

    #[tokio::test]
    async fn an_empty_line_can_be_a_message_and_no_input_is_none() {
        let lines = |text| all(Lines { from: BufReader::with_capacity(3, text), max: 5, empty: true });
        assert_eq!(
            lines(&b"\n\r\na\n\nb"[..]).await,
            [message(""), message(""), message("a"), message(""), message("b")]
        );
        assert_eq!(lines(&b"a\n"[..]).await, [message("a")]);
        assert_eq!(lines(&b""[..]).await, []);
    }

    #[tokio::test]
    async fn a_whole_input_is_one_message() {
        let whole = |text, max| all(Whole { from: Some(text), max });
        assert_eq!(whole(&b"a\r\n\n\0b\n"[..], 7).await, [message("a\r\n\n\0b\n")]);
        assert_eq!(whole(&b"12345678"[..], 7).await, [Item::TooLong(8)]);
        assert_eq!(whole(&[0; 10_000][..], 7).await, [Item::TooLong(10_000)]);
        assert_eq!(whole(&b""[..], 7).await, []);
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_dropped_and_the_next_is_fine() {
        let got = items(b"12345\n12345\r\n123456\n123456789012\n123456789012\r\nok", 5).await;
        assert_eq!(got[..2], [message("12345"), message("12345")]);
        assert_eq!(got[2..], [Item::TooLong(6), Item::TooLong(12), Item::TooLong(12), message("ok")]);
        assert_eq!(items(b"123456789012", 5).await, [Item::TooLong(12)]);
    }
}
