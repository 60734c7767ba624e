//! The tables of the file: one list of keys, from which come the reader, the printer, the schema and the page of keys.

use std::collections::BTreeMap;

use swapwire::{Limits, SettingUnit, Settings as _};

use super::value::{Key, Kind, Value};

/// A table with the keys that it may have.
pub(crate) trait Table {
    /// Its keys, in their order.
    fn keys() -> Vec<Key>;

    /// The value of the key `name`, one of its own.
    fn get(&self, name: &str) -> Option<&Value>;

    /// Sets the key `name`, one of its own.
    fn set(&mut self, name: &'static str, value: Value);
}

/// Defines a table. Each key has its meaning as doc comment, and a kind of value.
macro_rules! table {
    (
        $(#[$attr:meta])*
        $type:ident { $($(#[doc = $help:literal])+ $name:ident: $kind:expr;)* } $(+ $more:ident: $more_type:ty)?
    ) => {
        $(#[$attr])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub(crate) struct $type {
            $($(#[doc = $help])+ pub(crate) $name: Option<Value>,)*
            $(pub(crate) $more: $more_type,)?
        }

        impl Table for $type {
            fn keys() -> Vec<Key> {
                vec![$(Key { name: stringify!($name), kind: $kind, help: concat!($($help),+).trim_ascii_start() },)*]
            }

            fn get(&self, name: &str) -> Option<&Value> {
                match name {
                    $(stringify!($name) => self.$name.as_ref(),)*
                    _ => None,
                }
            }

            fn set(&mut self, name: &'static str, value: Value) {
                match name {
                    $(stringify!($name) => self.$name = Some(value),)*
                    _ => debug_assert!(false, "no key {name}"),
                }
            }
        }
    };
}

table! {
    /// `[server]`: what holds for the process.
    Server {
        /// Threads that serve. Default: one for each processor that the process may use.
        workers: Kind::Count;
        /// The time that sessions have to finish after a signal, before they are cut. Default: 30s.
        drain_timeout: Kind::Limit(SettingUnit::Time);
        /// The time between a signal and the drain in which everything is served, and `/readyz` of the admin endpoint says 503.
        /// Default: 0.
        drain_delay: Kind::Time;
        /// Whether the end of the standard input stops the server. Default: false.
        until_eof: Kind::Switch;
    }
}

table! {
    /// `[log]`: the log on the standard error.
    Log {
        /// How the log and everything else on the standard error is written. Default: "text".
        format: Kind::Word(&["text", "json"]);
        /// The filter, as "info" or "swapwire_server=debug". Default: "warn".
        level: Kind::Text;
    }
}

table! {
    /// `[admin]`: the endpoint for metrics, health and the live page, which is there with this table alone.
    Admin {
        /// Where it listens. Default: `swapwire-admin.sock` where the command puts sockets.
        listen: Kind::Text;
        /// Whether an address is allowed that other hosts reach; they can read, without a password. Default: false.
        expose: Kind::Switch;
        /// Names by which browsers and Prometheus may ask, beside IP addresses and `localhost`. Default: none.
        hosts: Kind::Texts;
    }
}

table! {
    /// `[[listen]]`: one endpoint, and what it has of its own.
    Listen {
        /// What it is called where listeners are told apart, as in numbers; no other has the same. Default: the endpoint without its
        /// options.
        name: Kind::Text;
        /// Where it listens. Required.
        endpoint: Kind::Text;
        /// The handler that answers. Default: "uppercase-echo".
        handler: Kind::Text;
        /// The framing that cuts byte streams into messages. Default: that of the handler, else "chunks".
        framing: Kind::Text;
        /// The page for browsers that open the address of a `ws` endpoint: a file, or true for that of the handler "chat".
        page: Kind::FileOrBuiltIn;
    } + limits: LimitTable
}

/// `[limits]`, and the table `limits` of a listener: the limits of the library, but for those that stand elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LimitTable(BTreeMap<&'static str, Value>);

/// Is `refuse` in the file, as its flag.
const WHEN_FULL: &str = "when_full";
/// Stands in `[server]`.
const DRAIN_TIMEOUT: &str = "drain_timeout";
pub(crate) const REFUSE: &str = "refuse";
pub(crate) const ALLOW_AMPLIFICATION: &str = "allow_amplification";

impl LimitTable {
    /// The keys that a listener may have too.
    pub(crate) fn keys_of_listener() -> Vec<Key> {
        let of_the_server = |name| Limits::OF_THE_SERVER.contains(&name) || name == ALLOW_AMPLIFICATION;
        Self::keys().into_iter().filter(|key| !of_the_server(key.name)).collect()
    }

    /// What is there.
    pub(crate) fn values(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.0.iter().map(|(name, value)| (*name, value))
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }
}

impl Table for LimitTable {
    fn keys() -> Vec<Key> {
        let fields = Limits::FIELDS.iter().filter(|field| ![WHEN_FULL, DRAIN_TIMEOUT].contains(&field.name));
        let fields = fields.map(|field| Key { name: field.name, kind: Kind::Limit(field.unit), help: field.help });
        let more = [
            Key {
                name: REFUSE,
                kind: Kind::Text,
                help: "Connections beyond `max_connections` are closed at once, after this text as a message. Default: they wait.",
            },
            Key {
                name: ALLOW_AMPLIFICATION,
                kind: Kind::Switch,
                help: "Whether a handler whose replies are larger than its requests is served to other hosts over UDP. Default: false.",
            },
        ];
        fields.chain(more).collect()
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    fn set(&mut self, name: &'static str, value: Value) {
        self.0.insert(name, value);
    }
}
