//! One handler over three transports, until ctrl-c: `cargo run --example ten_line_server [-- ENDPOINT…]`.

use swapwire::handlers::UppercaseEcho;

const DEFAULT: [&str; 3] = ["tcp://127.0.0.1:8888", "udp://127.0.0.1:8888", "unix:./upper.sock"];

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let endpoints = if asked.is_empty() { DEFAULT.map(String::from).to_vec() } else { asked };

    let server = endpoints.into_iter().fold(swapwire::server(), |server, endpoint| server.listen(endpoint));
    let server = server.handler(UppercaseEcho).bind().await?; // every endpoint is bound, or none
    for endpoint in server.local_endpoints() {
        println!("listening {endpoint}");
    }
    let report = server.run_until(async { tokio::signal::ctrl_c().await.unwrap_or(()) }).await;
    eprintln!("{report}");
    Ok(())
}
