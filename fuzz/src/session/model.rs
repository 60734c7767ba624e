//! What a session should do, and whether it did.

mod receiving;
mod sending;

use swapwire_core::{Progress, Session, SessionSender};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::super::decode::Rule;
use super::super::wire::Wire;
use super::Parts;
use super::driver::Driver;

/// The bounds that a session was given.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) max_message: usize,
    pub(super) out_queue: usize,
}

pub(super) struct Model {
    pub(super) wire: Wire,
    pub(super) rule: Option<Rule>,
    /// Whether messages lose the ends of lines, where there is no rule.
    lines: bool,
    /// Whether the last one had such an end.
    ends: bool,
    pub(super) bounds: Bounds,
    /// How much of the input came out as messages.
    at: usize,
    received: u64,
    /// A receive was tried.
    heard: bool,
    /// Receiving is over.
    deaf: bool,
    /// Nothing is taken for sending any more.
    pub(super) closed: bool,
    pub(super) draining: bool,
    /// The stream was taken out.
    pub(super) raw: bool,
    /// One frame.
    frame: Vec<u8>,
}

/// What is sent: every byte, line feeds among them.
static MESSAGES: [u8; 1024] = {
    let mut bytes = [0; 1024];
    let mut i = 0;
    while i < bytes.len() {
        bytes[i] = (i * 7 + 11) as u8;
        i += 1;
    }
    bytes
};

impl Model {
    pub(super) fn new(wire: Wire, rule: Option<Rule>, lines: bool, bounds: Bounds) -> Self {
        // All the room that is needed, so that it does not count as the session's.
        wire.state().reserve(64, 64 * (MESSAGES.len() + 16));
        let frame = Vec::with_capacity(MESSAGES.len() + 16);
        Self {
            wire,
            rule,
            lines,
            ends: false,
            bounds,
            at: 0,
            received: 0,
            heard: false,
            deaf: false,
            closed: false,
            draining: false,
            raw: false,
            frame,
        }
    }

    /// One operation, as far as it means something for what is left of the session.
    pub(super) fn step(&mut self, driver: &Driver, parts: Parts, sender: &SessionSender, op: u8, detail: u8) -> Parts {
        let polls = 1 + usize::from(op >> 4);
        let message = self.message(detail);
        match (op & 15, parts) {
            (0..=3, Parts::Whole(mut session)) => {
                let received = driver.attempt(session.recv(), polls);
                self.received(received);
                Parts::Whole(session)
            }
            (0..=3, Parts::Halves(Some(mut reader), writer)) => {
                let received = driver.attempt(reader.recv(), polls);
                self.received(received);
                Parts::Halves(Some(reader), writer)
            }
            (4..=6, Parts::Whole(mut session)) => {
                let sent = driver.attempt(session.send(message), polls);
                self.sent(sent, message, &session.progress());
                Parts::Whole(session)
            }
            (4..=6, Parts::Halves(reader, Some(mut writer))) => {
                let sent = driver.attempt(writer.send(message), polls);
                self.sent(sent, message, &sender.progress());
                Parts::Halves(reader, Some(writer))
            }
            (7, Parts::Whole(mut session)) => {
                let before = session.progress();
                let tried = session.try_send(message);
                self.tried(tried, message, &before);
                Parts::Whole(session)
            }
            (7, parts) => {
                let before = sender.progress();
                self.tried(sender.try_send(message), message, &before);
                parts
            }
            (8, Parts::Whole(mut session)) => {
                // A permit that is not used leaves no trace.
                if let Some(Err(error)) = driver.attempt(session.reserve(), polls).map(|permit| permit.map(drop)) {
                    self.told(&error);
                }
                Parts::Whole(session)
            }
            (8, parts) => {
                let sent = driver.attempt_unwatched(sender.send(message), polls);
                self.sent(sent, message, &sender.progress());
                parts
            }
            (9, Parts::Whole(mut session)) => {
                let flushed = driver.attempt(session.flush(), polls);
                self.flushed(flushed);
                Parts::Whole(session)
            }
            (9, Parts::Halves(reader, Some(mut writer))) => {
                let flushed = driver.attempt(writer.flush(), polls);
                self.flushed(flushed);
                Parts::Halves(reader, Some(writer))
            }
            (10, Parts::Whole(mut session)) => {
                let shut = driver.attempt(session.shutdown(), polls);
                self.shut(shut);
                Parts::Whole(session)
            }
            (10, Parts::Halves(reader, Some(mut writer))) => {
                let shut = driver.attempt(writer.shutdown(), polls);
                self.shut(shut);
                Parts::Halves(reader, Some(writer))
            }
            (11, Parts::Whole(session)) => {
                let (reader, writer) = session.split();
                Parts::Halves(Some(reader), Some(writer))
            }
            (12, Parts::Halves(reader, _)) if detail & 1 == 0 => self.halves(Parts::Halves(reader, None)),
            (12, Parts::Halves(_, writer)) => self.halves(Parts::Halves(None, writer)),
            (13, Parts::Whole(session)) if detail & 3 == 3 => self.take_raw(driver, session, polls),
            (14, _) if detail & 7 == 7 => {
                self.closed = true;
                Parts::Gone
            }
            (_, parts) => parts,
        }
    }

