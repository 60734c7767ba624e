//! Groups for workers, and listeners that are polled elsewhere than they were bound.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::future::Future;

use common::{bind, connect, endpoint, listen};
use swapwire_core::{Bound, Endpoint, Listener, Transport as _};
use swapwire_unix::Unix;

/// On a runtime of its own, which is gone afterwards.
fn elsewhere<T: Send>(work: impl Future<Output = T> + Send) -> T {
    let run = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
    std::thread::scope(|scope| scope.spawn(run).join().unwrap())
}

async fn group(place: &Endpoint, members: usize) -> Vec<Box<dyn Listener>> {
    let group = Unix::new().bind_group(place, members).await.unwrap();
    group
        .into_iter()
        .map(|bound| match bound {
            Bound::Listener(listener) => listener,
            other => panic!("{other:?}"),
        })
        .collect()
}

#[tokio::test]
async fn the_path_goes_with_the_last_member() {
    let dir = tempfile::tempdir().unwrap();
    let place = endpoint("unix", &dir.path().join("s"));
    let mut members = group(&place, 4).await;
    assert_eq!(members.len(), 4);
    assert!(Unix::new().bind_group(&place, 4).await.unwrap_err().is_addr_in_use());
    while let Some(mut member) = members.pop() {
        assert_eq!(member.local(), place);
        assert!(member.shares_queue());
        let client = connect(&place).await.unwrap();
        let server = member.accept().await.unwrap().establish().await.unwrap();
        assert_eq!(client.info().peer.addr(), &server.info().local);
        drop(member);
        assert_eq!(dir.path().join("s").exists(), !members.is_empty());
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    bind(&place).await.unwrap();
}

#[tokio::test]
async fn one_member_shares_with_nobody_and_a_datagram_socket_has_one() {
    let dir = tempfile::tempdir().unwrap();
    let alone = group(&endpoint("unix", &dir.path().join("s")), 1).await;
    assert!(alone.len() == 1 && !alone[0].shares_queue());
    let bound = Unix::new().bind_group(&endpoint("unix-dgram", &dir.path().join("d")), 4).await.unwrap();
    assert_eq!(bound.len(), 1);
}

#[test]
fn a_listener_and_its_connections_belong_to_the_runtimes_that_poll_them() {
    let dir = tempfile::tempdir().unwrap();
    let place = endpoint("unix", &dir.path().join("s"));
    let mut listener = elsewhere(listen(&place));
    let (_client, incoming) = elsewhere(async { (connect(&place).await.unwrap(), listener.accept().await.unwrap()) });
    elsewhere(async { incoming.establish().await.unwrap() });
    // Bound without any runtime.
    drop(listener);
    let mut listener = at_once(listen(&place));
    elsewhere(async { drop((connect(&place).await.unwrap(), listener.accept().await.unwrap())) });
}

/// Polls a future that does not wait, outside any runtime.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => panic!("it waits"),
    }
}
