//! Stacked wires: a transport made of layers over any byte stream.
//!
//! A layer is an [`Upgrade`]: what a protocol does with one connection. [`Stacked`] is the transport of layers over another
//! transport, and the one place that knows what all of them need: schemes, options, groups of workers, the drain, errors that
//! name the endpoint as it was written, and a deadline for the handshake of a client. A [`Registry`] makes it of an endpoint's
//! scheme, `tls+proxy+tcp`, the upper layer first; code makes it by [`Stacked::new`].
//!
//! ```
//! use swapwire_core::{Registry, Upgrade};
//! use swapwire_mem::MemNetwork;
//! use swapwire_stack::{Stacked, WithLayer as _};
//!
//! # fn stacks(layer: impl Upgrade + Clone) -> Result<(), swapwire_stack::StackError> {
//! let by_name = Registry::new().with(MemNetwork::new()).with_layer(layer.clone());
//! let by_code = Stacked::new(layer, MemNetwork::new())?;
//! # Ok(())
//! # }
//! ```
//!
//! The server's deadline for handshakes is its own (`Limits::handshake_timeout`); clients have the option `handshake_timeout`.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod listener;
mod prefixed;
mod stacked;

use std::sync::Arc;

use swapwire_core::{Registry, Transport, Upgrade};

pub use prefixed::Prefixed;
pub use stacked::{StackError, Stacked};

/// Adds layers to a registry.
pub trait WithLayer {
    /// The same registry with `layer` under its name: it can be stacked on what is registered, now or later. A later layer
    /// replaces an earlier one of its name.
    #[must_use]
    fn with_layer(self, layer: impl Upgrade) -> Self;
}

impl WithLayer for Registry {
    fn with_layer(mut self, layer: impl Upgrade) -> Self {
        self.register_layer(Arc::new(layer), compose);
        self
    }
}

fn compose(
    layers: Vec<Arc<dyn Upgrade>>,
    scheme: &str,
    base: Arc<dyn Transport>,
) -> Result<Arc<dyn Transport>, String> {
    match Stacked::compose(layers, [scheme], base) {
        Ok(stacked) => Ok(Arc::new(stacked)),
        Err(error) => Err(error.to_string()),
    }
}
