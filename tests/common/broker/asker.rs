//! Asks through a broker and judges every reply: over a plain socket, with nothing of the project, so that it cannot be wrong in
//! the same way.
//!
//! Each request has a number, which is in its text and in its inbox, and the time at which it was sent. A right reply is the text
//! in upper case.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How requests are sent.
#[derive(Clone, Copy, Debug)]
pub enum Load {
    /// So many in a second, whatever becomes of them, until it is stopped.
    Open { rate: u64 },
    /// So many at once, until there were so many.
    Closed { depth: u64, requests: u64 },
}

/// What became of all requests.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub asked: u64,
    /// Requests with a reply, at least one.
    pub answered: u64,
    /// Requests to which the broker said that nobody answers the subject.
    pub nobody: u64,
    /// Replies to a request that had one.
    pub doubled: u64,
    /// Replies that are not those of their request.
    pub wrong: u64,
    /// The longest time between a request and its reply.
    pub slowest: Duration,
    /// From the first request to the last reply.
    pub elapsed: Duration,
    /// Why it ended early.
    pub broken: Option<String>,
}

impl Outcome {
    /// Requests of which nothing was heard within the patience.
    pub fn lost(&self) -> u64 {
        self.asked - self.answered - self.nobody
    }

    /// Panics unless each request had one reply, and the right one.
    pub fn assert_whole(&self) {
        let faults = self.lost() + self.nobody + self.doubled + self.wrong;
        assert!(self.asked > 0 && faults == 0 && self.broken.is_none(), "{} lost: {self:?}", self.lost());
    }
}

/// Who asks, on a thread of its own.
pub struct Asker {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    thread: JoinHandle<Outcome>,
}

impl Asker {
    /// Begins to ask on `subject`, with `size` bytes a request (at least 48). What is not answered within `patience` after the
    /// last request is lost.
    pub fn start(address: &str, subject: &str, size: usize, load: Load, patience: Duration) -> io::Result<Self> {
        let mut asking = Asking::connect(address, subject, size)?;
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (is_stopped, count) = (Arc::clone(&stop), Arc::clone(&answered));
        let thread = thread::spawn(move || {
            if let Err(error) = asking.run(load, patience, &is_stopped, &count) {
                asking.outcome.broken = Some(error.to_string());
            }
            asking.outcome
        });
        Ok(Self { stop, answered, thread })
    }

    /// Waits until `more` requests than now were answered.
    pub fn wait_for(&self, more: u64) {
        let enough = self.answered.load(SeqCst) + more;
        while self.answered.load(SeqCst) < enough && !self.thread.is_finished() {
            thread::park_timeout(Duration::from_millis(1));
        }
    }

    /// Asks no more, and waits for what is not answered.
    pub fn stop(self) -> Outcome {
        self.stop.store(true, SeqCst);
        self.join()
    }

    /// Waits until all was asked.
    pub fn join(self) -> Outcome {
        self.thread.join().unwrap()
    }
}

struct Asking {
    stream: TcpStream,
    inbox: String,
    subject: String,
    size: usize,
    begun: Instant,
    /// How many replies each request had.
    replies: Vec<u8>,
    /// What was read and not yet understood.
    unread: Vec<u8>,
    pongs: u64,
    outcome: Outcome,
}

