//! The cheapest client: a closed loop.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use swapwire_core::{Endpoint, OptionValue};
use swapwire_limit::{Load, Wire, pin, run};

/// Exchanges messages as fast as replies come, checks every byte, and prints what that cost as a line of JSON
#[derive(Debug, Parser)]
struct Args {
    /// tcp://IP:PORT, udp://IP:PORT, unix:/path, unix-dgram:/path or unix-seq:/path
    endpoint: Endpoint,
    /// Connections, or sockets that send datagrams
    #[arg(long, default_value = "64")]
    connections: usize,
    /// Requests under way on each connection
    #[arg(long, default_value = "1")]
    pipeline: usize,
    /// Bytes of a request, at least 16
    #[arg(long, default_value = "64", value_parser = value::<usize>)]
    size: usize,
    /// For how long
    #[arg(long, default_value = "2s", value_parser = value::<Duration>)]
    duration: Duration,
    /// The processor to run on
    #[arg(long, value_name = "CPU")]
    pin: Option<usize>,
}

fn value<T: OptionValue>(text: &str) -> Result<T, String> {
    T::parse_option(text).map_err(|error| error.to_string())
}

fn main() -> ExitCode {
    match load(&Args::parse()) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("limit-client: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn load(args: &Args) -> Result<String> {
    if let Some(cpu) = args.pin {
        pin(cpu)?;
    }
    let &Args { connections, pipeline, size, duration, .. } = args;
    let report = run(&Wire::try_from(&args.endpoint)?, Load { connections, pipeline, size, duration })?;
    Ok(serde_json::to_string(&report)?)
}
