//! What is bound, apart from the layers over it.

use std::fmt;

use crate::{Endpoint, Listener};

type Layers = dyn Fn(Box<dyn Listener>) -> Box<dyn Listener> + Send + Sync;

/// An endpoint taken apart by its transport ([`Transport::unstack`](crate::Transport::unstack)): what is bound, and the wire
/// layers that stand on it.
#[must_use = "it does nothing by itself"]
pub struct Unstacked {
    base: Endpoint,
    layers: Option<Box<Layers>>,
}

impl Unstacked {
    /// One without layers: `endpoint` itself is bound.
    pub const fn bare(endpoint: Endpoint) -> Self {
        Self { base: endpoint, layers: None }
    }

    /// `base` is bound, and `layers` put themselves around each of its listeners.
    pub fn layered(
        base: Endpoint,
        layers: impl Fn(Box<dyn Listener>) -> Box<dyn Listener> + Send + Sync + 'static,
    ) -> Self {
        Self { base, layers: Some(Box::new(layers)) }
    }

    /// What is bound, with the options of that alone.
    pub const fn base(&self) -> &Endpoint {
        &self.base
    }

    /// Puts the layers around a listener of the [base](Self::base).
    pub fn wrap(&self, listener: Box<dyn Listener>) -> Box<dyn Listener> {
        match &self.layers {
            Some(layers) => layers(listener),
            None => listener,
        }
    }
}

impl fmt::Debug for Unstacked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unstacked").field("base", &self.base).field("layered", &self.layers.is_some()).finish()
    }
}
