//! The arguments.
//!
//! Endpoints, framings and handlers stay texts here: they are parsed later, so that their errors read the same wherever
//! they come from, and all of them are told at once.

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::help;
use crate::values::{Deadline, count, deadline, patience, size};

/// Groups of the flags of `serve`.
const LIMITS: &str = "Limits";
const TIMES: &str = "Times";

/// As clap's own, with a few examples ahead of the flags, so that the first screen suffices.
const EXAMPLES_FIRST: &str = "{about-with-newline}\n{usage-heading} {usage}\n\n{before-help}{all-args}{after-help}";

mod measure;

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
    /// Serve a handler on one or more endpoints until a signal says stop
    #[command(before_help = help::SERVE_SHORT, before_long_help = help::SERVE_LONG, after_long_help = help::SERVE)]
    #[command(help_template = EXAMPLES_FIRST)]
    Serve(ServeArgs),
    /// Talk to an endpoint: from a pipe, or at a prompt
    #[command(after_long_help = help::CONNECT)]
    Connect(ConnectArgs),
    /// Measure servers under load, side by side
    #[command(before_help = help::BENCH_SHORT, before_long_help = help::BENCH_LONG, after_long_help = help::BENCH)]
    #[command(help_template = EXAMPLES_FIRST)]
    Bench(Box<BenchArgs>),
    /// Compare two runs of `bench`
    #[command(after_long_help = help::COMPARE)]
    Compare(CompareArgs),
    /// Make the table and the pages of earlier runs of `bench` again
    #[command(after_long_help = help::REPORT)]
    Report(ReportArgs),
    /// List the handlers that `serve` knows
    #[command(after_long_help = help::HANDLERS)]
    Handlers,
    /// List the transports and what their wires can do
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
    /// Where to listen, as tcp://127.0.0.1:8888, unix:/run/x.sock or unix:@name; port 0 takes a free one
    ///
    /// Without any: TCP and UDP port 8888 of 127.0.0.1, and swapwire.sock in $XDG_RUNTIME_DIR, the temporary directory or /tmp,
    /// the first that takes a socket.
    #[arg(value_name = "ENDPOINT")]
    pub(crate) endpoints: Vec<String>,

    /// What answers; `swapwire handlers` lists them
    #[arg(long, value_name = "NAME", default_value = "uppercase-echo")]
    pub(crate) handler: String,

    /// How byte streams are cut into messages: chunks, lines, length, length:2, length:3le, varint, delimiter:TEXT or
    /// fixed:N
    ///
    /// Default: what the handler wants, else chunks. Wires with boundaries of their own ignore it, but
    /// for the line feed at the end of a message of lines.
    #[arg(long, value_name = "FRAMING")]
    pub(crate) framing: Option<String>,

    /// Threads that serve. Default: one for each processor that this process may use
    ///
    /// Each has a runtime of its own. TCP, UDP and Unix stream endpoints are shared by all of them; one that can be bound only
    /// once is served by one.
    #[arg(long, value_name = "N", value_parser = count::<usize>)]
    pub(crate) workers: Option<usize>,

    /// Bind everything as to serve, tell what is wrong, and end
    #[arg(long)]
    pub(crate) check: bool,

    /// What to log on the standard error, as `info` or `swapwire_server=debug`
    #[arg(long, value_name = "FILTER", env = "SWAPWIRE_LOG", hide_env_values = true, default_value = "warn")]
    pub(crate) log: String,

    /// Open connections, over all workers. Default: 0.8 × the limit on descriptors
    ///
    /// More wait in the system's queue, or see --refuse.
    #[arg(long, value_name = "N", help_heading = LIMITS)]
    pub(crate) max_connections: Option<usize>,

    /// When the server is full, accept and close at once, after this text as a message
    ///
    /// Without it, connections wait in the system's queue.
    #[arg(long, value_name = "TEXT", num_args = 0..=1, default_missing_value = "", require_equals = true, help_heading = LIMITS)]
    pub(crate) refuse: Option<String>,

    /// Open connections of one source, over all workers, and its sessions on a datagram socket. Default: no limit
    ///
    /// A source is an IPv4 address, or an IPv6 /64. More are refused.
    #[arg(long, value_name = "N", value_parser = count::<usize>, help_heading = LIMITS)]
    pub(crate) max_per_source: Option<usize>,

    /// Datagrams that one source may send in a second to one socket. Default: no limit
    ///
    /// A source is an IPv4 /24 or an IPv6 /64. More are dropped.
    #[arg(long, value_name = "N", value_parser = count::<u32>, help_heading = LIMITS)]
    pub(crate) source_rate: Option<u32>,

    /// The largest message. Default: 1MiB
    #[arg(long, value_name = "SIZE", value_parser = size, help_heading = LIMITS)]
    pub(crate) max_message: Option<usize>,

    /// What all connections together may keep in memory while they wait. Default: no limit
    ///
    /// Above it, those that keep the most are closed.
    #[arg(long, value_name = "SIZE", value_parser = size, help_heading = LIMITS)]
    pub(crate) memory_budget: Option<usize>,

    /// Let a handler that answers with more than it is asked be reached from other hosts over UDP
    ///
    /// Senders of datagrams can be forged: such a server can be made to flood somebody who never asked.
    #[arg(long, help_heading = LIMITS)]
    pub(crate) allow_amplification: bool,

    /// End a session without a byte for so long; none switches it off. Default: 5m
    #[arg(long, value_name = "TIME", value_parser = deadline, help_heading = TIMES)]
    pub(crate) idle_timeout: Option<Deadline>,

    /// End a session whose message takes longer to arrive; none switches it off. Default: 30s
    #[arg(long, value_name = "TIME", value_parser = deadline, help_heading = TIMES)]
    pub(crate) frame_timeout: Option<Deadline>,

    /// End a session whose peer does not read for so long; none switches it off. Default: 30s
    #[arg(long, value_name = "TIME", value_parser = deadline, help_heading = TIMES)]
    pub(crate) write_timeout: Option<Deadline>,

    /// When told to stop, let sessions finish for so long, then cut them; 0 cuts at once. Default: 30s
    #[arg(long, value_name = "TIME", value_parser = patience, help_heading = TIMES)]
    pub(crate) drain_timeout: Option<Deadline>,

    /// Also stop, as by a signal, when the standard input ends
    ///
    /// For a program that starts a server and holds the other end of a pipe, so that the server ends with it.
    #[arg(long, help_heading = TIMES)]
    pub(crate) until_eof: bool,
}