impl Asking {
    fn connect(address: &str, subject: &str, size: usize) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        // Each has inboxes of its own.
        let inbox = format!("asker.{}", stream.local_addr()?.port());
        let connect = "CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}";
        stream.write_all(format!("{connect}\r\nSUB {inbox}.* 1\r\nPING\r\n").as_bytes())?;
        let (subject, size) = (subject.to_owned(), size.max(48));
        let (replies, unread, outcome) = (Vec::new(), Vec::new(), Outcome::default());
        let mut asking =
            Self { stream, inbox, subject, size, begun: Instant::now(), replies, unread, pongs: 0, outcome };
        asking.until_pong(Duration::from_secs(60))?;
        Ok(asking)
    }

    fn run(&mut self, load: Load, patience: Duration, stop: &AtomicBool, answered: &AtomicU64) -> io::Result<()> {
        self.begun = Instant::now();
        let (mut out, mut heard) = (Vec::new(), Instant::now());
        loop {
            let waiting = self.outcome.lost();
            let due = match load {
                _ if stop.load(SeqCst) => 0,
                Load::Open { rate } => {
                    let so_far = self.begun.elapsed().as_nanos() * u128::from(rate) / 1_000_000_000;
                    u64::try_from(so_far).unwrap().saturating_sub(self.outcome.asked)
                }
                Load::Closed { depth, requests } => (depth - waiting).min(requests - self.outcome.asked),
            };
            let all =
                stop.load(SeqCst) || matches!(load, Load::Closed { requests, .. } if requests == self.outcome.asked);
            if all && waiting == 0 {
                // Replies that the broker has are before its answer.
                self.stream.write_all(b"PING\r\n")?;
                return self.until_pong(patience);
            }
            for number in self.outcome.asked..self.outcome.asked + due {
                let text = request(number, self.begun.elapsed(), self.size);
                write!(out, "PUB {} {}.{number} {}\r\n{text}\r\n", self.subject, self.inbox, text.len())?;
            }
            if !out.is_empty() {
                self.stream.write_all(&out)?;
                out.clear();
                self.outcome.asked += due;
                self.replies.resize(usize::try_from(self.outcome.asked).unwrap(), 0);
                heard = Instant::now();
            }
            let pause = if matches!(load, Load::Open { .. }) && !all { 1 } else { 100 };
            if self.read(Duration::from_millis(pause))? {
                heard = Instant::now();
                answered.store(self.outcome.answered, SeqCst);
            } else if due == 0 && heard.elapsed() > patience {
                return Ok(());
            }
        }
    }

    fn until_pong(&mut self, patience: Duration) -> io::Result<()> {
        let (before, begun) = (self.pongs, Instant::now());
        while self.pongs == before {
            if begun.elapsed() > patience {
                return Err(io::Error::new(ErrorKind::TimedOut, "the broker did not answer a PING"));
            }
            self.read(Duration::from_millis(100))?;
        }
        Ok(())
    }

    /// Reads once, and whether there was something.
    fn read(&mut self, pause: Duration) -> io::Result<bool> {
        let mut bytes = [0; 1 << 16];
        self.stream.set_read_timeout(Some(pause))?;
        match self.stream.read(&mut bytes) {
            Ok(0) => return Err(io::Error::new(ErrorKind::UnexpectedEof, "the broker ended the connection")),
            Ok(read) => self.unread.extend_from_slice(&bytes[..read]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Ok(false),
            Err(error) => return Err(error),
        }
        let unread = std::mem::take(&mut self.unread);
        let mut rest = &unread[..];
        while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
            let line = std::str::from_utf8(&rest[..end]).map_err(io::Error::other)?;
            let words: Vec<_> = line.split(' ').collect();
            let body = match words[0] {
                "MSG" | "HMSG" => Some(words[words.len() - 1].parse::<usize>().map_err(io::Error::other)?),
                _ => None,
            };
            let behind = end + 2 + body.map_or(0, |length| length + 2);
            if rest.len() < behind {
                break;
            }
            match words[0] {
                "MSG" => self.judge(words[1], &rest[end + 2..behind - 2]),
                "HMSG" if rest[end + 2..].starts_with(b"NATS/1.0 503") => self.outcome.nobody += 1,
                "PING" => self.stream.write_all(b"PONG\r\n")?,
                "PONG" => self.pongs += 1,
                "INFO" | "+OK" => (),
                _ => return Err(io::Error::other(format!("the broker said {line:?}"))),
            }
            rest = &rest[behind..];
        }
        self.unread = rest.to_vec();
        Ok(true)
    }

    fn judge(&mut self, inbox: &str, reply: &[u8]) {
        let outcome = &mut self.outcome;
        let number = inbox.rsplit('.').next().and_then(|number| number.parse::<u64>().ok());
        let sent =
            std::str::from_utf8(reply).ok().and_then(|text| text.get(14..34)).and_then(|nanos| nanos.parse().ok());
        let (Some(number), Some(sent)) = (number, sent.map(Duration::from_nanos)) else {
            outcome.wrong += 1;
            return;
        };
        let known = usize::try_from(number).ok().and_then(|number| self.replies.get_mut(number));
        match known {
            Some(replies) if request(number, sent, self.size).to_ascii_uppercase().as_bytes() == reply => {
                match *replies {
                    0 => outcome.answered += 1,
                    _ => outcome.doubled += 1,
                }
                *replies = replies.saturating_add(1);
                outcome.elapsed = self.begun.elapsed();
                outcome.slowest = outcome.slowest.max(outcome.elapsed.saturating_sub(sent));
            }
            _ => outcome.wrong += 1,
        }
    }
}

/// Its number, when it was sent, and letters that follow from the number.
fn request(number: u64, sent: Duration, size: usize) -> String {
    let mut text = format!("n{number:012}-{:020}-", sent.as_nanos());
    let letters = (0..).map(|place| char::from(b'a' + u8::try_from((number + place) % 26).unwrap()));
    text.extend(letters.take(size - text.len()));
    text
}
