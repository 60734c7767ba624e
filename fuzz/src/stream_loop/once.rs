//! A transport with one connection.

use std::borrow::Cow;
use std::io;
use std::sync::{Mutex, PoisonError};

use swapwire::{
    BindError, Bound, Capabilities, ConnectError, Endpoint, Incoming, Link, Listener, Transport, async_trait,
};

use super::super::wire::{Served, Wire};

pub(super) struct Once(Mutex<Option<Wire>>);

impl Once {
    pub(super) fn new(wire: Wire) -> Self {
        Self(Mutex::new(Some(wire)))
    }
}

#[async_trait]
impl Transport for Once {
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        vec!["fuzz".into()]
    }

    fn capabilities(&self, _scheme: &str) -> Capabilities {
        Capabilities::byte_stream()
    }

    async fn bind(&self, endpoint: &Endpoint) -> Result<Bound, BindError> {
        let wire = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(Bound::Listener(Box::new(Door(endpoint.clone(), wire))))
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectError> {
        Err(ConnectError::invalid(endpoint, "nobody dials"))
    }
}

struct Door(Endpoint, Option<Wire>);

#[async_trait]
impl Listener for Door {
    fn local(&self) -> Endpoint {
        self.0.clone()
    }

    async fn accept(&mut self) -> io::Result<Incoming> {
        match self.1.take() {
            Some(wire) => Ok(Incoming::ready(Link::bytes(Served(wire), Wire::info()))),
            None => std::future::pending().await,
        }
    }
}
