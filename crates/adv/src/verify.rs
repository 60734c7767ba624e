//! The judge: every reply is the right one, to the right client, once, whole, and in time.

mod datagrams;
mod drain;
mod streams;
mod tally;

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use clap::Args;
use futures::StreamExt as _;
use futures::future::{self, Either};
use futures::stream;
use tokio::time::sleep;

use self::drain::Drain;
use self::tally::{Fault, Tally};
use crate::common::{Common, Mode, Speech};
use crate::dial::Dial;
use crate::limits;
use crate::report::Report;
use crate::tagged::Tagged;
use crate::values::{count, time};

/// The arguments of `verify`.
#[derive(Args, Clone, Debug)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    speech: Speech,
    /// Connections at once, or sockets that send datagrams
    #[arg(short, long, value_name = "C", default_value = "16", value_parser = count)]
    connections: u64,
    /// Requests on all connections together. Default: 10,000 without --for and --until-closed, else as many as fit
    #[arg(short = 'n', long, value_name = "N", value_parser = count)]
    requests: Option<u64>,
    /// Begin no request after
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    duration: Option<Duration>,
    /// Connect anew after so many requests
    #[arg(long, value_name = "EVERY", value_parser = count)]
    churn: Option<u64>,
    /// Requests under way on each connection
    #[arg(long, value_name = "D", default_value = "1", value_parser = count)]
    pipeline: u64,
    /// Pause of each connection after a request
    #[arg(long, value_name = "TIME", value_parser = time)]
    pause: Option<Duration>,
    /// A right reply after this is late. Default: 5s; for datagrams the --timeout
    #[arg(long, value_name = "TIME", value_parser = time)]
    late: Option<Duration>,
    /// A request without a reply after this is lost. Default: 30s; for datagrams 1s
    #[arg(long, value_name = "TIME", value_parser = time)]
    timeout: Option<Duration>,
    /// The server will close the connections, which ends the run and is no fault
    #[arg(long)]
    until_closed: bool,
    /// Send SIGTERM to this process, as the one that serves
    #[arg(long, value_name = "PID", requires = "until_closed")]
    signal: Option<i32>,
    /// When to send it
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time, requires = "signal")]
    signal_after: Duration,
    /// With --until-closed: a request that left this long before the drain began must have a reply
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time)]
    margin: Duration,
    /// These are no faults
    #[arg(long, value_enum, value_delimiter = ',', value_name = "FAULT")]
    allow: Vec<Fault>,
    /// The same as --allow lost,late,reordered; for udp the default
    #[arg(long)]
    lossy: bool,
}

/// A run of the judge.
#[derive(Debug)]
pub(crate) struct Verify {
    args: VerifyArgs,
    dial: Dial,
    tagged: Tagged,
    seed: u64,
    begun: Instant,
    tally: RefCell<Tally>,
    drain: Drain,
    /// Requests that may still be begun.
    left: Cell<u64>,
    /// The number of the next client: each connection is another one.
    clients: Cell<u32>,
    late: Duration,
    timeout: Duration,
}

impl Verify {
    /// # Errors
    /// Sizes that have no room for a tag; more connections than descriptors.
    pub(crate) fn new(args: VerifyArgs) -> anyhow::Result<Self> {
        let (tagged, seed) = args.speech.tagged(&args.common.target)?;
        limits::make_room_for(args.connections)?;
        let datagrams = args.common.target.has_datagrams();
        let or = |given: Option<Duration>, seconds| given.unwrap_or(Duration::from_secs(seconds));
        let timeout = or(args.timeout, if datagrams { 1 } else { 30 });
        let late = if datagrams { args.late.unwrap_or(timeout) } else { or(args.late, 5) };
        let endless = args.until_closed || args.duration.is_some();
        let left = args.requests.unwrap_or(if endless { u64::MAX } else { 10_000 });
        Ok(Self {
            dial: args.common.dial(),
            tagged,
            seed,
            begun: Instant::now(),
            tally: RefCell::new(Tally::new()),
            drain: Drain::new(args.margin),
            left: Cell::new(left),
            clients: Cell::new(0),
            late,
            timeout,
            args,
        })
    }

    /// Whether another request may be begun, which is then one less.
    fn take(&self) -> bool {
        if self.args.duration.is_some_and(|duration| self.begun.elapsed() >= duration) {
            self.left.set(0);
        }
        let left = self.left.get();
        self.left.set(left.saturating_sub(1));
        left > 0
    }

    fn next_client(&self) -> u32 {
        let client = self.clients.get();
        self.clients.set(client.wrapping_add(1));
        client
    }

    fn allowed(&self) -> Vec<Fault> {
        let mut allowed = self.args.allow.clone();
        if self.args.lossy || self.args.common.target.is_lossy() {
            allowed.extend([Fault::Lost, Fault::Late, Fault::Reordered]);
        }
        allowed
    }

    async fn converse(&self) -> anyhow::Result<()> {
        let datagrams = self.args.common.target.has_datagrams();
        let client = async |index| if datagrams { self.datagram_client(index).await } else { self.stream(index).await };
        stream::iter(0..self.args.connections).for_each_concurrent(None, client).await;
        Ok(())
    }
}

impl Mode for Verify {
    const NAME: &'static str = "verify";

    async fn drive(&self) -> anyhow::Result<()> {
        let Some(pid) = self.args.signal else { return self.converse().await };
        let signal = async {
            sleep(self.args.signal_after).await;
            self.drain.signal(pid)?;
            future::pending().await
        };
        let (converse, signal) = (std::pin::pin!(self.converse()), std::pin::pin!(signal));
        match future::select(converse, signal).await {
            Either::Left((result, _)) | Either::Right((result, _)) => result,
        }
    }

    fn report(&self, report: &mut Report) {
        self.tally.borrow().report(&self.allowed(), self.begun.elapsed(), report);
        report.set("seed", self.seed);
        if self.args.signal.is_some() && self.drain.began().is_none() {
            report.fault("all was done before the signal was to be sent");
        }
        if let Some(ended) = self.drain.ended() {
            report.line(format!("the last connection ended {ended:.3?} after the drain began"));
            report.set("drained_s", ended.as_secs_f64());
        }
    }
}
