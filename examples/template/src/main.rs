//! A service to copy: `cargo run [-- ENDPOINT…]`. `RUST_LOG=swapwire=info` shows its log.

mod store;

use std::error::Error;

use store::Store;
use swapwire::{Framing, Limits, ServerBuilder};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

const DEFAULT: [&str; 2] = ["tcp://127.0.0.1:8888", "udp://127.0.0.1:8888"];

/// What is the same for the program and its tests.
fn compose(server: ServerBuilder) -> ServerBuilder {
    let limits = Limits::default().max_message(4096).max_connections(1000);
    server.handler(Store::default()).framing(Framing::Lines).limits(limits)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(EnvFilter::from_default_env()).init();
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let endpoints = if asked.is_empty() { DEFAULT.map(String::from).to_vec() } else { asked };

    let server = endpoints.into_iter().fold(swapwire::server(), |server, endpoint| server.listen(endpoint));
    let workers = std::thread::available_parallelism()?.get();
    let server = compose(server).workers(workers).bind().await?; // every endpoint is bound, or none
    for endpoint in server.local_endpoints() {
        println!("listening {endpoint}");
    }

    let mut terminate = signal(SignalKind::terminate())?; // systemd, containers, kill
    let mut interrupt = signal(SignalKind::interrupt())?; // ctrl-c
    let report = server
        .run_until(async move {
            tokio::select! {
                _ = terminate.recv() => (),
                _ = interrupt.recv() => (),
            }
        })
        .await;
    eprintln!("{report}");
    if report.is_clean() { Ok(()) } else { Err("sessions were cut at the deadline of the drain".into()) }
}

#[cfg(test)]
mod tests {
    use swapwire::{SessionConfig, connect_with, default_registry};

    use super::*;

    #[tokio::test]
    async fn it_serves_lines_and_datagrams_alike() {
        let registry = default_registry();
        let server = compose(swapwire::Server::builder().registry(registry.clone()));
        let server = server.listen("mem:stream").listen("mem-dgram:datagrams").bind().await.unwrap().start();
        let lines = || SessionConfig::framed(Framing::Lines);
        let mut stream = connect_with(&registry, "mem:stream", lines()).await.unwrap();
        let mut datagrams = connect_with(&registry, "mem-dgram:datagrams", lines()).await.unwrap();
        stream.send("SET colour blue").await.unwrap();
        assert_eq!(stream.recv().await.unwrap().unwrap(), "OK");
        datagrams.send("GET colour").await.unwrap();
        assert_eq!(datagrams.recv().await.unwrap().unwrap(), "blue");
        assert!(server.stop().await.is_clean());
    }
}
