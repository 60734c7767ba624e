//! A series of requests on one stream, whose replies must all come, whole and in order.

use std::io;
use std::time::Duration;

use tokio::io::Interest;
use tokio::time::timeout;

use crate::failures::cause;
use crate::judge::{Judge, Verdict};
use crate::stream::Stream;
use crate::tagged::Tagged;

/// Requests are made in pieces of about this size, so that a long series needs no memory.
const PIECE: usize = 64 << 10;

/// The requests and replies of one stream.
#[derive(Debug)]
pub(crate) struct Exchange {
    judge: Judge,
    /// The first piece of the replies that was not right.
    wrong: Option<Verdict>,
    /// Bytes of requests that are still to be made.
    left: u64,
    /// Bytes to be written behind the requests.
    tail: Vec<u8>,
    out: Vec<u8>,
    out_written: usize,
    written: u64,
    /// Why writing came to an early end.
    broken: Option<String>,
}

/// What to do when all is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// End the writing half. The server must close when it has replied.
    End,
    /// Wait for the replies and close.
    Close,
}

impl Exchange {
    /// Requests of `client` with at least so many bytes, and other bytes behind them.
    pub(crate) fn new(tagged: Tagged, client: u32, bytes: u64, tail: Vec<u8>) -> Self {
        let judge = Judge::new(tagged, client);
        Self { judge, wrong: None, left: bytes, tail, out: Vec::new(), out_written: 0, written: 0, broken: None }
    }

    /// Bytes that the system took.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Writes and does not read, until all is written or the server has taken nothing for so long.
    ///
    /// # Errors
    /// The system's.
    pub(crate) async fn write_blindly(&mut self, stream: &Stream, stuck: Duration) -> io::Result<()> {
        loop {
            match self.try_write(stream) {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) => {
                    self.broken = Some(format!("writing: {}", cause(&error)));
                    return Err(error);
                }
            }
            if timeout(stuck, stream.ready(Interest::WRITABLE)).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Writes what is left while it reads, until the replies are whole and, if the writing half was ended, the server has
    /// closed.
    ///
    /// # Errors
    /// What is missing or wrong, and how the stream ended.
    pub(crate) async fn finish(&mut self, stream: &Stream, patience: Duration, then: Then) -> Result<(), String> {
        let mut buffer = vec![0; PIECE];
        let mut writing = self.broken.is_none();
        loop {
            if writing {
                // Who no longer reads may have replied before.
                writing = !self.try_write(stream).unwrap_or_else(|error| {
                    self.broken = Some(format!("writing: {}", cause(&error)));
                    true
                });
                if !writing && then == Then::End {
                    let _ = stream.end();
                }
            }
            if !writing && then == Then::Close && self.whole().is_ok() {
                return Ok(());
            }
            let interest = if writing { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
            if timeout(patience, stream.ready(interest)).await.is_err() {
                return self.ended(&format!("nothing came for {patience:?}"));
            }
            loop {
                match stream.try_read(&mut buffer) {
                    Ok(0) => {
                        let how = self.broken.as_deref().unwrap_or("closed");
                        return self.whole().map_err(|problem| format!("{problem}: {how}"));
                    }
                    Ok(len) => self.hear(&buffer[..len]),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return self.ended(&cause(&error)),
                }
            }
        }
    }

    /// Not as it should have.
    fn ended(&self, how: &str) -> Result<(), String> {
        match self.whole() {
            Ok(()) => Err(format!("no end behind the whole reply: {how}")),
            Err(problem) => Err(format!("{problem}: {how}")),
        }
    }

    /// Whether all that was asked was answered, and nothing else came.
    fn whole(&self) -> Result<(), String> {
        if let Some(wrong) = self.wrong {
            return Err(format!("a wrong reply: {wrong:?}"));
        }
        let (waiting, begun) = (self.judge.waiting(), self.judge.begun());
        let cut = if self.judge.is_cut() { ", and cut within one" } else { "" };
        if waiting > 0 || !cut.is_empty() {
            return Err(format!("{waiting} of {begun} replies missing{cut}"));
        }
        Ok(())
    }

    fn hear(&mut self, bytes: &[u8]) {
        let wrong = &mut self.wrong;
        self.judge.feed(bytes, &mut |verdict| {
            if !matches!(verdict, Verdict::Right(_)) {
                wrong.get_or_insert(verdict);
            }
        });
    }

    /// Writes what the system takes, and tells whether that was all.
    fn try_write(&mut self, stream: &Stream) -> io::Result<bool> {
        loop {
            if self.out_written == self.out.len() && !self.make() {
                return Ok(true);
            }
            match stream.try_write(&self.out[self.out_written..]) {
                Ok(len) => {
                    self.out_written += len;
                    self.written += len as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }

    /// Makes the next piece, if there is one.
    fn make(&mut self) -> bool {
        self.out.clear();
        self.out_written = 0;
        while self.left > 0 && self.out.len() < PIECE {
            let before = self.out.len();
            self.judge.begin(&mut self.out);
            self.left = self.left.saturating_sub((self.out.len() - before) as u64);
        }
        if self.left == 0 {
            self.out.append(&mut self.tail);
        }
        !self.out.is_empty()
    }
}

/// The first few things that went wrong, and how many there were.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    count: u64,
    first: Option<String>,
}

impl Problems {
    pub(crate) fn add(&mut self, problem: String) {
        self.count += 1;
        self.first.get_or_insert(problem);
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn first(&self) -> &str {
        self.first.as_deref().unwrap_or("none")
    }
}
