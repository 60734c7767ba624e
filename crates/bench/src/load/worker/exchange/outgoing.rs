//! What waits to be written to a byte stream.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use swapwire_core::{Answer, ByteStream, FrameEncoder, FrameError, Framing, Goodbye};

/// Bytes that wait to be written at most, before another request is begun.
const MOST: usize = 256 * 1024;

/// Frames in the order in which they are to be written: at most 256 KiB, and the last of them.
#[derive(Debug)]
pub(crate) struct Outgoing {
    encoder: FrameEncoder,
    bytes: Vec<u8>,
    written: usize,
}

impl Outgoing {
    pub(crate) fn new(framing: &Framing) -> Self {
        Self { encoder: framing.encoder(usize::MAX), bytes: Vec::new(), written: 0 }
    }

    #[cfg(test)]
    pub(crate) fn waiting(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() - self.written >= MOST
    }

    /// Frames what `message` appends.
    pub(crate) fn push(&mut self, message: impl FnOnce(&mut Vec<u8>)) -> Result<(), FrameError> {
        let start = self.bytes.len();
        self.encoder.begin(&mut self.bytes);
        message(&mut self.bytes);
        self.encoder.finish(&mut self.bytes, start)
    }

    /// Answers a control frame. A peer that sends them and reads no answers is left.
    pub(crate) fn answer(&mut self, tag: u8, payload: &[u8]) -> Answer {
        if self.is_full() {
            return Answer::Breaks(FrameError::Malformed("control frames without end"));
        }
        self.encoder.answer(tag, payload, &mut self.bytes)
    }

    /// Says good-bye, where frames can.
    pub(crate) fn goodbye(&mut self) {
        self.encoder.goodbye(Goodbye::Done, &mut self.bytes);
    }

    /// Writes as much as the stream takes.
    pub(crate) fn write(&mut self, io: &mut dyn ByteStream, cx: &mut Context<'_>) -> io::Result<()> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        while self.written < self.bytes.len() {
            match Pin::new(&mut *io).poll_write(cx, &self.bytes[self.written..])? {
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(len) => self.written += len,
                Poll::Pending => return Ok(()),
            }
        }
        self.bytes.clear();
        self.written = 0;
        let _ = Pin::new(io).poll_flush(cx)?;
        Ok(())
    }
}
