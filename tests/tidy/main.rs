//! The shape of the repository, checked by machine: which crate and which folder depends on which, how long files are, what is
//! nowhere used, what the documents promise.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod crates;
mod documents;
mod files;
mod folders;
mod limits;
mod names;
mod packages;
mod source;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
