//! The laws of transports.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use swapwire_core::Registry;
use swapwire_mem::MemNetwork;
use swapwire_nats::Nats;
use swapwire_testkit::{Faults, Faulty, Suite};

use super::broker::{Broker, hub};

#[tokio::test]
async fn the_laws_hold() {
    let (network, hub) = (MemNetwork::new(), hub());
    hub.lock().unwrap().max_payload = 1 << 20;
    let _broker = Broker::start(&network, "b", &hub).await;
    let names = AtomicUsize::new(0);
    let fresh = move || format!("nats:b?path=/s{}&queue=g", names.fetch_add(1, Relaxed)).parse().unwrap();
    Suite::new(Registry::new().with(Nats::over(network)), fresh).run().await;
}

/// On a connection that gives a few bytes at a time and pauses.
#[tokio::test]
async fn the_laws_hold_on_a_bad_connection() {
    let (network, hub) = (MemNetwork::new(), hub());
    hub.lock().unwrap().max_payload = 1 << 20;
    let _broker = Broker::start(&network, "b", &hub).await;
    let names = AtomicUsize::new(0);
    let fresh = move || format!("nats:b?path=/s{}&queue=g", names.fetch_add(1, Relaxed)).parse().unwrap();
    let nats = Nats::over(Faulty::new(network, Faults::default(), 7));
    Suite::new(Registry::new().with(nats), fresh).run().await;
}
