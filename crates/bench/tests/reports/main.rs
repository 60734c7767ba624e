//! The forms in which people and programs read a run.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod files;
mod fixture;
mod page;
mod terminal;
