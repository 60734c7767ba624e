//! The example of a layer from outside keeps the laws on every wire that it can stand on, and stays small.
#![cfg(unix)]

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use swapwire::core::Place;
use swapwire::{Endpoint, Registry, Stacked, WithLayer as _, default_registry};
use swapwire_testkit::{LAWS, Suite};

#[path = "../examples/layer.rs"]
#[expect(dead_code, reason = "its main is for people")]
mod layer;

fn registry() -> Registry {
    default_registry().with_layer(layer::Mask)
}

/// A path that nothing was bound to, in a directory that is removed by the one who made it.
fn fresh_path(directory: PathBuf) -> impl Fn() -> Endpoint + Send + Sync {
    let count = AtomicUsize::new(0);
    move || {
        let path = directory.join(count.fetch_add(1, Relaxed).to_string());
        Endpoint::new("mask+unix", Place::Path(path)).expect("an endpoint")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_the_laws_on_tcp() {
    println!("{} laws", LAWS.len());
    Suite::new(registry(), || "mask+tcp://127.0.0.1:0?mask=7".parse().expect("an endpoint")).run().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_the_laws_on_unix_sockets() {
    let directory = tempfile::tempdir().expect("a directory");
    Suite::new(registry(), fresh_path(directory.path().to_owned())).run().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_the_laws_in_memory() {
    let count = AtomicUsize::new(0);
    let fresh = move || format!("mask+mem:{}", count.fetch_add(1, Relaxed)).parse().expect("an endpoint");
    Suite::new(registry(), fresh).run().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stack_by_code_keeps_the_laws() {
    let directory = tempfile::tempdir().expect("a directory");
    let stacked = Stacked::new(layer::Mask, swapwire::unix::Unix::new()).expect("a stack");
    Suite::new(Registry::new().with(stacked), fresh_path(directory.path().to_owned())).run().await;
}

#[test]
fn a_layer_has_at_most_60_lines() {
    let lines: Vec<_> = include_str!("../examples/layer.rs").lines().collect();
    let marks: Vec<_> = (0..lines.len()).filter(|at| lines[*at].trim() == "// --- layer ---").collect();
    let layer = marks[1] - marks[0] - 1;
    println!("the layer has {layer} lines");
    assert!(layer <= 60, "the layer has {layer} lines");
}
