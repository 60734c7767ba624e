//! The command line of `adv`.

use std::ffi::OsString;
use std::future::Future;
use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use crate::common::{self, Common};
use crate::modes::churn::{Churn, ChurnArgs};
use crate::modes::drip::{Drip, DripArgs};
use crate::modes::garbage::{Garbage, GarbageArgs};
use crate::modes::halfclose::{Halfclose, HalfcloseArgs};
use crate::modes::hold::{Hold, HoldArgs};
use crate::modes::noread::{Noread, NoreadArgs};
use crate::modes::pipeline::{Pipeline, PipelineArgs};
use crate::modes::rst::{Rst, RstArgs};
use crate::modes::spoof::{Spoof, SpoofArgs};
use crate::modes::stall::{Stall, StallArgs};
use crate::modes::watch::{Watch, WatchArgs};
use crate::report::{FAULT, Report, USAGE};
use crate::verify::{Verify, VerifyArgs};

/// An adversary for servers: clients that misbehave, and a judge of replies
#[derive(Debug, Parser)]
#[command(
    name = "adv",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 ok, 1 a fault was found, 2 wrong usage"
)]
struct Cli {
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// Judge every reply: lost, duplicated, crossed, corrupt, late, cut, and how the connection ended
    Verify(Box<VerifyArgs>),
    /// Open many connections that say nothing, and see whether they stay and are answered
    Hold(HoldArgs),
    /// Send messages that never end, a byte at a time
    Drip(DripArgs),
    /// Ask and never read
    Noread(NoreadArgs),
    /// Connect, say one word, close, and again
    Churn(ChurnArgs),
    /// Ask, end the writing half, and read the whole reply
    Halfclose(HalfcloseArgs),
    /// Write on while replies wait to be read, which must come whole
    Pipeline(PipelineArgs),
    /// Reset connections at random bytes
    Rst(RstArgs),
    /// Send spoilt, empty or endless frames
    Garbage(GarbageArgs),
    /// Send datagrams from very many addresses, and count what comes back
    UdpSpoof(SpoofArgs),
    /// Connect and never say the first word
    #[command(alias = "stall-tls")]
    StallHandshake(StallArgs),
    /// Look at the memory, descriptors, threads and CPU time of a process
    Watch(WatchArgs),
}

/// Runs `adv` with these arguments, the first of which is its own name.
pub fn adv(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return misuse("adv", &error),
    };
    finish("adv", attack(cli.mode))
}

fn attack(mode: Mode) -> Result<(Report, bool), Failure> {
    match mode {
        Mode::Verify(args) => with(args.common.clone(), || Verify::new(*args)),
        Mode::Hold(args) => with(args.common.clone(), || Hold::new(args)),
        Mode::Drip(args) => with(args.common.clone(), || Drip::new(args)),
        Mode::Noread(args) => with(args.common.clone(), || Noread::new(args)),
        Mode::Churn(args) => with(args.common.clone(), || Churn::new(args)),
        Mode::Halfclose(args) => with(args.common.clone(), || Halfclose::new(args)),
        Mode::Pipeline(args) => with(args.common.clone(), || Pipeline::new(args)),
        Mode::Rst(args) => with(args.common.clone(), || Rst::new(args)),
        Mode::Garbage(args) => with(args.common.clone(), || Garbage::new(args)),
        Mode::UdpSpoof(args) => with(args.common.clone(), || Spoof::new(args)),
        Mode::StallHandshake(args) => with(args.common.clone(), || Stall::new(args)),
        Mode::Watch(args) => {
            let (subject, deadline, json) = (args.pid.to_string(), args.deadline, args.json);
            let mode = Watch::new(args).map_err(Failure::Failed)?;
            Ok((on_one_thread(common::run(&mode, &subject, deadline)).map_err(Failure::Failed)?, json))
        }
    }
}

/// Makes a mode of its arguments, which may be wrong, and runs it.
fn with<M: common::Mode>(common: Common, make: impl FnOnce() -> anyhow::Result<M>) -> Result<(Report, bool), Failure> {
    let mode = make().map_err(Failure::Usage)?;
    let subject = common.target.to_string();
    let run = common::run(&mode, &subject, common.deadline);
    Ok((on_one_thread(run).map_err(Failure::Failed)?, common.json))
}

/// Why there is no report.
pub(crate) enum Failure {
    /// Called wrongly.
    Usage(anyhow::Error),
    /// It could not go on.
    Failed(anyhow::Error),
}

/// Runs a future on a runtime of its own.
pub(crate) fn on_one_thread<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("make a runtime")?;
    runtime.block_on(future)
}

/// Prints a report, as JSON if it is to be, or why there is none, and gives the exit code.
pub(crate) fn finish(program: &str, result: Result<(Report, bool), Failure>) -> ExitCode {
    let (code, error) = match result {
        Ok((report, json)) => {
            let code = report.exit_code();
            let text = if json { report.json() } else { report.text() };
            // A reader that has seen enough is no error.
            let _ = io::stdout().write_all(text.as_bytes());
            return ExitCode::from(code);
        }
        Err(Failure::Usage(error)) => (USAGE, error),
        Err(Failure::Failed(error)) => (FAULT, error),
    };
    let _ = writeln!(io::stderr(), "{program}: {error:#}");
    ExitCode::from(code)
}

/// What clap says, on one line; help and version as they are.
pub(crate) fn misuse(program: &str, error: &clap::Error) -> ExitCode {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    ) {
        let _ = error.print();
        return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE));
    }
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let end = ["\n\nUsage:", "\n\nFor more information"].iter().filter_map(|mark| text.find(mark)).min();
    let words: Vec<_> = text[..end.unwrap_or(text.len())].split_whitespace().collect();
    let _ = writeln!(io::stderr(), "{program}: {}; see --help", words.join(" "));
    ExitCode::from(USAGE)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }
}
