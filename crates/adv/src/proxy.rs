//! `faultproxy`: between a client and a server, with faults that a seed decides.

mod counters;
mod datagrams;
mod listen;
mod peers;
mod plan;
mod queue;
mod streams;

use std::ffi::OsString;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use self::counters::Counters;
use self::plan::Faults;
use crate::cli::{Failure, finish, misuse, on_one_thread};
use crate::dial::Dial;
use crate::limits;
use crate::report::Report;
use crate::target::Target;
use crate::values::{Times, chance, count, time};

/// A proxy that delays, slices, stalls, resets, closes and corrupts streams, and delays, drops, duplicates, reorders and
/// corrupts datagrams
#[derive(Clone, Debug, Parser)]
#[command(
    name = "faultproxy",
    version,
    max_term_width = 100,
    after_help = "Prints `listening ENDPOINT` when it is ready, and what it did at SIGTERM or SIGINT.\n\n\
                  Chances are for each slice of a stream, and for each datagram. What happens is decided by the seed, the \
                  number of the connection, the direction, and the place in the stream or the number of the datagram, and \
                  never by the time."
)]
struct Args {
    /// Where clients connect: tcp://HOST:PORT, udp://HOST:PORT, unix:PATH or unix-dgram:PATH (@NAME for an abstract socket)
    #[arg(value_parser = Target::parse)]
    listen: Target,
    /// Where the server is; streams go to streams and datagrams to datagrams
    #[arg(value_parser = Target::parse)]
    connect: Target,
    /// Decides all; without, another number each time, which is told
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Delay of each slice or datagram
    #[arg(long, value_name = "A..B", default_value = "0ms")]
    latency: Times,
    /// Pass streams on in slices of 1 to N bytes. Default: up to 4096
    #[arg(long, value_name = "N", default_value = "4096", value_parser = count)]
    slice: u64,
    /// The chance that a slice is held up, and with it all behind it
    #[arg(long, value_name = "P", default_value = "0", value_parser = chance)]
    stall: f64,
    /// For so long
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time)]
    stall_for: Duration,
    /// The chance that a connection is reset within a slice
    #[arg(long, value_name = "P", default_value = "0", value_parser = chance)]
    reset: f64,
    /// The chance that a connection is closed within a slice, as if both sides had ended
    #[arg(long, value_name = "P", default_value = "0", value_parser = chance)]
    close: f64,
    /// The chance that one byte of a slice or datagram is another
    #[arg(long, value_name = "P", default_value = "0", value_parser = chance)]
    corrupt: f64,
    /// The chance that a datagram is not passed on
    #[arg(long, value_name = "P", default_value = "0", value_parser = chance)]
    drop: f64,
    /// The chance that a datagram is passed on twice
    #[arg(long, value_name = "P", default_value = "0", value_parser = chance)]
    duplicate: f64,
    /// The chance that a datagram is passed on behind later ones
    #[arg(long, value_name = "P", default_value = "0", value_parser = chance)]
    reorder: f64,
    /// How much later
    #[arg(long, value_name = "TIME", default_value = "10ms", value_parser = time)]
    reorder_by: Duration,
    /// Connections, or peers of a datagram socket, at once. More connections wait; of more peers, the quietest is forgotten
    #[arg(long, value_name = "N", default_value = "1024", value_parser = count)]
    sessions: u64,
    /// Datagrams under way, of all peers. On udp more are dropped, and counted; on unix-dgram they wait
    #[arg(long, value_name = "N", default_value = "4096", value_parser = count)]
    queue: u64,
    /// Print one JSON object instead of the summary
    #[arg(long)]
    json: bool,
}

/// What all sessions share.
#[derive(Debug)]
struct Proxy {
    faults: Faults,
    dial: Dial,
    sessions: usize,
    queue: usize,
    counters: Counters,
}

/// Runs `faultproxy` with these arguments, the first of which is its own name.
pub fn faultproxy(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = match Args::try_parse_from(args) {
        Ok(args) => args,
        Err(error) => return misuse("faultproxy", &error),
    };
    let json = args.json;
    finish("faultproxy", run(args).map(|report| (report, json)))
}

fn run(args: Args) -> Result<Report, Failure> {
    let (listen, connect) = (args.listen.clone(), args.connect.clone());
    if listen.has_datagrams() != connect.has_datagrams() {
        return Err(Failure::Usage(anyhow::anyhow!(
            "{listen} to {connect}: write two streams, or two datagram sockets"
        )));
    }
    limits::make_room_for(args.sessions.saturating_mul(2)).map_err(Failure::Usage)?;
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
    let proxy = Rc::new(Proxy {
        faults: Faults::new(&args, seed),
        dial: Dial { target: connect, sources: Vec::new(), patience: Duration::from_secs(10), receive_buffer: None },
        sessions: usize::try_from(args.sessions).unwrap_or(usize::MAX),
        queue: usize::try_from(args.queue).unwrap_or(usize::MAX),
        counters: Counters::default(),
    });
    on_one_thread(serve(&proxy, listen, seed)).map_err(Failure::Failed)
}

async fn serve(proxy: &Rc<Proxy>, listen: Target, seed: u64) -> anyhow::Result<Report> {
    // First, so that no signal finds the system's answer to it.
    let ended = end()?;
    let begun = Instant::now();
    let place;
    if listen.has_datagrams() {
        let socket = listen::datagrams(&listen).await?;
        place = listen::announce(&listen, socket.local())?;
        tokio::select! {
            result = datagrams::pass(proxy, &socket) => result?,
            () = ended => {}
        }
    } else {
        let listener = listen::streams(&listen).await?;
        place = listen::announce(&listen, listener.local())?;
        tokio::select! {
            () = streams::accept(proxy, &listener) => {}
            () = ended => {}
        }
    }
    let mut report = Report::new("faultproxy", &format!("{place} to {}", proxy.dial.target));
    report.set("elapsed_s", begun.elapsed().as_secs_f64());
    report.set("seed", seed);
    report.line(format!("seed {seed}"));
    proxy.counters.report(&mut report);
    listen::remove(&listen);
    Ok(report)
}

/// Resolves at the first SIGTERM or SIGINT from now on.
fn end() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("wait for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// After an error of a socket that others share.
async fn pause() {
    sleep(Duration::from_millis(20)).await;
}
