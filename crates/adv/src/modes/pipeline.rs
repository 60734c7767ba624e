//! `pipeline`: peers that write on while replies wait to be read.

use std::cell::RefCell;
use std::time::Duration;

use clap::Args;
use futures::StreamExt as _;
use futures::stream;
use tokio::time::sleep;

use crate::asking::{AskArgs, Asker};
use crate::common::{Common, Mode};
use crate::exchange::{Exchange, Problems, Then};
use crate::failures::cause;
use crate::limits;
use crate::report::Report;
use crate::values::{count, size, time};

/// The arguments of `pipeline`.
#[derive(Args, Clone, Debug)]
pub(crate) struct PipelineArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Bytes of requests on each connection
    #[arg(value_name = "BYTES", value_parser = size)]
    bytes: usize,
    #[command(flatten)]
    asking: AskArgs,
    /// Connections, one after the other
    #[arg(short, value_name = "N", default_value = "1", value_parser = count)]
    n: u64,
    /// How many are open at once
    #[arg(long, value_name = "C", default_value = "16", value_parser = count)]
    concurrency: u64,
    /// Do not read at all: write until the server takes no more, and close
    #[arg(long)]
    no_wait: bool,
    /// The server takes no more if it has taken nothing for so long
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = time)]
    stuck: Duration,
    /// With --no-wait: stay so long when the server takes no more
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = time, requires = "no_wait")]
    hold_for: Duration,
    /// Write so many bytes of a message without an end behind the requests, for the server to close upon
    #[arg(long, value_name = "BYTES", default_value = "0", value_parser = size)]
    junk: usize,
    /// With --no-wait: the server may take so many bytes on each connection
    #[arg(long, value_name = "BYTES", value_parser = size, requires = "no_wait")]
    most: Option<usize>,
}

/// A run of `pipeline`.
#[derive(Debug)]
pub(crate) struct Pipeline {
    args: PipelineArgs,
    asker: Asker,
    /// What the server took on each connection while nobody read its replies.
    taken: RefCell<Vec<u64>>,
    whole: RefCell<u64>,
    problems: RefCell<Problems>,
}

impl Pipeline {
    /// # Errors
    /// A datagram endpoint; more connections than descriptors; sizes that have no room for a tag.
    pub(crate) fn new(args: PipelineArgs) -> anyhow::Result<Self> {
        args.common.needs_stream(Self::NAME)?;
        limits::make_room_for(args.concurrency)?;
        let asker = Asker::new(&args.common, &args.asking)?;
        Ok(Self { args, asker, taken: RefCell::default(), whole: RefCell::default(), problems: RefCell::default() })
    }

    async fn one(&self, index: u64) -> Result<(), String> {
        let connected = self.asker.dial.stream(index).await;
        let stream = connected.map_err(|error| format!("connect: {}", cause(&error)))?;
        let junk = vec![b'J'; self.args.junk];
        let mut exchange = Exchange::new(self.asker.tagged, index as u32, self.args.bytes as u64, junk);
        let blind = exchange.write_blindly(&stream, self.args.stuck).await;
        self.taken.borrow_mut().push(exchange.written());
        if self.args.no_wait {
            blind.map_err(|error| format!("write: {}", cause(&error)))?;
            sleep(self.args.hold_for).await;
            return Ok(());
        }
        // Whoever was closed upon still reads what was replied before.
        exchange.finish(&stream, self.args.asking.timeout, Then::Close).await
    }
}

impl Mode for Pipeline {
    const NAME: &'static str = "pipeline";

    async fn drive(&self) -> anyhow::Result<()> {
        let one = async |index| match self.one(index).await {
            Ok(()) => *self.whole.borrow_mut() += 1,
            Err(problem) => self.problems.borrow_mut().add(problem),
        };
        let concurrency = usize::try_from(self.args.concurrency).unwrap_or(usize::MAX);
        stream::iter(0..self.args.n).for_each_concurrent(concurrency, one).await;
        Ok(())
    }

    fn report(&self, report: &mut Report) {
        let (whole, problems) = (*self.whole.borrow(), self.problems.borrow());
        let taken = self.taken.borrow();
        let (least, most) = (taken.iter().min().copied().unwrap_or(0), taken.iter().max().copied().unwrap_or(0));
        let what = if self.args.no_wait { "were not closed upon" } else { "had the whole reply" };
        report.line(format!("{whole} of {} {what}", self.args.n));
        report.line(format!("bytes taken of each while nobody read: least {least}, most {most}"));
        report.set("connections", self.args.n);
        report.set("whole", whole);
        report.set("taken_bytes", serde_json::json!({ "min": least, "max": most }));
        report.set("seed", self.asker.seed);
        if problems.count() > 0 {
            report.fault(format!("{} not; the first: {}", problems.count(), problems.first()));
        }
        if let Some(limit) = self.args.most.filter(|limit| *limit as u64 <= most) {
            report.fault(format!("{most} bytes taken, and not below {limit}"));
        }
    }
}
