//! A client on a datagram socket.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::time::{sleep, timeout, timeout_at};

use super::{Fault, Verify};
use crate::datagram::{Datagram, LONGEST};
use crate::failures::meaning;
use crate::tagged::Tag;

/// Requests of one socket that are remembered: a second reply to one before them counts as late.
const REMEMBERED: usize = 4096;
/// After an error, such as a port where nobody listens.
const AGAIN: Duration = Duration::from_millis(20);
/// How long the last replies are waited for when the server has gone.
const LAST: Duration = Duration::from_millis(20);
/// Errors in a row after which the server is taken to be gone.
const ERRORS: u32 = 50;

/// What is known of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Answered,
    GivenUp,
}

#[derive(Clone, Copy, Debug)]
struct Flight {
    sent: Instant,
    state: State,
}

impl Verify {
    /// Asks until nothing is left to be asked, with a new socket whenever it is time for one.
    pub(super) async fn datagram_client(&self, index: u64) {
        while self.left.get() > 0 {
            let socket = match self.dial.datagrams(index) {
                Ok(socket) => socket,
                Err(error) => {
                    self.goes_on_after(&error);
                    return;
                }
            };
            self.tally.borrow_mut().connections += 1;
            let mut client = Client::new(self);
            let mut buffer = vec![0; LONGEST];
            let open = client.converse(&socket, &mut buffer).await;
            if client.gone {
                client.hear_the_last(&socket, &mut buffer).await;
            }
            client.conclude();
            if !open {
                return;
            }
        }
    }
}

/// One socket.
struct Client<'a> {
    verify: &'a Verify,
    client: u32,
    /// The first number that is remembered, and what is known from there on.
    first: u32,
    flights: VecDeque<Flight>,
    waiting: u64,
    /// The highest number with a reply.
    highest: Option<u32>,
    paused: Option<Instant>,
    /// A request that the system does not take yet.
    blocked: Vec<u8>,
    blocked_at: Instant,
    errors: u32,
    /// Whether the server went.
    gone: bool,
}

impl<'a> Client<'a> {
    fn new(verify: &'a Verify) -> Self {
        let client = verify.next_client();
        Self {
            verify,
            client,
            first: 0,
            flights: VecDeque::new(),
            waiting: 0,
            highest: None,
            paused: None,
            blocked: Vec::new(),
            blocked_at: Instant::now(),
            errors: 0,
            gone: false,
        }
    }

    fn begun(&self) -> u32 {
        self.first + self.flights.len() as u32
    }

