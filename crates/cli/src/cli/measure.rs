//! The arguments of `bench`, `compare` and `report`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::values::{count, time};

#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    /// Whom to measure, as tcp://127.0.0.1:8888 or unix:/run/x.sock: any server that answers a request with a reply.
    /// Several are compared with the first. Without a place (tcp, udp, unix, unix-dgram, mem) a server is started for the
    /// measurement; without any, one on each of these five
    #[arg(value_name = "ENDPOINT")]
    pub(crate) endpoints: Vec<String>,

    /// Bytes of a request: 64, 64..1k (evenly between them) or file:PATH (a size on each line); several with commas.
    /// Default: 64
    #[arg(long, value_name = "SIZE", help_heading = "Load")]
    pub(crate) size: Option<String>,

    /// Connections, or peers of a datagram socket; several with commas
    #[arg(short, long, value_name = "N", default_value = "64", help_heading = "Load")]
    pub(crate) connections: String,

    /// Requests under way on each connection, at most; several with commas. Default: 1; with a rate 1024
    #[arg(long, value_name = "N", help_heading = "Load")]
    pub(crate) pipeline: Option<String>,

    /// Send so many requests per second on all connections together, at intended times, whether or not replies come;
    /// several with commas. With --find-max: where the search begins
    #[arg(long, value_name = "RATE", help_heading = "Load")]
    pub(crate) rate: Option<String>,

    /// Search the highest rate at which --slo holds
    #[arg(long, help_heading = "Load")]
    pub(crate) find_max: bool,

    /// An objective, as p99=5ms or p99.9=10ms,loss=0.1%; missing it is exit code 3
    #[arg(long, value_name = "OBJECTIVE", help_heading = "Load")]
    pub(crate) slo: Option<String>,

    /// What every request holds, with \n, \r, \t, \0, \\ and \x0f as in C. Default: letters and digits that tell requests
    /// apart
    #[arg(long, value_name = "TEXT", help_heading = "Load")]
    pub(crate) message: Option<String>,

    /// The same from a file, byte by byte
    #[arg(long, value_name = "PATH", help_heading = "Load")]
    pub(crate) message_file: Option<PathBuf>,

    /// Open a connection anew after so many replies
    #[arg(long, value_name = "N", value_parser = count::<u64>, help_heading = "Load")]
    pub(crate) reconnect_every: Option<u64>,

    /// The measured part of a round. Default: 800ms
    #[arg(short, long, value_name = "TIME", value_parser = time, help_heading = "Rounds")]
    pub(crate) duration: Option<Duration>,

    /// Send exactly so many requests in the measured part of each round, on all connections together, instead of measuring
    /// for a time; with --warmup 0 nothing else is sent
    #[arg(short = 'n', long, value_name = "N", value_parser = count::<u64>, help_heading = "Rounds")]
    pub(crate) requests: Option<u64>,

    /// How often each target is measured under each load; the targets take turns. Default: 7
    #[arg(long, value_name = "N", value_parser = count::<usize>, help_heading = "Rounds")]
    pub(crate) rounds: Option<usize>,

    /// Full load before the measured part
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "200ms", help_heading = "Rounds")]
    pub(crate) warmup: Duration,

    /// Open the connections of a round over so long
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "0", help_heading = "Rounds")]
    pub(crate) ramp: Duration,

    /// A request without a reply for so long is lost; on a byte stream its connection is given up. Default: 1s where the
    /// wire may lose messages, else 5s
    #[arg(long, value_name = "TIME", value_parser = time, help_heading = "Rounds")]
    pub(crate) timeout: Option<Duration>,

    /// What is a right reply: uppercase, echo, any, bytes:N or regex:PATTERN. Wrong replies fail the run.
    /// Default: what the started handler answers, else uppercase
    #[arg(long, value_name = "REPLY", help_heading = "Replies")]
    pub(crate) expect: Option<String>,

    /// How byte streams are cut into messages: chunks, lines, length, length:2, length:3le, varint, delimiter:TEXT or
    /// fixed:N. Default: what the started handler wants, else chunks; wires with boundaries of their own ignore it
    #[arg(long, value_name = "FRAMING", help_heading = "Replies")]
    pub(crate) framing: Option<String>,

    /// Start the servers: one process for each wire; mem is served within this process. The default without ENDPOINT
    #[arg(long = "self", help_heading = "Servers")]
    pub(crate) own: bool,

    /// What the started servers answer; `swapwire handlers` lists them. Default: uppercase-echo
    #[arg(long, value_name = "NAME", help_heading = "Servers")]
    pub(crate) handler: Option<String>,

    /// Workers of each started server: threads that serve. Default: 1, so that wires are compared on one thread each
    #[arg(long, value_name = "N", value_parser = count::<usize>, help_heading = "Servers")]
    pub(crate) server_workers: Option<usize>,

    /// Bind the started servers to these processors, as 1 or 0,2-3
    #[arg(long, value_name = "CPUS", help_heading = "Servers")]
    pub(crate) server_pin: Option<String>,

    /// The process of the one server that is measured, on this machine: its CPU time and memory are measured too
    #[arg(long, value_name = "PID", help_heading = "Servers")]
    pub(crate) server_pid: Option<u32>,

    /// Threads of the generator. Default: one for each processor of --pin, else for every other one of the machine; no
    /// more than connections
    #[arg(short, long, value_name = "N", value_parser = count::<usize>, help_heading = "Generator")]
    pub(crate) threads: Option<usize>,

    /// Bind the generator's threads to these processors in turn, as 1 or 0,2-3
    #[arg(long, value_name = "CPUS", help_heading = "Generator")]
    pub(crate) pin: Option<String>,

    /// Poll instead of sleeping: each thread takes a whole processor
    #[arg(long, help_heading = "Generator")]
    pub(crate) spin: bool,

    /// Come from these addresses of this machine in turn, as 127.0.0.2,127.0.0.3 (tcp, udp): each has local ports of its own
    #[arg(long, value_name = "ADDR", help_heading = "Generator")]
    pub(crate) source: Option<String>,

    /// Where the random numbers begin, for contents and sizes
    #[arg(long, value_name = "N", default_value = "1", help_heading = "Generator")]
    pub(crate) seed: u64,

    /// Write all of it as JSON, for `compare`, `report` and programs
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) json: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) outputs: OutputArgs,

    /// Print no progress and no table, only what went wrong
    #[arg(long, help_heading = "Output")]
    pub(crate) quiet: bool,
}

/// Files to write beside the table. `-` is the standard output; the table then goes to the standard error.
#[derive(Args, Debug)]
pub(crate) struct OutputArgs {
    /// Write a line for each cell and round
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) csv: Option<PathBuf>,

    /// Write Markdown
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) markdown: Option<PathBuf>,

    /// Write one page with plots that needs nothing else
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) html: Option<PathBuf>,

    /// Write the latencies as a log of HdrHistogram
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) hlog: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct CompareArgs {
    /// The run before, written by `swapwire bench --json`
    #[arg(value_name = "BEFORE.json")]
    pub(crate) before: PathBuf,

    /// The run after
    #[arg(value_name = "AFTER.json")]
    pub(crate) after: PathBuf,

    /// What is a regression, as 'p99>+5%', 'throughput<-3%' or 'server-cpu>+5%', where the noise allows to tell; may stand
    /// several times
    #[arg(long, value_name = "RULE")]
    pub(crate) fail_if: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct ReportArgs {
    /// Runs, written by `swapwire bench --json`
    #[arg(value_name = "RUN.json", required = true)]
    pub(crate) runs: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) outputs: OutputArgs,
}
