//! The laws of transports, over each shape.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use swapwire_core::Registry;
use swapwire_mem::MemNetwork;
use swapwire_testkit::Suite;

async fn conform(scheme: &'static str) {
    let names = AtomicUsize::new(0);
    let fresh = move || format!("{scheme}:test-{}", names.fetch_add(1, Relaxed)).parse().expect("an endpoint");
    Suite::new(Registry::new().with(MemNetwork::new()), fresh).run().await;
}

#[tokio::test]
async fn byte_stream() {
    conform("mem").await;
}

#[tokio::test]
async fn message_stream() {
    conform("mem-seq").await;
}

#[tokio::test]
async fn datagram() {
    conform("mem-dgram").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_on_several_threads() {
    tokio::join!(conform("mem"), conform("mem-seq"), conform("mem-dgram"));
}
