//! What went wrong with requests.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Defines what is counted. Each has its meaning as doc comment, a type, which is an `Option` for what cannot always be seen,
/// and its heading in tables. Everything that lists or adds counts comes from here.
macro_rules! faults {
    ($($(#[$doc:meta])+ $name:ident: $kind:ty, $heading:literal;)*) => {
        /// What went wrong with requests of the measured part.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub struct Faults {
            $($(#[$doc])+ pub $name: $kind,)*
            /// Errors by kind, as `connect: connection refused`.
            pub errors: BTreeMap<String, u64>,
        }

        impl Faults {
            /// Adds all of `other`. What one of them could not see, the sum has from the other.
            pub(crate) fn add(&mut self, other: &Self) {
                $(self.$name.add(other.$name);)*
                for (kind, count) in &other.errors {
                    *self.errors.entry(kind.clone()).or_default() += count;
                }
            }

            /// All counts: the field, its heading in tables, and the number, where it could be seen.
            pub(crate) fn counts(&self) -> impl Iterator<Item = (&'static str, &'static str, Option<u64>)> + use<> {
                [$((stringify!($name), $heading, self.$name.seen()),)*].into_iter()
            }
        }
    };
}

trait Count: Copy {
    fn add(&mut self, other: Self);
    fn seen(self) -> Option<u64>;
}

impl Count for u64 {
    fn add(&mut self, other: Self) {
        *self += other;
    }

    fn seen(self) -> Option<u64> {
        Some(self)
    }
}

impl Count for Option<u64> {
    fn add(&mut self, other: Self) {
        if self.is_some() || other.is_some() {
            *self = Some(self.unwrap_or(0) + other.unwrap_or(0));
        }
    }

    fn seen(self) -> Option<u64> {
        self
    }
}

faults! {
    /// Replies that were not what they should be.
    wrong: u64, "wrong";
    /// Requests without a reply within the timeout.
    lost: u64, "lost";
    /// Of those, answered later, before the round ended.
    late: u64, "of those late";
    /// Replies to what had been answered before; `None` where it cannot be seen.
    duplicated: Option<u64>, "duplicated";
    /// Replies that came after the reply to a later request of the same connection; `None` where it cannot be seen.
    reordered: Option<u64>, "reordered";
    /// Requests that were due and never sent, since the wire or the bound on requests under way was in the way.
    unsent: u64, "unsent";
    /// Requests under way on a connection that broke.
    broken: u64, "broken";
    /// Datagrams that the system dropped before the generator's sockets received them, over the whole round: their receive
    /// buffers were full. A train that left as one (`udp(7)`, `UDP_SEGMENT`) counts as one. `None` where it does not tell.
    client_drops: Option<u64>, "dropped: client";
    /// The same of the server's UDP sockets; `None` where they cannot be seen.
    server_drops: Option<u64>, "dropped: server";
}

/// The kind of [error](Faults::errors) that says that the generator's machine had no local port left.
pub(crate) const OUT_OF_PORTS: &str = "connect: no local port left on the client's machine";
