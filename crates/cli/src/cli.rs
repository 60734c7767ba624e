//! The arguments.
//!
//! Endpoints, framings and handlers stay texts here: they are parsed later, so that their errors read the same wherever
//! they come from, and all of them are reported at once.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

use crate::help;
use crate::log::Format;
use crate::values::{Deadline, count, patience, size, switch, time};
use crate::ws_headers::HeaderArgs;

/// Groups of the flags of `serve`.
const LIMITS: &str = "Limits";
const TIMES: &str = "Times";

/// As clap's own, with a few examples before the flags, so that the first screen suffices.
const EXAMPLES_FIRST: &str = "{about-with-newline}\n{usage-heading} {usage}\n\n{before-help}{all-args}{after-help}";

mod admin;
mod limits;
mod measure;

pub(crate) use admin::AdminFlags;
pub(crate) use limits::LimitFlags;
pub(crate) use measure::{BenchArgs, CompareArgs, OutputArgs, ReportArgs};

/// Swap the wire, keep the handler: serve a handler on TCP, UDP and Unix sockets, talk to it, and measure it.
#[derive(Debug, Parser)]
#[command(name = "swapwire", version, after_help = help::ROOT_SHORT, after_long_help = help::ROOT)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve a handler on one or more endpoints until a signal stops it
    #[command(before_help = help::SERVE_SHORT, before_long_help = help::SERVE_LONG, after_long_help = help::SERVE)]
    #[command(help_template = EXAMPLES_FIRST)]
    Serve(Box<ServeArgs>),
    /// Send messages to an endpoint and print the replies: from a pipe, or at a prompt
    #[command(after_long_help = help::CONNECT)]
    Connect(ConnectArgs),
    /// Measure servers under load, side by side
    #[command(before_help = help::BENCH_SHORT, before_long_help = help::BENCH_LONG, after_long_help = help::BENCH)]
    #[command(help_template = EXAMPLES_FIRST)]
    Bench(Box<BenchArgs>),
    /// Compare two runs of `bench`
    #[command(after_long_help = help::COMPARE)]
    Compare(CompareArgs),
    /// Print the table of earlier runs of `bench` again, and write their pages
    #[command(after_long_help = help::REPORT)]
    Report(ReportArgs),
    /// List the handlers that `serve` has
    #[command(after_long_help = help::HANDLERS)]
    Handlers,
    /// List the transports and their capabilities
    #[command(after_long_help = help::TRANSPORTS)]
    Transports {
        /// Also list the options that can stand in the query of an endpoint
        #[arg(long)]
        options: bool,
    },
    /// Write the completions of a shell to the standard output
    #[command(after_long_help = help::COMPLETIONS)]
    Completions {
        /// Which shell
        shell: Shell,
    },
}

#[derive(Args, Debug)]
pub(crate) struct ServeArgs {
    /// Configuration file, in TOML; its keys are in docs/config.md
    ///
    /// Flags win over the environment, which wins over the file. A flag about listeners, as --handler, wins over that of every
    /// listener. The file has the listeners: there are no endpoints beside it.
    #[arg(long, value_name = "FILE", conflicts_with = "endpoints")]
    pub(crate) config: Option<PathBuf>,

    /// Print the configuration file that says the same as this command, and end without serving
    #[arg(long, conflicts_with = "check")]
    pub(crate) print_config: bool,

    /// Print the JSON schema of configuration files, for editors, and end without serving
    #[arg(long)]
    pub(crate) print_schema: bool,

    /// Endpoints to listen on, as tcp://127.0.0.1:8888, unix:/run/x.sock, unix:@name or nats://127.0.0.1:4222/subject?queue=name;
    /// port 0 takes a free one
    ///
    /// Default: TCP and UDP port 8888 of 127.0.0.1, and swapwire.sock in $XDG_RUNTIME_DIR, the temporary directory or /tmp,
    /// whichever is the first that takes a socket.
    #[arg(value_name = "ENDPOINT")]
    pub(crate) endpoints: Vec<String>,

    /// Handler that answers; `swapwire handlers` lists them. Default: uppercase-echo
    #[arg(long, value_name = "NAME")]
    pub(crate) handler: Option<String>,

    /// Framing that cuts byte streams into messages: chunks, lines, length, length:2, length:3le, varint, delimiter:TEXT or
    /// fixed:N
    ///
    /// Default: the framing of the handler, else chunks. Wires with boundaries of their own ignore it, except for the line
    /// feed at the end of a message of lines.
    #[arg(long, value_name = "FRAMING")]
    pub(crate) framing: Option<String>,

    /// Page for browsers that open the address of a ws endpoint; without a file the one of the chat, for --handler chat
    ///
    /// A plain GET of the endpoint's path is answered with it: http:// where the endpoint says ws://, https:// for wss://. It has at
    /// most 1 MiB. What it loads from elsewhere is not served.
    #[cfg(feature = "ws")]
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    pub(crate) page: Option<Option<String>>,

