//! What most modes have in common: arguments, and running until a deadline.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::time::timeout;

use crate::dial::Dial;
use crate::report::Report;
use crate::tagged::{Expect, Framing, Tagged};
use crate::target::Target;
use crate::values::{Sizes, time};

/// Where, and for how long.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Of every mode")]
pub(crate) struct Common {
    /// tcp://HOST:PORT, udp://HOST:PORT, unix:PATH or unix-dgram:PATH (@NAME for an abstract socket)
    #[arg(value_name = "ENDPOINT", value_parser = Target::parse)]
    pub(crate) target: Target,
    /// Connect from this address; several are used in turn
    #[arg(long = "src", value_name = "ADDR")]
    pub(crate) sources: Vec<IpAddr>,
    /// Give up connecting after
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    pub(crate) connect_timeout: Duration,
    /// End the whole run after, which is a fault
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = time)]
    pub(crate) deadline: Duration,
    /// Print one JSON object instead of the summary
    #[arg(long)]
    pub(crate) json: bool,
}

impl Common {
    pub(crate) fn dial(&self) -> Dial {
        Dial {
            target: self.target.clone(),
            sources: self.sources.clone(),
            patience: self.connect_timeout,
            receive_buffer: None,
        }
    }

    /// # Errors
    /// A target whose messages have boundaries, for `mode` wants a byte stream.
    pub(crate) fn needs_stream(&self, mode: &str) -> anyhow::Result<()> {
        let target = &self.target;
        anyhow::ensure!(!target.has_datagrams(), "{mode} {target}: write a tcp or unix endpoint");
        Ok(())
    }
}

/// What is said, and what is right to hear.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "What is said")]
pub(crate) struct Speech {
    /// How messages are told apart on a byte stream
    #[arg(long, value_enum, default_value_t)]
    pub(crate) framing: Framing,
    /// What a right server replies
    #[arg(long, value_enum, default_value_t)]
    pub(crate) expect: Expect,
    /// Bytes of a request, or a range of them
    #[arg(long, value_name = "A..B", default_value = "64")]
    pub(crate) size: Sizes,
    /// Makes the same requests again; without, another number each time
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
}

impl Speech {
    /// The messages, and the seed that made them.
    ///
    /// # Errors
    /// Sizes that have no room for a tag.
    pub(crate) fn tagged(&self, target: &Target) -> anyhow::Result<(Tagged, u64)> {
        let seed = self.seed.unwrap_or_else(|| fastrand::u64(..));
        let framing = if target.has_datagrams() { Framing::Raw } else { self.framing };
        Ok((Tagged::new(seed, framing, self.expect, self.size)?, seed))
    }
}

/// Something to do to a server.
pub(crate) trait Mode {
    /// Its name on the command line.
    const NAME: &'static str;

    /// Does it. Dropped at the deadline.
    async fn drive(&self) -> anyhow::Result<()>;

    /// Tells what was found so far.
    fn report(&self, report: &mut Report);
}

/// Does it until it is done or the deadline passes.
///
/// # Errors
/// What the mode cannot go on after.
pub(crate) async fn run<M: Mode>(mode: &M, subject: &str, deadline: Duration) -> anyhow::Result<Report> {
    let begun = Instant::now();
    let end = timeout(deadline, mode.drive()).await;
    let mut report = Report::new(M::NAME, subject);
    report.set("elapsed_s", begun.elapsed().as_secs_f64());
    mode.report(&mut report);
    match end {
        Ok(result) => result?,
        Err(_) => report.fault(format!("not done at the deadline of {deadline:?}")),
    }
    Ok(report)
}
