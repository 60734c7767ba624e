//! Connected sockets of the kind seqpacket: messages, in order, with an end (`unix(7)`).
//!
//! An empty message and the end are both received as no bytes (`recv(2)`). With the option `SO_PASSCRED`, which both ends set,
//! each message carries a control message, and the end carries none.

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use nix::sys::socket::{setsockopt, sockopt::PassCred};
use socket2::{Domain, SockRef, Socket, Type};
use swapwire_core::{Capabilities, MessageStream, RecvBatch, RecvError, SendBatch, SendError};
use swapwire_mmsg::{Behind, Merging, Peers, Receiver, Sender};
use swapwire_socket::{Descriptor, Pauses, Way, may_pass};

/// Linux keeps so many bytes of the send buffer (`unix_dgram_sendmsg`).
const RESERVED: usize = 32;
/// A thread keeps the buffer for single messages if it is no longer than this, in bytes.
const LARGEST: usize = 1 << 20;
/// After so many sends in a row that did not have to wait, a task yields to others.
const ROW: u8 = 128;

thread_local! {
    static RECEIVER: RefCell<Receiver> = const { RefCell::new(Receiver::new(Peers::SeqUnix, usize::MAX)) };
    static SENDER: RefCell<Sender> = const { RefCell::new(Sender::new(Peers::SeqUnix, usize::MAX)) };
    /// For a single message, out of which it is copied: one that the caller keeps costs its own length.
    static INBOX: Cell<Option<RecvBatch>> = const { Cell::new(None) };
}

/// One end. It has no buffer of its own.
pub(crate) struct Seq {
    socket: Descriptor<UnixStream>,
    max_message: usize,
    pauses: Pauses,
    /// Sends since one had to wait.
    row: u8,
    shut: bool,
    ended: bool,
    /// The peer closed before it had received everything. What it had sent is received first.
    reset: bool,
    /// The error behind the messages that were received last.
    failed: Option<io::Error>,
}

impl Seq {
    pub(crate) const CAPABILITIES: Capabilities = {
        // The largest message follows the option `send_buffer`.
        let mut capabilities = Capabilities::message_stream(usize::MAX);
        capabilities.max_message = None;
        capabilities.half_close = true;
        capabilities
    };

    /// One that can tell an empty message from the end. Connecting gives it a name (`unix(7)`, "Autobind feature").
    pub(crate) fn new_socket() -> io::Result<Socket> {
        let socket = Socket::new(Domain::UNIX, Type::SEQPACKET, None)?;
        setsockopt(&socket, PassCred, &true)?;
        Ok(socket)
    }

    /// Around a socket that is connected, does not block, and has its buffers.
    pub(crate) fn new(socket: UnixStream) -> io::Result<Self> {
        // Before Linux 6.16, an accepted socket does not inherit it.
        setsockopt(&socket, PassCred, &true)?;
        let max_message = SockRef::from(&socket).send_buffer_size()?.saturating_sub(RESERVED);
        Ok(Self {
            socket: Descriptor::new(socket),
            max_message,
            pauses: Pauses::new(),
            row: 0,
            shut: false,
            ended: false,
            reset: false,
            failed: None,
        })
    }

    fn end(&mut self) -> Result<Option<usize>, RecvError> {
        if std::mem::take(&mut self.reset) { Err(RecvError::Io(ErrorKind::ConnectionReset.into())) } else { Ok(None) }
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>, batch: &mut RecvBatch) -> Poll<Result<Option<usize>, RecvError>> {
        let (before, max_message) = (batch.len(), self.max_message);
        if batch.is_full() {
            return Poll::Ready(Ok(Some(0)));
        }
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Err(RecvError::Io(error)));
        }
        while !self.ended {
            ready!(self.pauses.poll(Way::Read, cx));
            ready!(self.socket.poll_read_ready(cx))?;
            let received = self
                .socket
                .try_read(|socket| RECEIVER.with_borrow_mut(|receiver| fill(receiver, socket, batch, max_message)));
            let error = match received {
                Ok(behind) => {
                    self.ended = behind == Behind::End;
                    None
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => None,
                    // It is told once, before what waits, and the end is behind that.
                    ErrorKind::ConnectionReset => {
                        self.reset = true;
                        None
                    }
                    _ if may_pass(&error) => {
                        self.pauses.begin(Way::Read);
                        None
                    }
                    _ => Some(error),
                },
            };
            if batch.len() > before {
                self.failed = error;
                return Poll::Ready(Ok(Some(batch.len() - before)));
            }
            if let Some(error) = error {
                return Poll::Ready(Err(RecvError::Io(error)));
            }
        }
        Poll::Ready(self.end())
    }

    /// Calls `send` until it need not wait.
    fn poll_sending<T>(
        &mut self,
        cx: &mut Context<'_>,
        send: impl Fn(&UnixStream) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        self.row += 1;
        if self.row > ROW {
            self.row = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            ready!(self.pauses.poll(Way::Write, cx));
            match self.socket.try_write(&send) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.row = 0;
                    ready!(self.socket.poll_write_ready(cx))?;
                }
                Err(error) if may_pass(&error) => self.pauses.begin(Way::Write),
                done => return Poll::Ready(done),
            }
        }
    }

    /// Why a message of `len` bytes cannot be sent, if that is known before.
    fn refusal(&self, len: usize) -> Option<SendError> {
        if self.shut {
            return Some(SendError::Closed);
        }
        (len > self.max_message).then_some(SendError::TooLarge { len, max: self.max_message })
    }
}

