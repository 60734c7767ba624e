//! `stall-handshake`: connections that never say the first word, or that begin and stop.

use std::cell::Cell;

use clap::Args;
use tokio::time::{Instant, timeout_at};

use crate::common::{Common, Mode};
use crate::crowd::{Crowd, CrowdArgs, WatchArgs};
use crate::report::Report;
use crate::stream::Stream;
use crate::values::{Bytes, bytes};

/// The arguments of `stall-handshake`.
#[derive(Args, Clone, Debug)]
pub(crate) struct StallArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    crowd: CrowdArgs,
    /// Say this and no more; \xHH is a byte
    #[arg(long, value_name = "TEXT", value_parser = bytes)]
    say: Option<Bytes>,
    /// Connect again at once when the server has closed
    #[arg(long)]
    again: bool,
    #[command(flatten)]
    watch: WatchArgs,
}

/// A run of `stall-handshake`.
#[derive(Debug)]
pub(crate) struct Stall {
    args: StallArgs,
    crowd: Crowd,
    came_again: Cell<u64>,
}

impl Stall {
    /// # Errors
    /// As for a crowd.
    pub(crate) fn new(args: StallArgs) -> anyhow::Result<Self> {
        let crowd = Crowd::new(&args.common, &args.crowd, Self::NAME)?;
        Ok(Self { args, crowd, came_again: Cell::new(0) })
    }

    /// Stalls until the server closes; whether it did before the end.
    async fn stall(&self, stream: &Stream, end: Instant) -> bool {
        let opened = std::time::Instant::now();
        let stalled = async {
            if let Some(said) = &self.args.say {
                // Nobody may be there to hear it, which reading tells.
                let _ = stream.write_all(&said.0).await;
            }
            self.crowd.idle(stream).await
        };
        let Ok(how) = timeout_at(end, stalled).await else { return false };
        self.crowd.closed(how, opened);
        true
    }
}

impl Mode for Stall {
    const NAME: &'static str = "stall-handshake";

    async fn drive(&self) -> anyhow::Result<()> {
        let longest = self.args.watch.longest();
        let end = Instant::now() + longest;
        let act = async |index, mut stream| {
            // One that comes again stays until the end of all.
            let end = if self.args.again { end } else { Instant::now() + longest };
            while self.stall(&stream, end).await && self.args.again {
                drop(stream);
                let Some(next) = self.crowd.open(index).await else { return };
                stream = next;
                self.came_again.set(self.came_again.get() + 1);
            }
        };
        self.crowd.each(act).await;
        Ok(())
    }

    fn report(&self, report: &mut Report) {
        self.crowd.report(report);
        if self.args.again {
            report.line(format!("{} came again", self.came_again.get()));
        }
        report.set("came_again", self.came_again.get());
        self.args.watch.judge(&self.crowd, report);
    }
}
