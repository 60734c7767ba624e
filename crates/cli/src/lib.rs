//! The swapwire command as a library: the binary `swapwire` calls [`run`] and nothing else.
//!
//! * `serve` composes a server of the facade's handlers and transports and runs it until a signal stops it.
//! * `connect` sends messages to one endpoint, from a pipe or at a prompt.
//! * `bench` measures servers under load, side by side; `compare` compares two runs, `report` shows them again.
//! * `handlers` and `transports` list what is available; `completions` writes a shell's completions.
//!
//! The interface for users and scripts: results on the standard output, everything else on the standard error, one line for
//! each error, and the exit codes 0 (success), 1 (failure), 2 (wrong usage) and 3 (`serve`: cut at the drain deadline;
//! `bench`: an objective was missed; `compare`: a regression).
#![cfg_attr(docsrs, feature(doc_cfg))]

mod bench;
mod cli;
mod config;
mod connect;
mod cpus;
mod descriptors;
mod directories;
mod exit;
mod help;
mod list;
mod log;
mod manager;
mod notices;
mod outputs;
mod runs;
mod serve;
mod signals;
mod stdio;
mod values;
mod ws_headers;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::FromArgMatches as _;

use crate::cli::{Cli, Command};
use crate::exit::Failure;
use crate::log::Severity;

/// Runs the command with these arguments, the first of which is the program's name, and gives its exit code.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    tell_panics();
    // Also when this thread panics.
    let _told = notices::settling();
    let args: Vec<_> = args.into_iter().collect();
    let parsed = cli::command().try_get_matches_from(&args).and_then(|matches| Cli::from_arg_matches(&matches));
    let code = match parsed {
        Ok(cli) => dispatch(cli.command).unwrap_or_else(|failure| failure.report()),
        Err(error) => exit::misuse(&error, &args),
    };
    ExitCode::from(code)
}

/// A handler that panics costs its session and not the server, which a full pipe must not stop either.
fn tell_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let trace = std::backtrace::Backtrace::capture();
        let trace = match trace.status() {
            std::backtrace::BacktraceStatus::Captured => format!("\n{trace}"),
            _ => String::new(),
        };
        notices::tell_panic(log::line(Severity::Error, format_args!("{panic}{trace}")));
    }));
}

fn dispatch(command: Command) -> Result<u8, Failure> {
    match command {
        Command::Serve(args) => serve::run(*args),
        Command::Connect(args) => connect::run(args),
        Command::Bench(args) => bench::run(&args),
        Command::Compare(args) => runs::run_compare(&args),
        Command::Report(args) => runs::run_report(&args),
        Command::Handlers => exit::print(&list::handlers(&swapwire::default_handlers())),
        Command::Transports { options } => exit::print(&list::transports(&swapwire::default_registry(), options)),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut cli::command(), "swapwire", &mut script);
            exit::print(&String::from_utf8_lossy(&script))
        }
    }
}
