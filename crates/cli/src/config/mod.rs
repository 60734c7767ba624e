//! The configuration of `serve`: what a file says, what flags and the environment say instead, and the file that says the same.
//!
//! Everything is text here, as flags take it. Names of handlers, framings and endpoints are read later, as those of flags
//! are, so that their errors read the same.

mod flags;
mod print;
mod read;
mod schema;
mod tables;
mod value;

#[cfg(test)]
mod tests;

pub(crate) use schema::schema;
pub(crate) use tables::{ALLOW_AMPLIFICATION, Admin, LimitTable, Listen, Log, REFUSE, Server, Table};
pub(crate) use value::Value;

/// A configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) server: Server,
    pub(crate) limits: LimitTable,
    pub(crate) log: Log,
    /// Off without the table, and on with an empty one.
    pub(crate) admin: Option<Admin>,
    pub(crate) listen: Vec<Listen>,
}
