//! Unix sockets keep the laws.

#![cfg(unix)]

use std::sync::atomic::{AtomicU32, Ordering};

use swapwire_core::{Endpoint, Place, Registry};
use swapwire_testkit::Suite;
use swapwire_unix::Unix;

/// A new path in `dir` at each call.
fn paths(scheme: &'static str, dir: &tempfile::TempDir) -> impl Fn() -> Endpoint + Send + Sync + 'static {
    let (dir, count) = (dir.path().to_owned(), AtomicU32::new(0));
    move || {
        let path = dir.join(count.fetch_add(1, Ordering::Relaxed).to_string());
        Endpoint::new(scheme, Place::Path(path)).expect("an endpoint")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unix_streams_keep_the_laws() {
    let dir = tempfile::tempdir().expect("a directory");
    Suite::new(Registry::new().with(Unix::new()), paths("unix", &dir)).run().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unix_datagrams_keep_the_laws() {
    let dir = tempfile::tempdir().expect("a directory");
    Suite::new(Registry::new().with(Unix::new()), paths("unix-dgram", &dir)).run().await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unix_messages_keep_the_laws() {
    let dir = tempfile::tempdir().expect("a directory");
    Suite::new(Registry::new().with(Unix::new()), paths("unix-seq", &dir)).run().await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abstract_names_keep_the_laws() {
    for scheme in ["unix", "unix-seq"] {
        let (process, count) = (std::process::id(), AtomicU32::new(0));
        let fresh = move || {
            let name = format!("swapwire-laws-{process}-{scheme}-{}", count.fetch_add(1, Ordering::Relaxed));
            Endpoint::new(scheme, Place::Abstract(name.into_bytes())).expect("an endpoint")
        };
        Suite::new(Registry::new().with(Unix::new()), fresh).run().await;
    }
}