#[derive(Args, Debug)]
pub(crate) struct ConnectArgs {
    /// Whom to talk to, as tcp://127.0.0.1:8888, udp://127.0.0.1:8888, unix:/run/x.sock or unix:@name
    #[arg(value_name = "ENDPOINT")]
    pub(crate) endpoint: String,

    /// How a byte stream is cut into messages: lines, length, length:2, length:3le, varint, delimiter:TEXT, fixed:N,
    /// or chunks, which passes bytes both ways as they are. Default: lines. On wires with boundaries of their own chunks
    /// sends the whole input as one message, and prints replies as they are; the others mean lines there, whose line feeds
    /// belong to no message
    #[arg(long, value_name = "FRAMING")]
    pub(crate) framing: Option<String>,

    /// After the input has ended, wait so long for the next reply; 0 does not wait, none waits for ever.
    /// Default: 2s where one reply is expected for each message, and with --no-shutdown; else until the peer ends
    #[arg(long, value_name = "TIME", value_parser = patience)]
    pub(crate) wait: Option<Deadline>,

    /// After the input has ended, keep the sending half of a byte stream open, and wait as on other wires: for servers that
    /// take its end for the end of the connection
    #[arg(long)]
    pub(crate) no_shutdown: bool,

    /// On a terminal, print the peer's bytes as they are: they can control the terminal
    #[arg(long)]
    pub(crate) raw: bool,

    /// The largest message in either direction
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "1MiB")]
    pub(crate) max_message: usize,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
