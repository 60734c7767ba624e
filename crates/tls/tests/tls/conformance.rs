//! The laws, in memory. Those on the other wires are tested where all of them are known.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use swapwire_core::{Endpoint, Registry};
use swapwire_mem::MemNetwork;
use swapwire_stack::WithLayer as _;
use swapwire_testkit::{LAWS, Suite};
use swapwire_tls::Tls;

fn fresh(options: &'static str) -> impl Fn() -> Endpoint + Send + Sync {
    let count = AtomicUsize::new(0);
    move || format!("tls+mem:{}?{options}", count.fetch_add(1, Relaxed)).parse().expect("an endpoint")
}

fn registry() -> Registry {
    Registry::new().with(MemNetwork::new()).with_layer(Tls::new())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_the_laws() {
    println!("{} laws", LAWS.len());
    Suite::new(registry(), fresh("self_signed=true")).run().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_the_laws_with_tickets() {
    Suite::new(registry(), fresh("self_signed=true&tickets=true&min_version=1.3")).run().await;
}
