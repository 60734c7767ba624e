//! Many connections at once, that stay.

use std::cell::{Cell, RefCell};
use std::io;
use std::time::{Duration, Instant};

use clap::Args;
use futures::StreamExt as _;
use futures::stream;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use crate::common::Common;
use crate::dial::Dial;
use crate::failures::{Failures, meaning};
use crate::limits;
use crate::report::Report;
use crate::spread::Spread;
use crate::stream::Stream;
use crate::values::{Bytes, Times, bytes, count};

/// How many, and how fast they come.
#[derive(Args, Clone, Debug)]
pub(crate) struct CrowdArgs {
    /// Connections
    #[arg(short, value_name = "N", default_value = "100", value_parser = count)]
    pub(crate) n: u64,
    /// How many are being opened at once
    #[arg(long, value_name = "C", default_value = "64", value_parser = count)]
    pub(crate) concurrency: u64,
    /// Say this first, and wait for an answer up to its first empty line: a request that switches to WebSocket, say
    #[arg(long, value_name = "TEXT", value_parser = bytes)]
    pub(crate) greet: Option<Bytes>,
}

/// The longest answer to a greeting.
const ANSWER: usize = 8 << 10;

/// The connections, and what became of them.
#[derive(Debug)]
pub(crate) struct Crowd {
    n: u64,
    dial: Dial,
    greeting: Option<Bytes>,
    doors: Semaphore,
    /// How many have not yet been tried to open; whether that is none.
    outside: Cell<u64>,
    all_tried: watch::Sender<bool>,
    pub(crate) fate: RefCell<Fate>,
}

/// What became of the connections.
#[derive(Debug)]
pub(crate) struct Fate {
    pub(crate) opened: u64,
    failures: Failures,
    /// Closed by the server, the resets among them.
    pub(crate) closed: u64,
    reset: u64,
    /// How long those had been open.
    lifetimes: Spread,
    /// Bytes that came from the server.
    heard: u64,
}

/// How the server ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    Cleanly,
    Reset,
}

impl Crowd {
    /// # Errors
    /// A datagram endpoint; more connections than descriptors.
    pub(crate) fn new(common: &Common, args: &CrowdArgs, mode: &str) -> anyhow::Result<Self> {
        common.needs_stream(mode)?;
        limits::make_room_for(args.n)?;
        let fate =
            Fate { opened: 0, failures: Failures::default(), closed: 0, reset: 0, lifetimes: Spread::new(), heard: 0 };
        let doors = usize::try_from(args.concurrency).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Ok(Self {
            n: args.n,
            dial: common.dial(),
            greeting: args.greet.clone(),
            doors: Semaphore::new(doors),
            outside: Cell::new(args.n),
            all_tried: watch::Sender::new(false),
            fate: RefCell::new(fate),
        })
    }

    /// The same with a small receive buffer.
    pub(crate) fn with_receive_buffer(mut self, size: Option<usize>) -> Self {
        self.dial.receive_buffer = size;
        self
    }

    /// Opens all, and acts with each of them at once until the last is done.
    pub(crate) async fn each(&self, act: impl AsyncFn(u64, Stream)) {
        let one = async |index| {
            let stream = {
                let _door = self.doors.acquire().await;
                self.connected(index).await
            };
            self.outside.set(self.outside.get() - 1);
            if self.outside.get() == 0 {
                self.all_tried.send_replace(true);
            }
            if let Some(stream) = self.opened(stream) {
                act(index, stream).await;
            }
        };
        stream::iter(0..self.n).for_each_concurrent(None, one).await;
    }

    /// Opens the connection number `index` once more; nothing, if that fails.
    pub(crate) async fn open(&self, index: u64) -> Option<Stream> {
        self.opened(self.connected(index).await)
    }

