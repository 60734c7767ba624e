//! `stall-handshake`: connections that never say the first word.

use std::time::Instant;

use clap::Args;
use tokio::time::timeout;

use crate::common::{Common, Mode};
use crate::crowd::{Crowd, CrowdArgs, WatchArgs};
use crate::report::Report;

/// The arguments of `stall-handshake`.
#[derive(Args, Clone, Debug)]
pub(crate) struct StallArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    crowd: CrowdArgs,
    #[command(flatten)]
    watch: WatchArgs,
}

/// A run of `stall-handshake`.
#[derive(Debug)]
pub(crate) struct Stall {
    args: StallArgs,
    crowd: Crowd,
}

impl Stall {
    /// # Errors
    /// As for a crowd.
    pub(crate) fn new(args: StallArgs) -> anyhow::Result<Self> {
        let crowd = Crowd::new(&args.common, &args.crowd, Self::NAME)?;
        Ok(Self { args, crowd })
    }
}

impl Mode for Stall {
    const NAME: &'static str = "stall-handshake";

    async fn drive(&self) -> anyhow::Result<()> {
        let act = async |_, stream| {
            let opened = Instant::now();
            if let Ok(how) = timeout(self.args.watch.longest(), self.crowd.idle(&stream)).await {
                self.crowd.closed(how, opened);
            }
        };
        self.crowd.each(act).await;
        Ok(())
    }

    fn report(&self, report: &mut Report) {
        self.crowd.report(report);
        self.args.watch.judge(&self.crowd, report);
    }
}
