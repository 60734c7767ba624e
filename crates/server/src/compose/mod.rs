//! Composing a server: endpoints, handlers, limits, and what is wrong with them.

mod build_error;
mod builder;
mod handler_registry;
mod memory_formula;

pub use build_error::BuildError;
pub use builder::ServerBuilder;
pub use handler_registry::{HandlerEntry, HandlerRegistry, UnknownHandler};
