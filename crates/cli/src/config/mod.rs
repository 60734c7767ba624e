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

use swapwire::Limits;

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

impl Config {
    /// What is not as in `started` and cannot change while a server runs, a line each: all that is not of one listener, nor a limit
    /// that one listener may have of its own. The limit for each source is one of them, as all listeners count together.
    pub(crate) fn lasting_changes(&self, started: &Self) -> Vec<String> {
        let none = Admin::default();
        let server = changes(&self.server, &started.server);
        let log = changes(&self.log, &started.log);
        let admin = changes(self.admin.as_ref().unwrap_or(&none), started.admin.as_ref().unwrap_or(&none));
        let admin_itself = (self.admin.is_some() != started.admin.is_some()).then_some(("[admin]", None));
        let of_the_server = |name: &str| {
            Limits::OF_THE_SERVER.contains(&name) || [ALLOW_AMPLIFICATION, "max_per_source"].contains(&name)
        };
        let limits = changes(&self.limits, &started.limits).filter(|(name, _)| of_the_server(name));
        let told = |(name, value): (&str, Option<&Value>)| {
            let problem = format!("{name} cannot change while the server runs; start it anew");
            value.map_or_else(|| problem.clone(), |value| value.problem(&problem))
        };
        server.chain(log).chain(admin_itself).chain(admin).chain(limits).map(told).collect()
    }
}

/// The keys that have another value in `after`, each with that value.
fn changes<'a, T: Table>(after: &'a T, before: &T) -> impl Iterator<Item = (&'static str, Option<&'a Value>)> {
    let names = T::keys().into_iter().map(|key| key.name);
    names.filter(|name| after.get(name) != before.get(name)).map(|name| (name, after.get(name)))
}
