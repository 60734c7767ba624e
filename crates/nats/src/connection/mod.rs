//! Connections to brokers, and what a socket or a client has in common with the task that keeps them.

mod conn;
mod inbox;
mod keeper;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::time::Instant;

pub(crate) use conn::{Conn, READ};
pub(crate) use inbox::{Inbox, Kind};
pub(crate) use keeper::{Keeper, open};

/// Bytes that are to be said to a broker, before who sends waits; one message may be longer.
pub(crate) const OUT: usize = 256 << 10;
/// The subscription that is served, or on which replies arrive.
const SUBJECT: u64 = 1;
/// The subscription of a socket's messages to itself.
const OWN: u64 = 2;

/// What a connection is for.
#[derive(Debug)]
pub(crate) enum Role {
    /// A subscription that is kept, on one broker or another.
    Server { subject: String, queue: Option<String> },
    /// Requests on one connection.
    Client,
}

/// What the task and the socket or client share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) role: Role,
    /// A subject that nobody else knows: of a socket's messages to itself, and of a client's replies, with a token behind it.
    pub(crate) inbox: String,
    /// The longest message that is received, in bytes.
    pub(crate) max_message: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) received: Inbox,
    /// Messages that are to be published, whole; and how many.
    pub(crate) out: Vec<u8>,
    pub(crate) out_count: u64,
    /// Since when they wait.
    pub(crate) out_since: Option<Instant>,
    /// The longest message that the broker takes, in bytes.
    pub(crate) max_payload: usize,
    pub(crate) up: Up,
    /// Arrivals are refused.
    pub(crate) refuses: bool,
    /// The last one has arrived.
    pub(crate) has_last: bool,
    pub(crate) flush: Flush,
    /// All that was to be said was.
    pub(crate) has_said_all: bool,
    /// The socket or client is gone.
    pub(crate) is_closed: bool,
    pub(crate) told: Told,
    pub(crate) wakers: Wakers,
}

/// Whether there is a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Up {
    Yes,
    /// Another is looked for.
    No,
    /// There will be none, for this reason.
    Never(String),
}

/// Whether the broker has got what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flush {
    /// Nobody asks.
    Unasked,
    Asked,
    /// The broker is being asked.
    Underway,
    Done,
}

/// What is told when the place is looked after.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) news: Option<String>,
    pub(crate) reconnects: u64,
    pub(crate) lost: u64,
    /// The broker lets nothing be received.
    pub(crate) is_denied: bool,
    /// The broker is about to shut down.
    pub(crate) is_leaving: bool,
}

impl Told {
    /// Tells one thing more, unless much waits to be told.
    pub(crate) fn tell(&mut self, text: impl AsRef<str>) {
        const MOST: usize = 1024;
        match &mut self.news {
            Some(news) if news.len() < MOST && !news.contains(text.as_ref()) => {
                news.push_str("; ");
                news.push_str(text.as_ref());
            }
            Some(_) => {}
            none => *none = Some(text.as_ref().to_owned()),
        }
    }
}

/// Who waits for what.
#[derive(Debug, Default)]
pub(crate) struct Wakers {
    /// The task, for something to do.
    pub(crate) task: Option<Waker>,
    pub(crate) receiver: Option<Waker>,
    /// For room.
    pub(crate) sender: Option<Waker>,
    /// For the broker to have got everything.
    pub(crate) flusher: Option<Waker>,
}

/// Has the task of `cx` woken.
pub(crate) fn register(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(cx.waker()),
        none => *none = Some(cx.waker().clone()),
    }
}

pub(crate) fn wake(slot: &mut Option<Waker>) {
    if let Some(waker) = slot.take() {
        waker.wake();
    }
}

impl Shared {
    pub(crate) fn new(role: Role, pending: usize, max_message: usize, max_payload: usize) -> std::io::Result<Self> {
        let state = State {
            received: Inbox::new(pending),
            out: Vec::new(),
            out_count: 0,
            out_since: None,
            max_payload,
            up: Up::No,
            refuses: false,
            has_last: false,
            flush: Flush::Unasked,
            has_said_all: false,
            is_closed: false,
            told: Told::default(),
            wakers: Wakers::default(),
        };
        Ok(Self { role, inbox: inbox_subject()?, max_message, state: Mutex::new(state) })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `_INBOX.` and 96 random bits.
fn inbox_subject() -> std::io::Result<String> {
    let mut random = [0; 12];
    let filled = SystemRandom::new().fill(&mut random);
    filled.map_err(|_| std::io::Error::other("the system gives no random numbers"))?;
    Ok(random.iter().fold("_INBOX.".to_owned(), |text, byte| text + &format!("{byte:02x}")))
}

impl State {
    /// Whether a message that takes `len` bytes has to wait for room.
    pub(crate) fn is_full(&self, len: usize) -> bool {
        !self.out.is_empty() && self.out.len() + len > OUT
    }

    /// Behind messages that were added: has them said.
    pub(crate) fn added(&mut self, count: u64) {
        if count > 0 {
            self.out_count += count;
            self.flush = Flush::Unasked;
            self.has_said_all = false;
            if self.out_since.is_none() {
                self.out_since = Some(Instant::now());
            }
            wake(&mut self.wakers.task);
        }
    }

    /// Drops what was to be said, and counts it as lost.
    pub(crate) fn lose_out(&mut self) {
        self.told.lost += self.out_count;
        self.out.clear();
        (self.out_count, self.out_since) = (0, None);
        wake(&mut self.wakers.sender);
    }

    /// Ready when the broker has got everything.
    pub(crate) fn poll_flush(&mut self, cx: &Context<'_>) -> Poll<std::io::Result<()>> {
        match (&self.up, self.flush) {
            (_, Flush::Done) => return Poll::Ready(Ok(())),
            (Up::Yes, Flush::Unasked) => {
                self.flush = Flush::Asked;
                wake(&mut self.wakers.task);
            }
            (Up::No, _) if self.refuses => {
                return Poll::Ready(Err(std::io::Error::new(
                    std::io::ErrorKind::NotConnected,
                    "the connection to the broker broke",
                )));
            }
            (Up::Never(cause), _) => {
                return Poll::Ready(Err(std::io::Error::new(std::io::ErrorKind::NotConnected, cause.clone())));
            }
            _ => {}
        }
        register(&mut self.wakers.flusher, cx);
        Poll::Pending
    }
}
