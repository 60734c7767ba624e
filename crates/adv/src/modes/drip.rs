//! `drip`: messages that never end, a byte at a time.

use std::cell::Cell;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::time::{interval_at, timeout};

use crate::common::{Common, Mode};
use crate::crowd::{Closed, Crowd, CrowdArgs, WatchArgs};
use crate::report::Report;
use crate::stream::Stream;
use crate::values::{Bytes, bytes, period};

/// The arguments of `drip`.
#[derive(Args, Clone, Debug)]
pub(crate) struct DripArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    crowd: CrowdArgs,
    #[command(flatten)]
    watch: WatchArgs,
    /// A byte each
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = period)]
    every: Duration,
    /// How the message begins: with length framing, a length, as \x00\x00\x10\x00
    #[arg(long, value_name = "TEXT", default_value = "drip", value_parser = bytes)]
    start: Bytes,
    /// The byte that follows, over and over
    #[arg(long, value_name = "TEXT", default_value = "x", value_parser = bytes)]
    drop: Bytes,
}

/// A run of `drip`.
#[derive(Debug)]
pub(crate) struct Drip {
    args: DripArgs,
    crowd: Crowd,
    written: Cell<u64>,
}

impl Drip {
    /// # Errors
    /// As for a crowd.
    pub(crate) fn new(args: DripArgs) -> anyhow::Result<Self> {
        let crowd = Crowd::new(&args.common, &args.crowd, Self::NAME)?;
        Ok(Self { args, crowd, written: Cell::new(0) })
    }

    /// Writes for ever, or until the server has closed.
    async fn drip(&self, stream: &Stream) -> Closed {
        let Self { args, written, .. } = self;
        if let Err(error) = stream.write_all(&args.start.0).await {
            return Closed::by(&error);
        }
        written.set(written.get() + args.start.0.len() as u64);
        let mut turns = interval_at((Instant::now() + args.every).into(), args.every);
        for byte in args.drop.0.iter().cycle() {
            turns.tick().await;
            if let Err(error) = stream.write_all(&[*byte]).await {
                return Closed::by(&error);
            }
            written.set(written.get() + 1);
        }
        Closed::Cleanly
    }
}

impl Mode for Drip {
    const NAME: &'static str = "drip";

    async fn drive(&self) -> anyhow::Result<()> {
        let act = async |_, stream: Stream| {
            let opened = Instant::now();
            let closed = async {
                tokio::select! {
                    how = self.drip(&stream) => how,
                    how = self.crowd.idle(&stream) => how,
                }
            };
            if let Ok(how) = timeout(self.args.watch.longest(), closed).await {
                self.crowd.closed(how, opened);
            }
        };
        self.crowd.each(act).await;
        Ok(())
    }

    fn report(&self, report: &mut Report) {
        self.crowd.report(report);
        report.line(format!("{} bytes written", self.written.get()));
        report.set("written_bytes", self.written.get());
        self.args.watch.judge(&self.crowd, report);
    }
}
