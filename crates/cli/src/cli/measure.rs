//! The arguments of `bench`, `compare` and `report`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::values::{count, time};
use crate::ws_headers::HeaderArgs;

#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    /// Targets, as tcp://127.0.0.1:8888 or unix:/run/x.sock: any server that answers a request with a reply. The first is the
    /// baseline of the others. A scheme alone (as unix-seq) starts a server for the measurement; the default is tcp, udp, unix,
    /// unix-dgram and mem. Beside schemes, or with --self, nats://127.0.0.1:4222/subject starts one at that broker, which has to
    /// run, and whose CPU time is not measured
    #[arg(value_name = "ENDPOINT")]
    pub(crate) endpoints: Vec<String>,

    /// Bytes of a request: 64, 64..1k (evenly between them) or file:PATH (a size on each line); several with commas.
    /// Default: 64
    #[arg(long, value_name = "SIZE", help_heading = "Load")]
    pub(crate) size: Option<String>,

    /// Connections, or peers of a datagram socket; several with commas
    #[arg(short, long, value_name = "N", default_value = "64", help_heading = "Load")]
    pub(crate) connections: String,

    /// Most requests under way on each connection; several with commas. Default: 1; with a rate 1024
    #[arg(long, value_name = "N", help_heading = "Load")]
    pub(crate) pipeline: Option<String>,

    /// Requests per second on all connections together, sent at intended times, whether or not replies arrive; several with
    /// commas. With --find-max: where the search begins
    #[arg(long, value_name = "RATE", help_heading = "Load")]
    pub(crate) rate: Option<String>,

    /// Search for the highest rate at which --slo holds
    #[arg(long, help_heading = "Load")]
    pub(crate) find_max: bool,

    /// Objective, as p99=5ms or p99.9=10ms,loss=0.1%; exit code 3 if it is missed
    #[arg(long, value_name = "OBJECTIVE", help_heading = "Load")]
    pub(crate) slo: Option<String>,

    /// Contents of every request, with \n, \r, \t, \0, \\ and \x0f as in C. Default: letters and digits that differ between
    /// requests
    #[arg(long, value_name = "TEXT", help_heading = "Load")]
    pub(crate) message: Option<String>,

    /// Contents of every request, from a file, unchanged
    #[arg(long, value_name = "PATH", help_heading = "Load")]
    pub(crate) message_file: Option<PathBuf>,

    /// Replies after which a connection is opened anew
    #[arg(long, value_name = "N", value_parser = count::<u64>, help_heading = "Load")]
    pub(crate) reconnect_every: Option<u64>,

    /// Length of the measured part of a round. Default: 800ms
    #[arg(short, long, value_name = "TIME", value_parser = time, help_heading = "Rounds")]
    pub(crate) duration: Option<Duration>,

    /// Exact number of requests in the measured part of each round, on all connections together, in place of --duration; with
    /// --warmup 0 nothing else is sent
    #[arg(short = 'n', long, value_name = "N", value_parser = count::<u64>, help_heading = "Rounds")]
    pub(crate) requests: Option<u64>,

    /// Number of measurements of each target under each load; the targets take turns. Default: 7
    #[arg(long, value_name = "N", value_parser = count::<usize>, help_heading = "Rounds")]
    pub(crate) rounds: Option<usize>,

    /// Time of full load before the measured part
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "200ms", help_heading = "Rounds")]
    pub(crate) warmup: Duration,

    /// Time over which the connections of a round are opened
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "0", help_heading = "Rounds")]
    pub(crate) ramp: Duration,

    /// Time after which a request without a reply is lost; on a byte stream its connection is closed. Default: 1s where the
    /// wire may lose messages, else 5s
    #[arg(long, value_name = "TIME", value_parser = time, help_heading = "Rounds")]
    pub(crate) timeout: Option<Duration>,

    /// Right reply: uppercase, echo, any, bytes:N or regex:PATTERN. Wrong replies fail the run. Default: the reply of the started
    /// handler, else uppercase
    #[arg(long, value_name = "REPLY", help_heading = "Replies")]
    pub(crate) expect: Option<String>,

    /// Framing that cuts byte streams into messages: chunks, lines, length, length:2, length:3le, varint, delimiter:TEXT or
    /// fixed:N. Default: the framing of the started handler, else chunks; wires with boundaries of their own ignore it
    #[arg(long, value_name = "FRAMING", help_heading = "Replies")]
    pub(crate) framing: Option<String>,

    #[command(flatten)]
    pub(crate) headers: HeaderArgs,

    /// Start the servers: a process for each wire; mem is served within this process. Default without ENDPOINT
    #[arg(long = "self", help_heading = "Servers")]
    pub(crate) own: bool,

    /// Handler of the started servers; `swapwire handlers` lists them. Default: uppercase-echo
    #[arg(long, value_name = "NAME", help_heading = "Servers")]
    pub(crate) handler: Option<String>,

    /// Workers (threads that serve) of each started server. Default: 1, so that wires are compared on one thread each
    #[arg(long, value_name = "N", value_parser = count::<usize>, help_heading = "Servers")]
    pub(crate) server_workers: Option<usize>,

    /// Processors of the started servers, as 1 or 0,2-3
    #[arg(long, value_name = "CPUS", help_heading = "Servers")]
    pub(crate) server_pin: Option<String>,

    /// Process of the server, if one on this machine is measured: its CPU time and memory are measured too
    #[arg(long, value_name = "PID", help_heading = "Servers")]
    pub(crate) server_pid: Option<u32>,

    /// Threads of the generator. Default: one for each processor of --pin, else for every other one of the machine; no
    /// more than connections
    #[arg(short, long, value_name = "N", value_parser = count::<usize>, help_heading = "Generator")]
    pub(crate) threads: Option<usize>,

    /// Processors of the generator's threads, in turn, as 1 or 0,2-3
    #[arg(long, value_name = "CPUS", help_heading = "Generator")]
    pub(crate) pin: Option<String>,

    /// Poll instead of sleeping: each thread takes a whole processor
    #[arg(long, help_heading = "Generator")]
    pub(crate) spin: bool,

    /// Addresses of this machine to connect from, in turn, as 127.0.0.2,127.0.0.3 (tcp, udp): each has local ports of its own
    #[arg(long, value_name = "ADDR", help_heading = "Generator")]
    pub(crate) source: Option<String>,

    /// Seed of the random contents and sizes
    #[arg(long, value_name = "N", default_value = "1", help_heading = "Generator")]
    pub(crate) seed: u64,

    /// Write the whole run as JSON, for `compare`, `report` and programs
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) json: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) outputs: OutputArgs,

    /// Print no progress and no table, only errors
    #[arg(long, help_heading = "Output")]
    pub(crate) quiet: bool,
}

/// Files in addition to the table. `-` is the standard output; the table then goes to the standard error.
#[derive(Args, Debug)]
pub(crate) struct OutputArgs {
    /// Write a line for each cell and round
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) csv: Option<PathBuf>,

    /// Write Markdown
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) markdown: Option<PathBuf>,

    /// Write one self-contained page with plots
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) html: Option<PathBuf>,

    /// Write the latencies as an HdrHistogram log
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) hlog: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct CompareArgs {
    /// Run before the change, written by `swapwire bench --json`
    #[arg(value_name = "BEFORE.json")]
    pub(crate) before: PathBuf,

    /// Run after the change
    #[arg(value_name = "AFTER.json")]
    pub(crate) after: PathBuf,

    /// Rule for a regression, as 'p99>+5%', 'throughput<-3%' or 'server-cpu>+5%'; may be given several times
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
