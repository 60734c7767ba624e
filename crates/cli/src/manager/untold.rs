//! A build without such a protocol.

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use swapwire::ServerHandle;

/// Nobody.
#[derive(Clone, Debug)]
pub(crate) struct Manager;

impl Manager {
    pub(crate) const fn new() -> Self {
        Self
    }

    pub(crate) const fn ready(&self, _: &ServerHandle) {}

    pub(crate) const fn reloading(&self) {}

    pub(crate) const fn stopping(&self, _: Duration) {}

    pub(crate) async fn watch(&self, _: &ServerHandle) -> Infallible {
        pending().await
    }
}
