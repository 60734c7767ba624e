//! One chat room, by lines over TCP and by datagrams over UDP: `cargo run --example chat [-- ENDPOINT…]`.
//!
//! Join with `nc 127.0.0.1 8888` or `nc -u 127.0.0.1 8888`. Who comes by UDP is in the room from the first datagram on.

use swapwire::handlers::Chat;
use swapwire::{Framing, IntoService as _};

const DEFAULT: [&str; 2] = ["tcp://127.0.0.1:8888", "udp://127.0.0.1:8888"];

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let endpoints = if asked.is_empty() { DEFAULT.map(String::from).to_vec() } else { asked };

    let room = Chat::new().into_service(); // one room for all endpoints
    let server = endpoints.into_iter().fold(swapwire::server(), |server, endpoint| server.listen(endpoint));
    let server = server.handler(room).framing(Framing::Lines).bind().await?;
    for endpoint in server.local_endpoints() {
        println!("listening {endpoint}");
    }
    let report = server.run_until(async { tokio::signal::ctrl_c().await.unwrap_or(()) }).await;
    eprintln!("{report}");
    Ok(())
}
