//! A server that says how it is, each second, as CSV: `cargo run --example counters [-- ENDPOINT…]`.
//!
//! What a server counts is a value that anything can read at any time, here for a table on the standard output. `Snapshot::iter`
//! lists all counters with their names, units and helps, and `prometheus` is the text for Prometheus.

use std::time::{Duration, Instant};

use swapwire::handlers::UppercaseEcho;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let endpoints = if asked.is_empty() { vec!["tcp://127.0.0.1:8888".to_owned()] } else { asked };

    let server = endpoints.into_iter().fold(swapwire::server(), |server, endpoint| server.listen(endpoint));
    let running = server.handler(UppercaseEcho).bind().await?.start();
    for endpoint in running.local_endpoints() {
        println!("listening {endpoint}");
    }

    println!("seconds,open,sessions,messages,failed,tasks");
    let (begun, mut second) = (Instant::now(), tokio::time::interval(Duration::from_secs(1)));
    loop {
        tokio::select! {
            _ = second.tick() => {
                let seen = running.snapshot();
                let failed = seen.accept_errors + seen.dropped_requests + seen.dropped_replies + seen.failed_replies;
                let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
                let seconds = begun.elapsed().as_secs();
                println!("{seconds},{},{},{},{failed},{tasks}", seen.open(), seen.sessions, seen.messages);
            }
            stop = tokio::signal::ctrl_c() => {
                stop?;
                eprintln!("{}", running.stop().await);
                return Ok(());
            }
        }
    }
}
