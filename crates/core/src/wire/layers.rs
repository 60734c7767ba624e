//! The layers over what is bound.

use std::fmt;

use crate::Listener;

type Wrap = dyn Fn(Box<dyn Listener>) -> Box<dyn Listener> + Send + Sync;

/// The wire layers of an endpoint, with what they need, ready to stand on a listener that is bound already
/// ([`Transport::layers`](crate::Transport::layers)).
#[must_use = "they do nothing before they are put around a listener"]
pub struct WireLayers(Option<Box<Wrap>>);

impl WireLayers {
    /// No layers.
    pub const fn none() -> Self {
        Self(None)
    }

    /// Layers that `wrap` puts around a listener.
    pub fn new(wrap: impl Fn(Box<dyn Listener>) -> Box<dyn Listener> + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(wrap)))
    }

    /// Puts them around `listener`.
    pub fn wrap(&self, listener: Box<dyn Listener>) -> Box<dyn Listener> {
        match &self.0 {
            Some(wrap) => wrap(listener),
            None => listener,
        }
    }
}

impl fmt::Debug for WireLayers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "WireLayers" } else { "WireLayers(none)" })
    }
}
