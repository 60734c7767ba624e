//! The stream.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use swapwire_core::ByteStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::engine::Session;

/// What is read from the wire below at once, in bytes: some records.
const READ: usize = 64 << 10;
/// The most that a connection keeps of what is not a whole record, or not a whole message of a handshake.
const MOST_PARTIAL: usize = 96 << 10;
/// What is taken for one write, in bytes: four of the longest records.
pub(crate) const WRITE: usize = 64 << 10;
/// What encrypting adds to that, at most: headers and tags of its records, and a record with new keys.
const OVERHEAD: usize = 1 << 10;
/// The most that waits to be sent when reading makes more: one write, and an alert.
const MOST_UNSENT: usize = WRITE + 2 * OVERHEAD;
/// After so many reads that gave no plaintext, other tasks run.
const BEFORE_YIELD: u32 = 16;

thread_local! {
    /// Where ciphertext is read to and decrypted.
    static INPUT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    /// Where plaintext is encrypted to.
    static OUTPUT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Runs `with` on a buffer of the thread, which is as long as ever and has what it had.
fn with_buffer<T>(
    buffer: &'static std::thread::LocalKey<Cell<Vec<u8>>>,
    len: usize,
    with: impl FnOnce(&mut [u8]) -> T,
) -> T {
    let mut bytes = buffer.take();
    if bytes.len() < len {
        bytes = vec![0; len];
    }
    let result = with(&mut bytes[..len]);
    buffer.set(bytes);
    result
}

/// TLS over a byte stream. While nothing is under way it keeps no buffer.
pub(crate) struct TlsStream {
    io: Box<dyn ByteStream>,
    session: Session,
    /// The ciphertext of a record that is not whole.
    partial: Vec<u8>,
    /// Plaintext that did not fit, at most that of one read, and how much of it was given.
    plain: Vec<u8>,
    given: usize,
    /// Ciphertext that the wire below has not taken, at most [`MOST_UNSENT`] bytes, and how much of it was since.
    unsent: Vec<u8>,
    sent: usize,
    /// Of the one who waits to write: what reading has to write must not take its place at the wire below.
    writer: Option<Waker>,
    /// Why reading is over.
    failure: Option<io::Error>,
    read: Reading,
    says_nothing_more: bool,
    /// Whether an end of the wire below is as good as a good-bye.
    lax: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Open,
    Ended,
    Failed,
}

impl TlsStream {
    pub(crate) const fn new(io: Box<dyn ByteStream>, session: Session, lax: bool) -> Self {
        Self {
            io,
            session,
            partial: Vec::new(),
            plain: Vec::new(),
            given: 0,
            unsent: Vec::new(),
            sent: 0,
            writer: None,
            failure: None,
            read: Reading::Open,
            says_nothing_more: false,
            lax,
        }
    }

    pub(crate) const fn session(&self) -> &Session {
        &self.session
    }

    pub(crate) fn into_io(self) -> Box<dyn ByteStream> {
        self.io
    }

    /// Makes what a client says first.
    pub(crate) fn begin(&mut self) -> io::Result<()> {
        self.session.receive(&mut [], &mut |_| {}, &mut self.unsent).1.map(drop)
    }

    /// Sends what has to be sent, and then reads once. Ready with what was read, of which `seen` is shown the bytes; 0 is the
    /// end of the wire below.
    pub(crate) fn poll_handshake(
        &mut self,
        cx: &mut Context<'_>,
        seen: &mut dyn FnMut(&[u8]),
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_send(cx))?;
        self.poll_receive(cx, None, seen)
    }

    /// Sends what has to be sent.
    pub(crate) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_unsent(cx))?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    /// Reads from the wire below, once, and decrypts: into the reader's buffer, and what does not fit there into our own.
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        into: Option<&mut ReadBuf<'_>>,
        seen: &mut dyn FnMut(&[u8]),
    ) -> Poll<io::Result<usize>> {
        with_buffer(&INPUT, MOST_PARTIAL + READ, |buffer| {
            let before = self.partial.len();
            let mut read = ReadBuf::new(&mut buffer[before..before + READ]);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut read))?;
            let len = read.filled().len();
            if len > 0 {
                seen(read.filled());
                buffer[..before].copy_from_slice(&self.partial);
                self.decrypt(&mut buffer[..before + len], into)?;
            }
            Poll::Ready(Ok(len))
        })
    }

    fn decrypt(&mut self, bytes: &mut [u8], mut into: Option<&mut ReadBuf<'_>>) -> io::Result<()> {
        let plain = &mut self.plain;
        let mut take = |record: &[u8]| {
            let fits = match &mut into {
                Some(into) if plain.is_empty() => {
                    let fits = record.len().min(into.remaining());
                    into.put_slice(&record[..fits]);
                    fits
                }
                _ => 0,
            };
            plain.extend_from_slice(&record[fits..]);
        };
        let (used, received) = self.session.receive(bytes, &mut take, &mut self.unsent);
        let rest = &bytes[used..];
        if rest.is_empty() {
            self.partial = Vec::new();
        } else {
            if self.partial.capacity() < rest.len() {
                // Exactly: growing would double it, and it is what a peer without a name may hold.
                self.partial = Vec::with_capacity(rest.len());
            }
            self.partial.clear();
            self.partial.extend_from_slice(rest);
        }
        if received? {
            self.read = Reading::Ended;
            self.partial = Vec::new();
        }
        if self.partial.len() > MOST_PARTIAL {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a message of its handshake is longer than 64 KiB"));
        }
        if self.unsent.len() - self.sent > MOST_UNSENT {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it asks for answers and does not read them"));
        }
        Ok(())
    }

    /// Writes what was not sent, as the one who writes.
    fn poll_unsent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.unsent.len() {
            let len = ready!(Pin::new(&mut self.io).poll_write(cx, &self.unsent[self.sent..]))?;
            if len == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += len;
        }
        if self.sent > 0 {
            (self.unsent, self.sent) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }

    /// Tries to write what reading has to. If somebody waits to write, it is woken for it; else the reader. An error is the
    /// writer's to find.
    #[cold]
    fn answer(&mut self, cx: &mut Context<'_>) {
        let writer = self.writer.take();
        let waker = writer.as_ref().unwrap_or(cx.waker());
        let mut task = Context::from_waker(waker);
        if let Poll::Ready(Ok(())) = self.poll_unsent(&mut task) {
            let _ = Pin::new(&mut self.io).poll_flush(&mut task);
        }
        self.writer = writer;
    }

    fn give(&mut self, into: &mut ReadBuf<'_>) {
        let rest = &self.plain[self.given..];
        let len = rest.len().min(into.remaining());
        into.put_slice(&rest[..len]);
        self.given += len;
        if self.given == self.plain.len() {
            (self.plain, self.given) = (Vec::new(), 0);
        }
    }

    fn fail(&mut self, error: io::Error) {
        self.read = Reading::Failed;
        self.failure = Some(error);
    }

    fn end_below(&mut self) {
        match self.lax && self.partial.is_empty() {
            true => self.read = Reading::Ended,
            false => self.fail(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the wire ended without close_notify: what came may be cut short; eof=lax takes it for the end",
            )),
        }
    }

    /// What a writer's call has come to; keeps its waker while it waits.
    fn waits<T>(&mut self, polled: Poll<T>, cx: &Context<'_>) -> Poll<T> {
        match (&polled, &mut self.writer) {
            (Poll::Ready(_), writer) => *writer = None,
            (Poll::Pending, Some(writer)) => writer.clone_from(cx.waker()),
            (Poll::Pending, writer @ None) => *writer = Some(cx.waker().clone()),
        }
        polled
    }

    fn poll_encrypted(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if self.says_nothing_more {
            let text = "nothing can be written behind the good-bye (close_notify)";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::BrokenPipe, text)));
        }
        ready!(self.poll_unsent(cx))?;
        let data = &data[..data.len().min(WRITE)];
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        with_buffer(&OUTPUT, WRITE + OVERHEAD, |buffer| {
            let len = self.session.encrypt(&mut self.partial, data, buffer)?;
            let written = match Pin::new(&mut self.io).poll_write(cx, &buffer[..len]) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => written,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => 0,
            };
            self.unsent.extend_from_slice(&buffer[written..len]);
            Poll::Ready(Ok(data.len()))
        })
    }

    fn poll_goodbye(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.says_nothing_more {
            self.says_nothing_more = true;
            let mut goodbye = [0; OVERHEAD];
            // Where the session is over, its alert has said what there is to say.
            if let Ok(len) = self.session.say_goodbye(&mut self.partial, &mut goodbye) {
                self.unsent.extend_from_slice(&goodbye[..len]);
            }
        }
        ready!(self.poll_unsent(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[deny(clippy::missing_trait_methods)]
impl AsyncRead for TlsStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if into.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        for _ in 0..BEFORE_YIELD {
            if !this.unsent.is_empty() {
                this.answer(cx);
            }
            if !this.plain.is_empty() {
                this.give(into);
                return Poll::Ready(Ok(()));
            }
            match this.read {
                Reading::Open => {}
                Reading::Ended => return Poll::Ready(Ok(())),
                Reading::Failed => {
                    let again = || io::Error::other("the connection is over");
                    return Poll::Ready(Err(this.failure.take().unwrap_or_else(again)));
                }
            }
            let before = into.filled().len();
            match ready!(this.poll_receive(cx, Some(into), &mut |_| {})) {
                Ok(0) => this.end_below(),
                Ok(_) => {}
                Err(error) => this.fail(error),
            }
            if into.filled().len() > before {
                if !this.unsent.is_empty() {
                    this.answer(cx);
                }
                return Poll::Ready(Ok(()));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = this.poll_encrypted(cx, data);
        this.waits(written, cx)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = this.poll_send(cx);
        this.waits(flushed, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let said = this.poll_goodbye(cx);
        this.waits(said, cx)
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
