//! The laws of transports and of layers, in memory.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use swapwire_core::Registry;
use swapwire_mem::MemNetwork;
use swapwire_proxy::Proxy;
use swapwire_stack::WithLayer as _;
use swapwire_testkit::Suite;

async fn conform(options: &'static str) {
    let names = AtomicUsize::new(0);
    let fresh =
        move || format!("proxy+mem:{}?trust=mem{options}", names.fetch_add(1, Relaxed)).parse().expect("an endpoint");
    Suite::new(Registry::new().with(MemNetwork::new()).with_layer(Proxy::new()), fresh).run().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whichever_version() {
    conform("").await;
}

/// A client has to be told of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_version() {
    conform("&version=1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_of_clients() {
    let names = AtomicUsize::new(0);
    let fresh = move || format!("proxy+mem:{}?trust=mem", names.fetch_add(1, Relaxed)).parse().expect("an endpoint");
    let registry = Registry::new().with(MemNetwork::new()).with_layer(Proxy::new());
    let dial = |dial: swapwire_core::Endpoint| {
        dial.with_option("client", "192.0.2.1:1")
            .with_option("destination", "192.0.2.2:2")
            .with_option("checksum", "true")
    };
    let whom = "a client names another, and the server believes it";
    Suite::new(registry, fresh).dial_with(dial).skip("addresses_agree", whom).run().await;
}