    fn halves(&mut self, parts: Parts) -> Parts {
        let Parts::Halves(None, None) = parts else { return parts };
        self.closed = true;
        Parts::Gone
    }

    /// The raw stream begins with what was received and not given out.
    fn take_raw(&mut self, driver: &Driver, session: Session, polls: usize) -> Parts {
        let taken = driver.attempt(session.into_byte_stream(), polls);
        self.closed = true;
        let Some(Ok(mut raw)) = taken else { return Parts::Gone };
        self.raw = true;
        let mut at = if self.deaf { self.wire.state().read } else { self.at };
        let mut bytes = [0; 64];
        for _ in 0..polls {
            if let Some(Ok(len)) = driver.attempt(raw.read(&mut bytes), polls) {
                assert_eq!(bytes[..len], self.wire.state().input[at..at + len]);
                at += len;
            }
        }
        let may_write = {
            let mut state = self.wire.state();
            state.expected.extend_from_slice(b"raw");
            !state.write_failed && !state.shut
        };
        if may_write {
            let _ = driver.attempt(raw.write(b"raw"), polls);
        }
        Parts::Gone
    }

    fn message(&self, detail: u8) -> &'static [u8] {
        let len = match (&self.rule, detail >> 6) {
            (Some(Rule::Fixed(len)), 1..) => *len,
            (_, 3) => self.bounds.max_message + usize::from(detail & 1),
            (_, 2) => usize::from(detail & 63) * 16,
            _ => usize::from(detail & 63),
        };
        &MESSAGES[..len.min(MESSAGES.len())]
    }

    /// What holds at any time.
    pub(super) fn check(&self, progress: Progress) {
        let state = self.wire.state();
        if !self.raw {
            assert_eq!(progress.sent, (state.written - state.inbox.lost) as u64);
        }
        assert_eq!(progress.messages, self.received);
        let most = self.bounds.out_queue + self.bounds.largest_frame(self.rule.as_ref());
        assert!(progress.unsent <= most, "{} bytes are queued, of at most {most}", progress.unsent);
    }

    /// Whether the heap was used as the documentation of `Session` says.
    pub(super) fn check_heap(&self, peak: usize) {
        let Bounds { max_message, out_queue } = self.bounds;
        let rule = self.rule.as_ref();
        // On a wire with boundaries, what the peer sent last is received and forgotten when the session is closed.
        let partial =
            if self.heard || rule.is_none() { max_message + rule.map_or(0, Rule::overhead) + 8 * 1024 } else { 0 };
        let queue = out_queue + self.bounds.largest_frame(rule);
        let most = 4 * partial + 3 * queue + REST;
        assert!(peak <= most, "{peak} bytes of the heap, of at most {most}: {:?}, {:?}", self.bounds, self.rule);
    }
}

impl Bounds {
    /// The largest frame that is ever queued, in bytes of the queue.
    fn largest_frame(&self, rule: Option<&Rule>) -> usize {
        self.max_message.min(MESSAGES.len()) + rule.map_or(64, Rule::overhead)
    }
}

/// The session itself, its boxes and its wakers.
const REST: usize = 1024;