    /// Threads that serve. Default: one for each processor that this process may use
    ///
    /// Each thread has a runtime of its own. All threads serve TCP, UDP and Unix stream endpoints; one thread serves an endpoint
    /// that can be bound only once.
    #[arg(long, value_name = "N", value_parser = count::<usize>)]
    pub(crate) workers: Option<usize>,

    /// Bind every endpoint, report every mistake, and end without serving
    ///
    /// With --config, nothing is bound: the server that the file is for may be serving.
    #[arg(long)]
    pub(crate) check: bool,

    /// Filter of the log on the standard error, as `info` or `swapwire_server=debug`. Default: warn
    #[arg(long, value_name = "FILTER")]
    pub(crate) log: Option<String>,

    /// How the log and everything else on the standard error is written. Default: text
    #[arg(long, value_name = "FORMAT")]
    pub(crate) log_format: Option<Format>,

    #[command(flatten)]
    pub(crate) admin: AdminFlags,

    #[command(flatten)]
    pub(crate) limits: LimitFlags,

    /// Close connections at once when the server is full, after this text as a message
    ///
    /// Without it, they wait in the system's queue.
    #[arg(long, value_name = "TEXT", num_args = 0..=1, default_missing_value = "", require_equals = true, help_heading = LIMITS)]
    pub(crate) refuse: Option<String>,

    /// Serve a handler whose replies are larger than its requests to other hosts over UDP
    ///
    /// Senders of datagrams can be forged: an attacker can use such a server to flood a third host.
    #[arg(long, help_heading = LIMITS, value_name = "BOOL", value_parser = switch, num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true")]
    pub(crate) allow_amplification: Option<bool>,

    /// Time between a signal and the drain in which everything is served, and /readyz of the admin endpoint says 503. Default: 0
    ///
    /// A load balancer that looks there sends no more before the first connection is refused.
    #[arg(long, help_heading = TIMES, value_name = "TIME", value_parser = time)]
    pub(crate) drain_delay: Option<Duration>,

    /// Also stop, as by a signal, when the standard input ends
    ///
    /// A program that starts a server and holds the other end of the pipe then ends the server with itself.
    #[arg(long, help_heading = TIMES, value_name = "BOOL", value_parser = switch, num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true")]
    pub(crate) until_eof: Option<bool>,
}

#[derive(Args, Debug)]
pub(crate) struct ConnectArgs {
    /// Endpoint to connect to, as tcp://127.0.0.1:8888, udp://127.0.0.1:8888, unix:/run/x.sock, unix:@name or
    /// nats://127.0.0.1:4222/subject
    #[arg(value_name = "ENDPOINT")]
    pub(crate) endpoint: String,

    /// Framing that cuts a byte stream into messages: lines, length, length:2, length:3le, varint, delimiter:TEXT, fixed:N,
    /// or chunks, which passes bytes unchanged in both directions. Default: lines. On wires with boundaries of their own, chunks
    /// sends the whole input as one message and prints replies unchanged; every other framing sends each line as a message
    /// without its line feed
    #[arg(long, value_name = "FRAMING")]
    pub(crate) framing: Option<String>,

    /// Time to wait for the next reply after the input has ended; 0 does not wait, none waits for ever. Default: 2s where one
    /// reply is expected for each message, and with --no-shutdown; else until the peer ends
    #[arg(long, value_name = "TIME", value_parser = patience)]
    pub(crate) wait: Option<Deadline>,

    /// Keep the sending half of a byte stream open after the input has ended, and wait as on other wires: for servers that close
    /// the connection when the sending half ends
    #[arg(long)]
    pub(crate) no_shutdown: bool,

    /// Print the peer's bytes unchanged on a terminal: they can control it
    #[arg(long)]
    pub(crate) raw: bool,

    /// Largest message in either direction
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "1MiB")]
    pub(crate) max_message: usize,

    #[command(flatten)]
    pub(crate) headers: HeaderArgs,
}

/// How the variables of the environment begin that stand for flags of `serve`.
pub(crate) const VARIABLES: &str = "SWAPWIRE_";

/// The variable of the environment that stands for a flag of `serve`.
pub(crate) fn variable(flag: &str) -> String {
    format!("{VARIABLES}{}", flag.replace('-', "_").to_uppercase())
}

/// The command line, where each flag of `serve` can be given by the environment as well, but for those that say what is to be
/// done.
pub(crate) fn command() -> clap::Command {
    const ACTIONS: [&str; 3] = ["check", "print-config", "print-schema"];
    Cli::command().mut_subcommand("serve", |serve| {
        serve.mut_args(|arg| match arg.get_long().filter(|flag| !ACTIONS.contains(flag)) {
            Some(flag) => {
                let variable = variable(flag);
                arg.env(variable).hide_env(true)
            }
            None => arg,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        command().debug_assert();
    }
}
