//! `hold`: many connections that say nothing.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::time::sleep;

use crate::asking::{AskArgs, Asker};
use crate::common::{Common, Mode};
use crate::crowd::{Crowd, CrowdArgs};
use crate::failures::Failures;
use crate::report::Report;
use crate::spread::Spread;
use crate::stream::Stream;
use crate::tagged::Tag;
use crate::values::{count, time};

/// The arguments of `hold`.
#[derive(Args, Clone, Debug)]
pub(crate) struct HoldArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    crowd: CrowdArgs,
    #[command(flatten)]
    asking: AskArgs,
    /// Hold them so long when all are open
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time)]
    hold_for: Duration,
    /// At the end send a message on each, and wait for the reply
    #[arg(long)]
    ask: bool,
    /// So many must be opened, stay open and, with --ask, be answered. Default: all
    #[arg(long, value_name = "N", value_parser = count)]
    least: Option<u64>,
}

/// A run of `hold`.
#[derive(Debug)]
pub(crate) struct Hold {
    args: HoldArgs,
    crowd: Crowd,
    asker: Asker,
    answers: RefCell<(Spread, Failures)>,
    asked: RefCell<Vec<Stream>>,
}

impl Hold {
    /// # Errors
    /// As for a crowd; sizes that have no room for a tag.
    pub(crate) fn new(args: HoldArgs) -> anyhow::Result<Self> {
        let crowd = Crowd::new(&args.common, &args.crowd, Self::NAME)?;
        let asker = Asker::new(&args.common, &args.asking)?;
        let answers = RefCell::new((Spread::new(), Failures::default()));
        Ok(Self { args, crowd, asker, answers, asked: RefCell::default() })
    }
}

impl Mode for Hold {
    const NAME: &'static str = "hold";

    async fn drive(&self) -> anyhow::Result<()> {
        let act = async |index, stream| {
            let opened = Instant::now();
            let held = async {
                self.crowd.all_tried().await;
                sleep(self.args.hold_for).await;
            };
            tokio::select! {
                how = self.crowd.idle(&stream) => return self.crowd.closed(how, opened),
                () = held => {}
            }
            if self.args.ask {
                let asked = Instant::now();
                let answer = self.asker.ask(&stream, Tag { client: index as u32, seq: 0 }).await;
                let (latency, failures) = &mut *self.answers.borrow_mut();
                match answer {
                    Ok(()) => latency.add(asked.elapsed()),
                    Err(error) => failures.add(&error),
                }
                // Stays open until the last was asked, so that it makes no room for others.
                self.asked.borrow_mut().push(stream);
            }
        };
        self.crowd.each(act).await;
        Ok(())
    }

    fn report(&self, report: &mut Report) {
        self.crowd.report(report);
        let (latency, failures) = &*self.answers.borrow();
        let mut good = self.crowd.still_open();
        if self.args.ask {
            good = latency.len();
            report.line(format!("{good} answered; {failures}; after {latency}"));
            report.set("answered", good);
            report.set("answer_failures", failures.json());
            report.set("answered_after", latency.json());
            report.set("seed", self.asker.seed);
        }
        let least = self.args.least.unwrap_or(self.args.crowd.n);
        if good < least {
            let what = if self.args.ask { "answered" } else { "held" };
            report.fault(format!("{good} {what}, and not {least}"));
        }
    }
}
