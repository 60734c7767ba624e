//! One connection to a broker.

use std::future::Future as _;
use std::io;
use std::mem::take;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use swapwire_core::{Endpoint, Printable};
use tokio::io::{AsyncReadExt as _, AsyncWrite as _};

use super::{Flush, Kind, OUT, OWN, Role, SUBJECT, Shared, State, Up, wake};
use crate::dial::{DialError, Dialed, Dialer};
use crate::info::ServerInfo;
use crate::proto::{Event, Message, Parser, unwritten};
use crate::{SCHEME, SCHEME_PREFIX};

/// Read at once, in bytes.
pub(crate) const READ: usize = 64 << 10;
/// Reads before other tasks run.
const READS: usize = 8;
/// Answers to a broker's pings that it does not read, in bytes.
const UNREAD_ANSWERS: usize = 1 << 20;
/// Of a broker's words so much is told, in bytes.
const TOLD: usize = 256;

/// A connection that a broker has accepted.
pub(crate) struct Conn {
    io: Box<dyn swapwire_core::ByteStream>,
    parser: Parser,
    unread: BytesMut,
    /// What is being said, of which so much was.
    saying: Vec<u8>,
    said: usize,
    is_flushed: bool,
    pings: u64,
    pongs: u64,
    /// The ping behind everything that was sent, which tells that it has arrived.
    flush: Option<u64>,
    /// The ping behind the message to ourselves.
    fence: Option<u64>,
    has_met_fence: bool,
    /// The broker is about to shut down.
    pub(crate) is_lame: bool,
    /// What the broker said last of what is wrong.
    words: Option<String>,
    pub(crate) server: Endpoint,
    pub(crate) number: usize,
}

impl Conn {
    /// Subscribes on a connection.
    pub(crate) fn new(dialed: Dialed, number: usize, shared: &Shared) -> Self {
        let Dialed { io, unread, info, server } = dialed;
        let inbox = &shared.inbox;
        let saying = match &shared.role {
            Role::Server { subject, queue } => {
                let queue = queue.as_ref().map_or_else(String::new, |queue| format!("{queue} "));
                format!("SUB {subject} {queue}{SUBJECT}\r\nSUB {inbox} {OWN}\r\nPING\r\n")
            }
            Role::Client => format!("SUB {inbox}.* {SUBJECT}\r\nPING\r\n"),
        };
        shared.lock().max_payload = info.max_payload;
        Self {
            io,
            parser: Parser::new(shared.max_message),
            unread,
            saying: saying.into_bytes(),
            said: 0,
            is_flushed: true,
            pings: 1,
            pongs: 0,
            flush: None,
            fence: None,
            has_met_fence: false,
            is_lame: info.ldm,
            words: None,
            server,
            number,
        }
    }

    /// Ready when the broker has taken the subscriptions, or when it refuses the one that is served.
    pub(crate) fn poll_subscribed(
        &mut self,
        cx: &mut Context<'_>,
        shared: &Shared,
        dialer: &Dialer,
    ) -> Poll<Result<(), DialError>> {
        if let Poll::Ready(cause) = self.poll(cx, shared, dialer, false) {
            return Poll::Ready(Err(DialError::new(io::ErrorKind::ConnectionAborted, &self.server, cause)));
        }
        if self.pongs == 0 {
            return Poll::Pending;
        }
        Poll::Ready(match take(&mut shared.lock().told.is_denied) {
            true => {
                let words = self.words.take().unwrap_or_default();
                let text = format!("the broker says: {words}; allow this user to subscribe to it");
                Err(DialError::new(io::ErrorKind::PermissionDenied, &self.server, text))
            }
            false => Ok(()),
        })
    }

