//! `churn`: connections that come, say one word, and go.

use std::cell::RefCell;
use std::time::Instant;

use clap::Args;
use futures::StreamExt as _;
use futures::stream;

use crate::asking::{AskArgs, Asker};
use crate::common::{Common, Mode};
use crate::failures::Failures;
use crate::limits;
use crate::report::Report;
use crate::spread::Spread;
use crate::values::count;

/// The arguments of `churn`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ChurnArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    asking: AskArgs,
    /// Connections, one after the other
    #[arg(short, value_name = "N", default_value = "1000", value_parser = count)]
    n: u64,
    /// How many are open at once
    #[arg(long, value_name = "C", default_value = "16", value_parser = count)]
    concurrency: u64,
    /// Say nothing: connect and close
    #[arg(long)]
    silent: bool,
    /// So many must be answered, or, with --silent, be connected. Default: all
    #[arg(long, value_name = "N", value_parser = count)]
    least: Option<u64>,
}

/// A run of `churn`.
#[derive(Debug)]
pub(crate) struct Churn {
    args: ChurnArgs,
    asker: Asker,
    begun: Instant,
    /// From before connecting until the reply had come.
    good: RefCell<Spread>,
    failures: RefCell<Failures>,
}

impl Churn {
    /// # Errors
    /// More connections than descriptors; sizes that have no room for a tag; nothing to be said by datagrams.
    pub(crate) fn new(args: ChurnArgs) -> anyhow::Result<Self> {
        limits::make_room_for(args.concurrency)?;
        if args.silent {
            args.common.needs_stream("churn --silent")?;
        }
        let asker = Asker::new(&args.common, &args.asking)?;
        Ok(Self {
            args,
            asker,
            begun: Instant::now(),
            good: RefCell::new(Spread::new()),
            failures: RefCell::new(Failures::default()),
        })
    }
}

impl Mode for Churn {
    const NAME: &'static str = "churn";

    async fn drive(&self) -> anyhow::Result<()> {
        let one = async |index| {
            let begun = Instant::now();
            let result = if self.args.silent {
                self.asker.dial.stream(index).await.map(drop)
            } else {
                self.asker.ask_anew(index).await
            };
            match result {
                Ok(()) => self.good.borrow_mut().add(begun.elapsed()),
                Err(error) => self.failures.borrow_mut().add(&error),
            }
        };
        let concurrency = usize::try_from(self.args.concurrency).unwrap_or(usize::MAX);
        stream::iter(0..self.args.n).for_each_concurrent(concurrency, one).await;
        Ok(())
    }

    fn report(&self, report: &mut Report) {
        let (good, failures) = (self.good.borrow(), self.failures.borrow());
        let tried = good.len() + failures.total();
        let rate = tried as f64 / self.begun.elapsed().as_secs_f64().max(1e-9);
        report.line(format!("{} of {} connections were good, {rate:.0}/s tried; {failures}", good.len(), self.args.n));
        report.line(format!("good after {good}"));
        report.set("connections", self.args.n);
        report.set("good", good.len());
        report.set("tried_per_s", rate);
        report.set("failures", failures.json());
        report.set("good_after", good.json());
        report.set("seed", self.asker.seed);
        let least = self.args.least.unwrap_or(self.args.n);
        if good.len() < least {
            report.fault(format!("{} good, and not {least}", good.len()));
        }
    }
}