    /// Gives whether the server was still there at the end.
    async fn converse(&mut self, socket: &Datagram, buffer: &mut [u8]) -> bool {
        loop {
            let more = loop {
                let paused = self.paused.is_some_and(|at| at > Instant::now());
                if self.blocked.is_empty() && (self.waiting >= self.verify.args.pipeline || paused) {
                    break true;
                }
                if self.blocked.is_empty() && !self.may_begin() {
                    break false;
                }
                match self.send(socket) {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break true,
                    Err(error) if self.is_gone(&error) => return false,
                    Err(_) => sleep(AGAIN).await,
                }
            };
            if !more && self.waiting == 0 {
                return true;
            }
            let interest =
                if self.blocked.is_empty() { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE };
            match timeout_at(self.patience(more).into(), socket.ready(interest)).await {
                Err(_) if self.give_up() => return false,
                Err(_) => {}
                Ok(Err(error)) if self.is_gone(&error) => return false,
                Ok(_) => {}
            }
            loop {
                match socket.try_recv(buffer) {
                    Ok(len) => self.hear(&buffer[..len]),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) if self.is_gone(&error) => return false,
                    Err(_) => {}
                }
            }
        }
    }

    /// Hears what the server had replied before it went. The system tells errors first, and each of them once.
    async fn hear_the_last(&mut self, socket: &Datagram, buffer: &mut [u8]) {
        let mut errors = 0;
        while errors < ERRORS {
            match timeout(LAST, socket.recv(buffer)).await {
                Ok(Ok(len)) => self.hear(&buffer[..len]),
                Ok(Err(_)) => errors += 1,
                Err(_) => return,
            }
        }
    }

    fn may_begin(&self) -> bool {
        let quota = self.verify.args.churn.is_none_or(|every| u64::from(self.begun()) < every);
        quota && self.begun() < u32::MAX && self.verify.take()
    }

    /// Sends the next request, or the one that the system did not take before.
    fn send(&mut self, socket: &Datagram) -> io::Result<()> {
        if self.blocked.is_empty() {
            let tag = Tag { client: self.client, seq: self.begun() };
            self.verify.tagged.request(tag, &mut self.blocked);
            self.blocked_at = Instant::now();
            self.paused = self.verify.args.pause.map(|pause| self.blocked_at + pause);
        }
        let sent = socket.try_send(&self.blocked).map(drop);
        if sent.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            return sent;
        }
        self.blocked.clear();
        if sent.is_ok() {
            self.verify.tally.borrow_mut().requests += 1;
            self.waiting += 1;
        }
        // One that was refused needs no reply, and keeps its number.
        let state = if sent.is_ok() { State::Waiting } else { State::Answered };
        self.flights.push_back(Flight { sent: Instant::now(), state });
        while self.flights.len() > REMEMBERED && self.flights.front().is_some_and(|one| one.state != State::Waiting) {
            self.flights.pop_front();
            self.first += 1;
        }
        sent
    }

    /// Until when to wait for a reply.
    fn patience(&self, more: bool) -> Instant {
        let oldest = self.flights.iter().find(|flight| flight.state == State::Waiting);
        let patience = oldest.map(|flight| flight.sent + self.verify.timeout);
        let pause = self.paused.filter(|_| more && self.waiting < self.verify.args.pipeline);
        let blocked = (!self.blocked.is_empty()).then(|| self.blocked_at + self.verify.timeout);
        patience.into_iter().chain(pause).chain(blocked).min().unwrap_or_else(Instant::now)
    }

    /// Gives up what has waited too long, and tells whether the server has gone.
    fn give_up(&mut self) -> bool {
        let now = Instant::now();
        for flight in &mut self.flights {
            if flight.state == State::Waiting && flight.sent + self.verify.timeout <= now {
                flight.state = State::GivenUp;
                self.waiting -= 1;
                self.verify.tally.borrow_mut().add(Fault::Lost, 1);
            }
        }
        if self.blocked.is_empty() || self.blocked_at + self.verify.timeout > now {
            return false;
        }
        self.blocked.clear();
        self.is_gone(&io::ErrorKind::TimedOut.into())
    }

    /// Counts an error, and tells whether it means the end. One socket hears of a server that is gone by
    /// `ECONNREFUSED` (udp(7)); a single one can be stray.
    fn is_gone(&mut self, error: &io::Error) -> bool {
        self.errors += 1;
        let refused = matches!(meaning(error), "refused" | "reset" | "closed");
        if refused && self.verify.args.until_closed {
            self.verify.drain.end();
            self.gone = true;
            return true;
        }
        let mut tally = self.verify.tally.borrow_mut();
        tally.add(Fault::Refused, 1);
        tally.failures.add(error);
        self.errors >= ERRORS
    }

    fn hear(&mut self, message: &[u8]) {
        self.errors = 0;
        let now = Instant::now();
        let verify = self.verify;
        let mut tally = verify.tally.borrow_mut();
        let mut right = Vec::new();
        let tag = verify.tagged.tag(message).filter(|tag| {
            verify.tagged.reply(*tag, &mut right);
            right == message
        });
        let Some(Tag { client, seq }) = tag else { return tally.add(Fault::Corrupt, 1) };
        if client != self.client {
            return tally.add(Fault::Crossed, 1);
        }
        if seq < self.first {
            return tally.add(Fault::Late, 1);
        }
        let Some(flight) = self.flights.get_mut((seq - self.first) as usize) else {
            return tally.add(Fault::Corrupt, 1); // A reply to what was not asked.
        };
        match flight.state {
            State::Answered => return tally.add(Fault::Duplicated, 1),
            State::GivenUp => {
                tally.not_lost();
                tally.add(Fault::Late, 1);
            }
            State::Waiting => {
                self.waiting -= 1;
                tally.add(Fault::Late, u64::from(now - flight.sent > verify.late));
            }
        }
        flight.state = State::Answered;
        tally.answered(now - flight.sent);
        if self.highest.is_some_and(|highest| seq < highest) {
            tally.add(Fault::Reordered, 1);
        } else {
            self.highest = Some(seq);
        }
    }

    /// Counts what was still under way. What was given up because the server had gone is counted again.
    fn conclude(&mut self) {
        let mut tally = self.verify.tally.borrow_mut();
        for flight in self.flights.drain(..) {
            match flight.state {
                State::Answered => continue,
                State::GivenUp if !self.gone => continue,
                State::GivenUp => tally.not_lost(),
                State::Waiting => {}
            }
            if self.gone && !self.verify.drain.owes(flight.sent) {
                tally.unanswered += 1;
            } else {
                tally.add(Fault::Lost, 1);
            }
        }
    }
}
