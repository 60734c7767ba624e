//! Composing a server: endpoints, handlers, limits, and what is wrong with them.

mod build_error;
mod builder;
mod handler_registry;
mod listen;
mod memory_formula;
mod plan;

pub use build_error::{BuildError, BuildProblem};
pub use builder::ServerBuilder;
pub use handler_registry::{HandlerEntry, HandlerRegistry, UnknownHandler};
pub use listen::Listen;
