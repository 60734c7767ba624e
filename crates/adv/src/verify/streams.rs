//! A client on a byte stream.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::time::{sleep, timeout_at};

use super::{Fault, Verify};
use crate::failures::meaning;
use crate::judge::{Judge, Verdict};
use crate::stream::Stream;

/// After a connection that could not be made, and how many of them in a row are enough.
const RETRY: Duration = Duration::from_millis(50);
const RETRIES: u32 = 20;
/// Read at once.
const READ: usize = 64 << 10;

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// By the client, which had all replies.
    Done,
    /// By the client, because no reply came in time.
    GaveUp,
    /// By the server.
    Closed,
    /// By the server, which reset it.
    Reset,
}

/// A request under way.
#[derive(Clone, Copy, Debug)]
struct Flight {
    seq: u32,
    begun: Instant,
    /// Where its last byte is in what was and will be written.
    end: u64,
    /// When the system took that.
    written: Option<Instant>,
}

impl Verify {
    /// Connects and asks until nothing is left to be asked.
    pub(super) async fn stream(&self, index: u64) {
        let mut failed = 0;
        while self.left.get() > 0 {
            let stream = match self.dial.stream(index).await {
                Ok(stream) => stream,
                Err(error) => {
                    failed += 1;
                    if !self.goes_on_after(&error) || failed == RETRIES {
                        return;
                    }
                    sleep(RETRY).await;
                    continue;
                }
            };
            failed = 0;
            self.tally.borrow_mut().connections += 1;
            let mut client = Client::new(self);
            let end = client.converse(&stream).await;
            client.conclude(end);
            if self.args.until_closed && matches!(end, End::Closed | End::Reset) {
                return;
            }
        }
    }

    /// Counts a connection that could not be made, and tells whether to try again. In a drain no connection is owed.
    pub(super) fn goes_on_after(&self, error: &io::Error) -> bool {
        let draining = self.args.until_closed && self.drain.began().is_some();
        if draining && meaning(error) == "refused" {
            return false;
        }
        let fault = match meaning(error) {
            "reset" if draining => Fault::TurnedAway,
            "reset" => Fault::Reset,
            _ => Fault::Refused,
        };
        let mut tally = self.tally.borrow_mut();
        tally.add(fault, 1);
        tally.failures.add(error);
        !draining
    }
}

/// One connection.
struct Client<'a> {
    verify: &'a Verify,
    judge: Judge,
    flights: VecDeque<Flight>,
    /// What is to be written, how much of it was, and how much was on the whole connection.
    out: Vec<u8>,
    out_written: usize,
    written: u64,
    /// When the next request may be begun.
    paused: Option<Instant>,
    reset: bool,
    /// Whether anything came.
    heard: bool,
}

impl<'a> Client<'a> {
    fn new(verify: &'a Verify) -> Self {
        let judge = Judge::new(verify.tagged, verify.next_client());
        Self {
            verify,
            judge,
            flights: VecDeque::new(),
            out: Vec::new(),
            out_written: 0,
            written: 0,
            paused: None,
            reset: false,
            heard: false,
        }
    }

    async fn converse(&mut self, stream: &Stream) -> End {
        let mut buffer = vec![0; READ];
        loop {
            let more = self.begin();
            if let Err(error) = self.write(stream) {
                return self.read_to_the_end(stream, &mut buffer, &error).await;
            }
            if !more && self.flights.is_empty() {
                return End::Done;
            }
            let interest =
                if self.out.is_empty() { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE };
            let patience = self.flights.front().map(|flight| flight.begun + self.verify.timeout);
            let pause = self.paused.filter(|_| more && u64::from(self.judge.waiting()) < self.verify.args.pipeline);
            let until = patience.into_iter().chain(pause).min().unwrap_or_else(Instant::now);
            match timeout_at(until.into(), stream.ready(interest)).await {
                Err(_) if patience == Some(until) => return End::GaveUp,
                Err(_) => continue,
                Ok(Err(_)) => return End::Reset,
                Ok(Ok(_)) => {}
            }
            match self.read(stream, &mut buffer) {
                // It had nothing more to ask.
                Some(End::Closed) if self.flights.is_empty() && !self.wants_more() => return End::Done,
                Some(end) => return end,
                None => {}
            }
        }
    }

    /// Whether there will be more requests on this connection.
    fn wants_more(&self) -> bool {
        let Verify { args, left, .. } = self.verify;
        let quota = args.churn.is_none_or(|every| u64::from(self.judge.begun()) < every);
        quota && self.judge.begun() < u32::MAX && left.get() > 0
    }

