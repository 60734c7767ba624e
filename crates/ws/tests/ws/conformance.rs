//! The laws, in memory. Those on the other wires are tested where all of them are known.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use swapwire_core::{Endpoint, Registry};
use swapwire_mem::MemNetwork;
use swapwire_stack::WithLayer as _;
use swapwire_testkit::{LAWS, Suite};
use swapwire_ws::Ws;

async fn conform(options: &'static str) {
    let names = AtomicUsize::new(0);
    let fresh = move || -> Endpoint {
        format!("ws+mem:{}{options}", names.fetch_add(1, Relaxed)).parse().expect("an endpoint")
    };
    Suite::new(Registry::new().with(MemNetwork::new()).with_layer(Ws::new()), fresh).run().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_the_laws() {
    println!("{} laws", LAWS.len());
    conform("").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_the_laws_with_a_path_and_bytes_alone() {
    conform("?path=/chat&type=binary").await;
}
