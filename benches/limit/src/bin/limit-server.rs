//! The cheapest server: upper-case echo.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use swapwire_core::Endpoint;
use swapwire_limit::{How, Server, Tls, Wire, pin, until_the_end};

/// Answers every message with its upper case, until its input ends or SIGTERM comes
#[derive(Debug, Parser)]
struct Args {
    /// tcp://IP:PORT, udp://IP:PORT, ws://IP:PORT, unix:/path, unix-dgram:/path or unix-seq:/path
    endpoint: Endpoint,
    /// Which loop serves
    #[arg(long, value_enum, default_value_t)]
    how: How,
    /// Under TLS: files with a certificate and with its key
    #[arg(long, num_args = 2, value_names = ["CERT", "KEY"])]
    tls: Vec<std::path::PathBuf>,
    /// The processor to run on
    #[arg(long, value_name = "CPU")]
    pin: Option<usize>,
}

fn main() -> ExitCode {
    match serve(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("limit-server: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(args: &Args) -> Result<()> {
    let mut server = Server::bind(&Wire::try_from(&args.endpoint)?, args.how)?;
    if let [cert, key] = &*args.tls {
        server = server.with_tls(Tls::read(cert, key)?);
    }
    until_the_end(server.local())?;
    if let Some(cpu) = args.pin {
        pin(cpu)?;
    }
    println!("listening {}{}", if args.tls.is_empty() { "" } else { "tls+" }, server.local());
    server.run()
}
