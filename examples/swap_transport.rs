//! Swapping the transport is one string: `cargo run --example swap_transport [-- ENDPOINT]`.
//!
//! Try `mem:demo`, `mem-seq:demo`, `mem-dgram:demo`, `tcp://127.0.0.1:0`, `udp://[::1]:0`, `unix:./demo.sock`,
//! `unix:@demo`, `unix-dgram:./demo.sock`.

use swapwire::handlers::UppercaseEcho;
use swapwire::{Framing, Server, SessionConfig, connect_with, default_registry};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "mem:demo".to_owned()); // <- the one string

    // One registry for both ends: the memory network is a value, and this registry holds it.
    let registry = default_registry();
    let server = Server::builder()
        .registry(registry.clone())
        .listen(endpoint)
        .handler(UppercaseEcho)
        .framing(Framing::Lines)
        .bind()
        .await?
        .start();

    let address = &server.local_endpoints()[0]; // with the real port, where 0 was asked for
    println!("listening {address}");
    let mut session = connect_with(&registry, address, SessionConfig::framed(Framing::Lines)).await?;
    for message in ["hello", "swap the wire", "keep the handler"] {
        session.send(message).await?;
        let answer = session.recv().await?.ok_or("the server has closed")?;
        println!("{message} -> {}", String::from_utf8_lossy(&answer));
    }
    drop(session);

    println!("{}", server.stop().await);
    Ok(())
}
