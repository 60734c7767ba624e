//! Composing a server: endpoints, handlers, limits, and what is wrong with them.

mod bind;
mod build_error;
mod handler_registry;
mod listen;
mod memory_formula;
mod plan;

pub(crate) use bind::{BoundPlace, PlaceBase};
pub(crate) use build_error::MOST_WORKERS;
pub use build_error::{BuildError, BuildProblem};
pub use handler_registry::{HandlerEntry, HandlerRegistry, UnknownHandler};
pub use listen::Listen;
pub(crate) use plan::{Common, Planned};
