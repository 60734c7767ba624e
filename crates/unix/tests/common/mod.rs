//! What several tests need.

#![allow(dead_code, reason = "each test uses a part")]

use std::future::poll_fn;
use std::path::Path;
use std::pin::Pin;
use std::task::Poll;

use swapwire_core::{
    BindError, Bound, ConnectError, DatagramSocket, Endpoint, Link, Listener, Place, RecvBatch, RecvMeta, Session,
    SessionConfig, Transport as _,
};
use swapwire_unix::Unix;

/// Those of this system.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) const SCHEMES: [&str; 3] = ["unix", "unix-dgram", "unix-seq"];
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) const SCHEMES: [&str; 2] = ["unix", "unix-dgram"];

pub(crate) fn endpoint(scheme: &str, path: &Path) -> Endpoint {
    Endpoint::new(scheme, Place::Path(path.to_owned())).unwrap()
}

pub(crate) async fn bind(endpoint: &Endpoint) -> Result<Bound, BindError> {
    Unix::new().bind(endpoint).await
}

pub(crate) async fn listen(endpoint: &Endpoint) -> Box<dyn Listener> {
    match bind(endpoint).await.unwrap() {
        Bound::Listener(listener) => listener,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn socket(endpoint: &Endpoint) -> Box<dyn DatagramSocket> {
    match bind(endpoint).await.unwrap() {
        Bound::Socket(socket) => socket,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn connect(endpoint: &Endpoint) -> Result<Link, ConnectError> {
    Unix::new().connect(endpoint).await
}

pub(crate) async fn session(endpoint: &Endpoint) -> Session {
    Session::new(connect(endpoint).await.unwrap(), SessionConfig::default())
}

pub(crate) async fn accept(listener: &mut Box<dyn Listener>) -> Link {
    listener.accept().await.unwrap().establish().await.unwrap()
}

/// Receives one batch.
pub(crate) async fn receive(
    socket: &mut Box<dyn DatagramSocket>,
    slots: usize,
    size: usize,
) -> Vec<(RecvMeta, Vec<u8>)> {
    let mut batch = RecvBatch::new(slots, size);
    poll_fn(|cx| socket.poll_recv(cx, &mut batch)).await.unwrap();
    batch.iter().map(|(meta, bytes)| (*meta, bytes.to_vec())).collect()
}

/// Polls `future` once; `None` if it waits.
pub(crate) async fn once<F: Future + ?Sized>(mut future: Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}