    /// Reads what has come and says what is to be said, also, with `takes_out`, what others have left; ready, with the cause, when the
    /// connection is over.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        shared: &Shared,
        dialer: &Dialer,
        takes_out: bool,
    ) -> Poll<String> {
        if let Some(cause) = self.read(cx, shared, dialer) {
            return Poll::Ready(cause);
        }
        match self.write(cx, shared, takes_out) {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(self.cause(&error.to_string())),
        }
    }

    /// Reads and takes in; the cause, if the connection is over.
    fn read(&mut self, cx: &mut Context<'_>, shared: &Shared, dialer: &Dialer) -> Option<String> {
        for _ in 0..READS {
            if !self.unread.is_empty()
                && let Err(cause) = self.take_in(shared, dialer)
            {
                return Some(cause);
            }
            let room = self.parser.needed().saturating_sub(self.unread.len()).max(READ);
            self.unread.reserve(room);
            match pin!(self.io.read_buf(&mut self.unread)).poll(cx) {
                Poll::Pending => return None,
                Poll::Ready(Ok(0)) => return Some(self.cause("the broker closed the connection")),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Some(self.cause(&error.to_string())),
            }
        }
        cx.waker().wake_by_ref();
        self.take_in(shared, dialer).err()
    }

    fn cause(&self, what: &str) -> String {
        match &self.words {
            Some(words) => format!("the broker says: {words}"),
            None => what.to_owned(),
        }
    }

    fn take_in(&mut self, shared: &Shared, dialer: &Dialer) -> Result<(), String> {
        let (mut used, mut had) = (0, false);
        let mut state = shared.lock();
        loop {
            let next = self.parser.next(&self.unread[used..]).map_err(|error| error.to_string())?;
            let Some((len, event)) = next else { break };
            used += len;
            match event {
                Some(Event::Message(Message { sid: OWN, .. })) if matches!(shared.role, Role::Server { .. }) => {
                    self.has_met_fence |= self.fence.is_some();
                }
                Some(Event::Message(message)) if message.sid == SUBJECT => {
                    had = true;
                    state.take_in(&message, &shared.role);
                }
                Some(Event::TooLarge { sid: SUBJECT, reply }) => {
                    had = true;
                    state.received.push(SCHEME_PREFIX, reply, Kind::Truncated, b"");
                }
                Some(Event::Message(Message { sid, .. }) | Event::TooLarge { sid, .. }) => {
                    return Err(format!("the broker sent a message of a subscription that there is not: {sid}"));
                }
                Some(Event::Ping) => {
                    self.saying.extend_from_slice(b"PONG\r\n");
                    if self.saying.len() > UNREAD_ANSWERS + OUT + state.max_payload {
                        return Err("the broker does not read".to_owned());
                    }
                }
                Some(Event::Pong) => {
                    self.pongs += 1;
                    if self.flush.is_some_and(|ping| self.pongs >= ping) {
                        self.flush = None;
                        if state.flush == Flush::Underway {
                            state.flush = Flush::Done;
                            wake(&mut state.wakers.flusher);
                        }
                    }
                }
                Some(Event::Info(json)) => {
                    let info: ServerInfo =
                        serde_json::from_slice(json).map_err(|error| format!("the broker's INFO is wrong: {error}"))?;
                    if info.max_payload > 0 {
                        state.max_payload = info.max_payload;
                    }
                    self.is_lame |= info.ldm;
                    dialer.learn(&info);
                }
                Some(Event::Error(words)) => {
                    let words = Printable::bytes(words).at_most(TOLD).to_string();
                    self.hear(words, &mut state, shared);
                }
                Some(Event::Ok) | None => {}
            }
        }
        self.unread.advance(used);
        if had {
            wake(&mut state.wakers.receiver);
        }
        Ok(())
    }

    /// An error that the broker tells. Most end the connection, and are told as its cause.
    fn hear(&mut self, words: String, state: &mut State, shared: &Shared) {
        let lower = words.to_ascii_lowercase();
        let own = format!("\"{}\"", shared.inbox.to_ascii_lowercase());
        let is_publish = lower.starts_with("permissions violation for publish") || lower.starts_with("invalid subject");
        if is_publish && matches!(shared.role, Role::Client) {
            state.received.push(b"", b"", Kind::Denied, words.as_bytes());
            wake(&mut state.wakers.receiver);
        } else if is_publish {
            if !lower.contains(&own) {
                state.told.lost += 1;
                state.told.tell(format!("the broker says: {words}"));
            }
        } else if lower.starts_with("permissions violation for subscription") {
            if !lower.contains(&own) {
                state.told.is_denied = true;
                state.told.tell(format!("the broker says: {words}"));
                self.words = Some(words);
            }
        } else {
            self.words = Some(words);
        }
    }

    fn write(&mut self, cx: &mut Context<'_>, shared: &Shared, takes_out: bool) -> io::Result<()> {
        loop {
            if self.said == self.saying.len() {
                self.saying.clear();
                self.said = 0;
                if takes_out {
                    self.take_out(&mut shared.lock());
                }
                if self.saying.is_empty() {
                    break;
                }
            }
            match Pin::new(&mut self.io).poll_write(cx, &self.saying[self.said..])? {
                Poll::Pending => return Ok(()),
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(len) => self.said += len,
            }
            self.is_flushed = false;
        }
        if !self.is_flushed {
            self.is_flushed = Pin::new(&mut self.io).poll_flush(cx)?.is_ready();
        }
        Ok(())
    }

    /// Takes what others have left to be said, and asks the broker, if they do, whether it has got it.
    fn take_out(&mut self, state: &mut State) {
        if !state.out.is_empty() {
            std::mem::swap(&mut self.saying, &mut state.out);
            (state.out_count, state.out_since) = (0, None);
            wake(&mut state.wakers.sender);
        }
        if state.flush == Flush::Asked {
            state.flush = Flush::Underway;
            self.ping();
            self.flush = Some(self.pings);
        }
    }

    pub(crate) fn ping(&mut self) {
        self.saying.extend_from_slice(b"PING\r\n");
        self.pings += 1;
    }

    /// How many pings were not answered.
    pub(crate) fn unanswered(&self) -> u64 {
        self.pings - self.pongs
    }

    /// Whether all that was to be said was.
    pub(crate) fn has_said_all(&self) -> bool {
        self.saying.is_empty() && self.is_flushed
    }

    /// Ends the subscription, and sends ourselves a message behind it: the broker keeps the order, so what it sent before it took the
    /// end comes before the message. Where it does not let us, the answer to the ping behind it is the fence.
    pub(crate) fn raise_fence(&mut self, shared: &Shared) {
        if self.fence.is_none() {
            let text = format!("UNSUB {SUBJECT}\r\nPUB {} 0\r\n\r\n", shared.inbox);
            self.saying.extend_from_slice(text.as_bytes());
            self.ping();
            self.fence = Some(self.pings);
        }
    }

    pub(crate) fn is_fenced(&self) -> bool {
        self.has_met_fence || self.is_done()
    }

    /// Whether the fence was met, and the broker has got what was said before it.
    pub(crate) fn is_done(&self) -> bool {
        self.fence.is_some_and(|ping| self.pongs >= ping)
    }

    /// Puts what the broker cannot have got whole before what is to be said.
    pub(crate) fn give_back(&self, state: &mut State) {
        let (mut messages, count) = unwritten(&self.saying, self.said);
        if count > 0 {
            messages.append(&mut state.out);
            state.out = messages;
            state.out_count += count;
        }
    }

    /// Says that nothing more will be said.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = ready!(Pin::new(&mut self.io).poll_shutdown(cx));
        Poll::Ready(())
    }
}

impl State {
    fn take_in(&mut self, message: &Message<'_>, role: &Role) {
        match role {
            Role::Client if message.says_no_responders() => {
                self.received.push(b"", b"", Kind::NoResponders, b"");
            }
            Role::Client => self.received.push(b"", b"", Kind::Whole, message.payload),
            Role::Server { .. } => {
                let most = swapwire_core::InlineName::MAX - SCHEME_PREFIX.len();
                let reply = if message.reply.len() > most { b"" } else { message.reply };
                if reply.len() < message.reply.len() {
                    let len = message.reply.len();
                    self.told.tell(format!(
                        "a reply subject of {len} bytes is longer than an address of {SCHEME} holds ({most}): its request gets no answer"
                    ));
                }
                self.received.push(SCHEME_PREFIX, reply, Kind::Whole, message.payload);
            }
        }
    }

    /// There is no broker at present, for this reason.
    pub(crate) fn is_down(&mut self, up: Up) {
        self.up = up;
        self.flush = Flush::Unasked;
        for slot in [&mut self.wakers.receiver, &mut self.wakers.sender, &mut self.wakers.flusher] {
            wake(slot);
        }
    }
}