    /// Connects, greets and hears the answer.
    async fn connected(&self, index: u64) -> io::Result<Stream> {
        let stream = self.dial.stream(index).await?;
        let Some(Bytes(greeting)) = &self.greeting else { return Ok(stream) };
        let heard = async {
            stream.write_all(greeting).await?;
            let (mut answer, mut len) = ([0; ANSWER], 0);
            while !answer[..len].windows(4).any(|end| end == b"\r\n\r\n") {
                len += match stream.read(&mut answer[len..]).await? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    more => more,
                };
            }
            io::Result::Ok(())
        };
        timeout(self.dial.patience, heard).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        Ok(stream)
    }

    fn opened(&self, stream: io::Result<Stream>) -> Option<Stream> {
        let mut fate = self.fate.borrow_mut();
        match stream {
            Ok(stream) => {
                fate.opened += 1;
                Some(stream)
            }
            Err(error) => {
                fate.failures.add(&error);
                None
            }
        }
    }

    /// Waits until every connection is open or has failed to be.
    pub(crate) async fn all_tried(&self) {
        // The sender lives as long as the crowd.
        let _ = self.all_tried.subscribe().wait_for(|tried| *tried).await;
    }

    /// Reads until the server closes the connection.
    pub(crate) async fn idle(&self, stream: &Stream) -> Closed {
        let mut buffer = [0; 4096];
        loop {
            match stream.read(&mut buffer).await {
                Ok(0) => return Closed::Cleanly,
                Ok(len) => self.fate.borrow_mut().heard += len as u64,
                Err(error) => return Closed::by(&error),
            }
        }
    }

    /// Counts a connection that the server closed, opened at `since`.
    pub(crate) fn closed(&self, how: Closed, since: Instant) {
        let mut fate = self.fate.borrow_mut();
        fate.closed += 1;
        fate.reset += u64::from(how == Closed::Reset);
        fate.lifetimes.add(since.elapsed());
    }

    /// Connections that the server has not closed.
    pub(crate) fn still_open(&self) -> u64 {
        let fate = self.fate.borrow();
        fate.opened - fate.closed
    }

    /// Writes down what became of them.
    pub(crate) fn report(&self, report: &mut Report) {
        let open = self.still_open();
        let Fate { opened, failures, closed, reset, lifetimes, heard } = &*self.fate.borrow();
        report.line(format!("{opened} of {} connections opened; {failures}", self.n));
        report.line(format!("{open} stayed open; the server closed {closed}, of which it reset {reset}"));
        if *closed > 0 {
            report.line(format!("closed after {lifetimes}"));
        }
        report.set("connections", self.n);
        report.set("opened", *opened);
        report.set("connect_failures", failures.json());
        report.set("still_open", open);
        report.set("closed", *closed);
        report.set("reset", *reset);
        report.set("closed_after", lifetimes.json());
        report.set("heard_bytes", *heard);
    }

    /// Complains if not all were closed within `range`.
    pub(crate) fn judge_lifetimes(&self, range: Times, report: &mut Report) {
        let open = self.still_open();
        let fate = self.fate.borrow();
        if open > 0 {
            report.fault(format!("{open} connections were not closed"));
        }
        if fate.opened == 0 {
            report.fault("no connection was opened");
        }
        let (least, most) = (fate.lifetimes.min(), fate.lifetimes.max());
        if fate.closed > 0 && !(range.range().contains(&least) && range.range().contains(&most)) {
            report.fault(format!("closed after {least:?} to {most:?}, and not within {range}"));
        }
    }
}

impl Closed {
    pub(crate) fn by(error: &io::Error) -> Self {
        if meaning(error) == "closed" { Self::Cleanly } else { Self::Reset }
    }
}

/// How long to look on, and when the server should have closed.
#[derive(Args, Clone, Debug)]
pub(crate) struct WatchArgs {
    /// The server must close each connection this long after it was opened
    #[arg(long, value_name = "A..B")]
    closed_within: Option<Times>,
    /// End after. Default: a second more than --closed-within, or a minute
    #[arg(long = "for", value_name = "TIME", value_parser = crate::values::time)]
    duration: Option<Duration>,
}

impl WatchArgs {
    /// How long a connection may live.
    pub(crate) fn longest(&self) -> Duration {
        let enough = self.closed_within.map(|within| within.most + Duration::from_secs(1));
        self.duration.or(enough).unwrap_or(Duration::from_secs(60))
    }

    pub(crate) fn judge(&self, crowd: &Crowd, report: &mut Report) {
        if let Some(within) = self.closed_within {
            crowd.judge_lifetimes(within, report);
        }
    }
}
