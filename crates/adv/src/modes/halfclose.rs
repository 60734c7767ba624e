//! `halfclose`: peers that have said all and still want to hear.

use std::cell::RefCell;
use std::time::Instant;

use clap::Args;
use futures::StreamExt as _;
use futures::stream;

use crate::asking::{AskArgs, Asker};
use crate::common::{Common, Mode};
use crate::exchange::{Exchange, Problems, Then};
use crate::failures::cause;
use crate::limits;
use crate::report::Report;
use crate::spread::Spread;
use crate::values::{count, size};

/// The arguments of `halfclose`.
#[derive(Args, Clone, Debug)]
pub(crate) struct HalfcloseArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    asking: AskArgs,
    /// Connections, one after the other
    #[arg(short, value_name = "N", default_value = "100", value_parser = count)]
    n: u64,
    /// How many are open at once
    #[arg(long, value_name = "C", default_value = "16", value_parser = count)]
    concurrency: u64,
    /// Bytes of requests on each, in messages of --size
    #[arg(long, value_name = "BYTES", default_value = "64", value_parser = size)]
    bytes: usize,
}

/// A run of `halfclose`.
#[derive(Debug)]
pub(crate) struct Halfclose {
    args: HalfcloseArgs,
    asker: Asker,
    whole: RefCell<Spread>,
    problems: RefCell<Problems>,
}

impl Halfclose {
    /// # Errors
    /// A datagram endpoint; more connections than descriptors; sizes that have no room for a tag.
    pub(crate) fn new(args: HalfcloseArgs) -> anyhow::Result<Self> {
        args.common.needs_stream(Self::NAME)?;
        limits::make_room_for(args.concurrency)?;
        let asker = Asker::new(&args.common, &args.asking)?;
        Ok(Self { args, asker, whole: RefCell::new(Spread::new()), problems: RefCell::default() })
    }

    async fn one(&self, index: u64) -> Result<(), String> {
        let connected = self.asker.dial.stream(index).await;
        let stream = connected.map_err(|error| format!("connect: {}", cause(&error)))?;
        let mut exchange = Exchange::new(self.asker.tagged, index as u32, self.args.bytes as u64, Vec::new());
        exchange.finish(&stream, self.args.asking.timeout, Then::End).await
    }
}

impl Mode for Halfclose {
    const NAME: &'static str = "halfclose";

    async fn drive(&self) -> anyhow::Result<()> {
        let one = async |index| {
            let begun = Instant::now();
            match self.one(index).await {
                Ok(()) => self.whole.borrow_mut().add(begun.elapsed()),
                Err(problem) => self.problems.borrow_mut().add(problem),
            }
        };
        let concurrency = usize::try_from(self.args.concurrency).unwrap_or(usize::MAX);
        stream::iter(0..self.args.n).for_each_concurrent(concurrency, one).await;
        Ok(())
    }

    fn report(&self, report: &mut Report) {
        let (whole, problems) = (self.whole.borrow(), self.problems.borrow());
        report.line(format!("{} of {} had the whole reply and then the end, after {whole}", whole.len(), self.args.n));
        report.set("connections", self.args.n);
        report.set("whole", whole.len());
        report.set("whole_after", whole.json());
        report.set("seed", self.asker.seed);
        if problems.count() > 0 {
            report.fault(format!("{} not; the first: {}", problems.count(), problems.first()));
        }
    }
}