/// Receives into free slots of `batch` what is expected. `WouldBlock` means that nothing waits any more, or need be looked
/// for.
fn fill(receiver: &mut Receiver, socket: &UnixStream, batch: &mut RecvBatch, max_message: usize) -> io::Result<Behind> {
    loop {
        let expected = batch.awaits().max(1);
        let behind = receiver.recv_messages(socket.as_fd(), batch, expected, max_message)?;
        if behind == Behind::Nothing || behind == Behind::More && batch.awaits() == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        if behind == Behind::End || batch.is_full() {
            return Ok(behind);
        }
    }
}

impl MessageStream for Seq {
    fn poll_recv(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<Result<Option<usize>, RecvError>> {
        let max = self.max_message;
        let inbox = INBOX.take().filter(|inbox| inbox.slot_size() > max);
        let mut inbox = inbox.unwrap_or_else(|| RecvBatch::new(1, max + 1));
        inbox.clear();
        let received = self.poll_receive(cx, &mut inbox);
        let received = received.map(|received| match (received?, inbox.get(0)) {
            (None, _) | (_, None) => Ok(None),
            (Some(_), Some((meta, message))) if meta.truncated => {
                Err(RecvError::TooLarge { len: message.len().max(max + 1), max })
            }
            (Some(_), Some((_, message))) => {
                into.extend_from_slice(message);
                Ok(Some(message.len()))
            }
        });
        if inbox.slot_size() <= LARGEST {
            INBOX.set(Some(inbox));
        }
        received
    }

    fn poll_recv_batch(
        &mut self,
        cx: &mut Context<'_>,
        batch: &mut RecvBatch,
    ) -> Poll<Result<Option<usize>, RecvError>> {
        self.poll_receive(cx, batch)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, message: &[u8]) -> Poll<Result<(), SendError>> {
        if let Some(refusal) = self.refusal(message.len()) {
            return Poll::Ready(Err(refusal));
        }
        let send = |socket: &UnixStream| SockRef::from(socket).send_with_flags(message, libc::MSG_NOSIGNAL);
        self.poll_sending(cx, send).map(|sent| sent.map(drop).map_err(SendError::Io))
    }

    fn poll_send_batch(
        &mut self,
        cx: &mut Context<'_>,
        batch: &SendBatch,
        from: usize,
    ) -> Poll<Result<usize, SendError>> {
        let Some(first) = batch.get(from) else { return Poll::Ready(Ok(0)) };
        if batch.len() - from == 1 {
            return self.poll_send(cx, first.message).map_ok(|()| 1);
        }
        if let Some(refusal) = self.refusal(first.message.len()) {
            return Poll::Ready(Err(refusal));
        }
        let send = |socket: &UnixStream| {
            SENDER.with_borrow_mut(|sender| sender.send(socket.as_fd(), batch, from, &mut Merging::new(false)))
        };
        self.poll_sending(cx, send).map(|sent| sent.map_err(SendError::Io))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.shut = true;
        match SockRef::from(self.socket.get_ref()).shutdown(Shutdown::Write) {
            // The peer was faster.
            Err(error) if error.kind() != ErrorKind::NotConnected => Poll::Ready(Err(SendError::Io(error))),
            _ => Poll::Ready(Ok(())),
        }
    }

    fn max_message(&self) -> usize {
        self.max_message
    }
}
