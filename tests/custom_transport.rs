//! The example of a third-party transport keeps the same laws as the project's own, and stays small.
#![cfg(unix)]

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use swapwire::core::Place;
use swapwire::{Endpoint, Registry};
use swapwire_testkit::Suite;

#[path = "../examples/custom_transport.rs"]
#[expect(dead_code, reason = "its main is for people")]
mod custom_transport;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_custom_transport_keeps_the_laws() {
    let dir = tempfile::tempdir().expect("a directory");
    let (path, count) = (dir.path().to_owned(), AtomicUsize::new(0));
    let fresh = move || {
        let path = path.join(count.fetch_add(1, Relaxed).to_string());
        Endpoint::new("fifo", Place::Path(path)).expect("an endpoint")
    };
    Suite::new(Registry::new().with(custom_transport::Fifo), fresh).run().await;
    let left: Vec<_> = std::fs::read_dir(dir.path()).expect("the directory").flatten().map(|e| e.file_name()).collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

/// The lines between two equal marks, blank ones and comments included.
fn lines_between(source: &str, mark: &str) -> usize {
    let lines: Vec<_> = source.lines().collect();
    let marks: Vec<_> = (0..lines.len()).filter(|i| lines[*i].trim() == mark).collect();
    assert_eq!(marks.len(), 2, "{mark:?} must stand before and after");
    marks[1] - marks[0] - 1
}

#[test]
fn a_transport_has_at_most_120_lines_and_a_handler_at_most_10() {
    let transport = lines_between(include_str!("../examples/custom_transport.rs"), "// --- transport ---");
    let handler = lines_between(include_str!("../examples/custom_handler.rs"), "// --- handler ---");
    println!("the custom transport has {transport} lines, the custom handler {handler}");
    assert!(transport <= 120, "the custom transport has {transport} lines");
    assert!(handler <= 10, "the custom handler has {handler} lines");
}
