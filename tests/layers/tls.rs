//! The layer `tls` keeps the laws on every wire that it can stand on.
#![cfg(unix)]

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use swapwire::core::Place;
use swapwire::tls::{Identity, Tls};
use swapwire::{Endpoint, Registry, Stacked, default_registry};
use swapwire_testkit::{LAWS, Suite};

/// A path that nothing was bound to, in a directory that is removed by the one who made it.
fn fresh_path(directory: PathBuf) -> impl Fn() -> Endpoint + Send + Sync {
    let count = AtomicUsize::new(0);
    move || {
        let path = directory.join(count.fetch_add(1, Relaxed).to_string());
        Endpoint::new("tls+unix", Place::Path(path)).expect("an endpoint").with_option("self_signed", true)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_the_laws_on_tcp() {
    println!("{} laws", LAWS.len());
    let fresh = || "tls+tcp://127.0.0.1:0?self_signed=true".parse().expect("an endpoint");
    Suite::new(default_registry(), fresh).run().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_the_laws_on_unix_sockets() {
    let directory = tempfile::tempdir().expect("a directory");
    Suite::new(default_registry(), fresh_path(directory.path().to_owned())).run().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_the_laws_in_memory() {
    let count = AtomicUsize::new(0);
    let fresh = move || {
        let number = count.fetch_add(1, Relaxed);
        format!("tls+mem:{number}?self_signed=true&min_version=1.3&tickets=true").parse().expect("an endpoint")
    };
    Suite::new(default_registry(), fresh).run().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stack_by_code_keeps_the_laws() {
    let identity = Identity::self_signed(&["127.0.0.1"]).expect("a certificate");
    let pin = identity.pin();
    let stacked = Stacked::new(Tls::new().with_identity(identity), swapwire::tcp::Tcp::new()).expect("a stack");
    let suite = Suite::new(Registry::new().with(stacked), || "tls+tcp://127.0.0.1:0".parse().expect("an endpoint"));
    suite.dial_with(move |dial| dial.with_option("pin", &pin)).run().await;
}
