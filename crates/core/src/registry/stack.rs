//! Transports that are made of layers.

use std::sync::Arc;

use super::Registry;
use crate::{Place, RegistryError, Transport, Upgrade};

/// Makes the transport of `layers`, the upper one first, over the wires of `scheme` that `base` has. A part of its own, because
/// a stack needs a clock, and this crate reads none.
///
/// # Errors
/// They cannot stand on one another: what is wrong and what would be right.
pub type Compose =
    fn(layers: Vec<Arc<dyn Upgrade>>, scheme: &str, base: Arc<dyn Transport>) -> Result<Arc<dyn Transport>, String>;

impl Registry {
    /// The transport of the layers that `scheme` names, at such a place.
    pub(super) fn stack(&self, scheme: &str, place: &Place) -> Result<Arc<dyn Transport>, RegistryError> {
        if let Some(unknown) = self.unknown(scheme) {
            return Err(unknown);
        }
        let scheme = &*self.whole(scheme);
        let mut parts: Vec<&str> = scheme.split('+').collect();
        if parts.last().is_some_and(|last| self.layers.contains_key(last)) {
            parts.push(base_of(place));
        }
        let base = parts.pop().unwrap_or_default();
        let impossible = |reason| RegistryError::Stack { scheme: scheme.to_owned(), reason };
        let mut layers = Vec::with_capacity(parts.len());
        for part in parts {
            let layer = self.layers.get(part).ok_or_else(|| {
                impossible(format!("{part} is no layer, so it comes last: write the layers first, as in tls+tcp"))
            })?;
            layers.push(Arc::clone(layer));
        }
        let (base, transport) = self
            .base(base, place)?
            .ok_or_else(|| impossible(format!("it stands on {base} here, which this program does not have")))?;
        // Who has a layer has what composes it.
        let compose = self.compose.ok_or_else(|| impossible("there are no layers".to_owned()))?;
        compose(layers, &base, transport).map_err(impossible)
    }
}

/// What a stack stands on if its scheme ends in a layer.
const fn base_of(place: &Place) -> &'static str {
    match place {
        Place::Host { .. } => "tcp",
        Place::Path(_) | Place::Abstract(_) => "unix",
        Place::Name(_) => "mem",
    }
}