    /// Begins what may be begun, and tells whether there will be more on this connection.
    fn begin(&mut self) -> bool {
        let args = &self.verify.args;
        let now = Instant::now();
        loop {
            if !self.wants_more() {
                return false;
            }
            if u64::from(self.judge.waiting()) >= args.pipeline || self.paused.is_some_and(|paused| paused > now) {
                return true;
            }
            if !self.verify.take() {
                return false;
            }
            let seq = self.judge.begin(&mut self.out);
            let end = self.written + (self.out.len() - self.out_written) as u64;
            self.flights.push_back(Flight { seq, begun: now, end, written: None });
            self.paused = args.pause.map(|pause| now + pause);
        }
    }

    /// Writes what the system takes.
    fn write(&mut self, stream: &Stream) -> io::Result<()> {
        while self.out_written < self.out.len() {
            match stream.try_write(&self.out[self.out_written..]) {
                Ok(len) => {
                    self.out_written += len;
                    self.written += len as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        if self.out_written == self.out.len() {
            self.out.clear();
            self.out_written = 0;
        }
        let (written, now) = (self.written, Instant::now());
        let begun = self.flights.partition_point(|flight| flight.written.is_some());
        let taken = self.flights.range_mut(begun..).take_while(|flight| flight.end <= written);
        let taken = taken.map(|flight| flight.written = Some(now)).count();
        self.verify.tally.borrow_mut().requests += taken as u64;
        Ok(())
    }

    /// Reads what has come; gives the end, if that has come.
    fn read(&mut self, stream: &Stream, buffer: &mut [u8]) -> Option<End> {
        loop {
            match stream.try_read(buffer) {
                Ok(0) => return Some(if self.reset { End::Reset } else { End::Closed }),
                Ok(len) => self.hear(&buffer[..len]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(_) => return Some(End::Reset),
            }
        }
    }

    /// The server no longer reads: hears what it had said before. A Unix stream cannot be reset; there, writing to one that
    /// was closed is an end like any other.
    async fn read_to_the_end(&mut self, stream: &Stream, buffer: &mut [u8], error: &io::Error) -> End {
        self.reset = matches!(stream, Stream::Tcp(_)) || meaning(error) != "closed";
        let deadline = Instant::now() + self.verify.timeout;
        loop {
            if let Some(end) = self.read(stream, buffer) {
                return end;
            }
            match timeout_at(deadline.into(), stream.ready(Interest::READABLE)).await {
                Err(_) => return End::GaveUp,
                Ok(Err(_)) => return End::Reset,
                Ok(Ok(_)) => {}
            }
        }
    }

    fn hear(&mut self, bytes: &[u8]) {
        self.heard = true;
        let now = Instant::now();
        let Self { verify, judge, flights, .. } = self;
        let mut tally = verify.tally.borrow_mut();
        judge.feed(bytes, &mut |verdict| match verdict {
            Verdict::Right(seq) => {
                if let Some(flight) = land(flights, seq) {
                    let latency = now - flight.begun;
                    tally.answered(latency);
                    tally.add(Fault::Late, u64::from(latency > verify.late));
                }
            }
            Verdict::Reordered(_) => {
                tally.not_lost();
                tally.answered += 1;
                tally.add(Fault::Reordered, 1);
            }
            Verdict::Corrupt(seq) => {
                land(flights, seq);
                tally.add(Fault::Corrupt, 1);
            }
            Verdict::Garbled => tally.add(Fault::Corrupt, 1),
            Verdict::Lost(_) => tally.add(Fault::Lost, 1),
            Verdict::Duplicated(_) => tally.add(Fault::Duplicated, 1),
            Verdict::Crossed => tally.add(Fault::Crossed, 1),
        });
    }

    /// Counts how the connection ended, and what was still under way.
    fn conclude(&mut self, end: End) {
        let verify = self.verify;
        let mut tally = verify.tally.borrow_mut();
        let by_server = matches!(end, End::Closed | End::Reset);
        let draining = by_server && verify.args.until_closed;
        if draining {
            verify.drain.end();
        }
        let turned_away = draining && !self.heard;
        tally.add(if turned_away { Fault::TurnedAway } else { Fault::Reset }, u64::from(end == End::Reset));
        tally.add(Fault::Closed, u64::from(end == End::Closed && !draining));
        tally.add(Fault::Cut, u64::from(by_server && self.judge.is_cut()));
        let garbled = self.judge.garbled() as usize;
        for flight in self.flights.drain(..).skip(garbled) {
            let lost = match flight.written {
                Some(written) if draining => verify.drain.owes(written),
                written => written.is_some(),
            };
            if lost {
                tally.add(Fault::Lost, 1);
            } else {
                tally.unanswered += 1;
            }
        }
    }
}

/// Takes the request `seq` from those under way, and with it what was begun before.
fn land(flights: &mut VecDeque<Flight>, seq: u32) -> Option<Flight> {
    loop {
        match flights.front()?.seq.cmp(&seq) {
            Ordering::Less => flights.pop_front(),
            Ordering::Equal => return flights.pop_front(),
            Ordering::Greater => return None,
        };
    }
}
