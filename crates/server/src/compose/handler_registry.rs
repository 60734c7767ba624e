//! Handlers by name.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use swapwire_core::{Framing, debug_as_text, did_you_mean};

use crate::{IntoService, Service};

/// Maps names to handlers. An ordinary value: there is no global one.
#[derive(Clone, Default)]
pub struct HandlerRegistry {
    entries: BTreeMap<&'static str, HandlerEntry>,
}

/// One handler of a [`HandlerRegistry`].
#[derive(Clone)]
pub struct HandlerEntry {
    description: &'static str,
    framing: Option<Framing>,
    make: Arc<dyn Fn() -> Arc<dyn Service> + Send + Sync>,
}

impl HandlerEntry {
    /// One line about what it does.
    pub fn description(&self) -> &'static str {
        self.description
    }

    /// The framing it wants on byte streams, if it wants one.
    pub fn framing(&self) -> Option<&Framing> {
        self.framing.as_ref()
    }

    /// A fresh handler, with state of its own.
    pub fn make(&self) -> Arc<dyn Service> {
        (self.make)()
    }
}

/// No handler has this name.
#[derive(Clone, PartialEq, Eq)]
pub struct UnknownHandler {
    name: String,
    known: Vec<&'static str>,
}

debug_as_text!(UnknownHandler);

impl fmt::Display for UnknownHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown handler {:?}; ", self.name)?;
        if let Some(meant) = did_you_mean(&self.name, self.known.iter().copied()) {
            write!(f, "did you mean {meant:?}? ")?;
        }
        write!(f, "known: {}", if self.known.is_empty() { "none".to_owned() } else { self.known.join(", ") })
    }
}

impl std::error::Error for UnknownHandler {}

impl HandlerRegistry {
    /// No handlers.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same registry with a handler, which replaces an earlier one of its name.
    #[must_use]
    pub fn with<K, H: IntoService<K>>(
        mut self,
        name: &'static str,
        description: &'static str,
        make: impl Fn() -> H + Send + Sync + 'static,
    ) -> Self {
        let make = Arc::new(move || make().into_service());
        self.entries.insert(name, HandlerEntry { description, framing: None, make });
        self
    }

    /// The same registry, where the handler `name` wants `framing` on byte streams.
    #[must_use]
    pub fn framed(mut self, name: &str, framing: Framing) -> Self {
        if let Some(entry) = self.entries.get_mut(name) {
            entry.framing = Some(framing);
        }
        self
    }

    /// The handler of this name.
    ///
    /// # Errors
    /// There is none; the error lists the known ones.
    pub fn get(&self, name: &str) -> Result<&HandlerEntry, UnknownHandler> {
        self.entries
            .get(name)
            .ok_or_else(|| UnknownHandler { name: name.to_owned(), known: self.entries.keys().copied().collect() })
    }

    /// All handlers in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &HandlerEntry)> {
        self.entries.iter().map(|(name, entry)| (*name, entry))
    }
}

impl fmt::Debug for HandlerRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.entries.keys()).finish()
    }
}

impl fmt::Debug for HandlerEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HandlerEntry({:?})", self.description)
    }
}
