//! A run in the forms that people and programs read.
//!
//! Nothing here measures or judges: what follows from the rounds was filled in by [`Run::evaluate`](crate::Run::evaluate),
//! and these functions show it. They take runs as they come, read from a file of any origin too: no text in them can
//! become markup or a terminal's command, and whatever is missing is left out.

mod content;
mod csv;
mod hlog;
mod html;
mod markdown;
mod plots;
mod text;

pub use csv::csv;
pub use hlog::hlog;
pub use html::html;
pub use markdown::markdown;
pub use text::text;
