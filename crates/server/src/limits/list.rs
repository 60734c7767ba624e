//! The limits: one list, from which everything comes that lists them.

use std::time::Duration;

use swapwire_core::{Setting, SettingError, SettingUnit, SettingValue, Settings};

use super::{WhenFull, check};

/// Defines the limits. Each has its meaning as doc comment, a type, a unit, its default, and checks of whether a value makes
/// sense. The recipe for another one is in `CONTRIBUTING.md`.
macro_rules! limits {
    (
        $(#[$attr:meta])*
        pub struct Limits {
            $($(#[doc = $help:literal])+ $name:ident: $kind:ident $(<$of:ty>)?, $unit:ident = $default:expr $(, $check:path)*;)*
        }
    ) => {
        $(#[$attr])*
        pub struct Limits {
            $($(#[doc = $help])+ pub $name: $kind $(<$of>)?,)*
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        impl Limits {
            $(limits!(@setter $name $kind $(<$of>)?);)*

            /// The limits that make no sense, each with what would be right; empty if all do. A server with one that does not is
            /// refused.
            pub fn problems(&self) -> Vec<(&'static str, String)> {
                let mut problems = Vec::new();
                $($(problems.extend($check(&self.$name).map(|reason| (stringify!($name), reason)));)*)*
                problems
            }
        }

        impl Settings for Limits {
            const FIELDS: &'static [Setting] = &[
                $(Setting::new(stringify!($name), SettingUnit::$unit, concat!($($help),+).trim_ascii_start()),)*
            ];

            fn set(&mut self, name: &str, value: &str) -> Result<(), SettingError> {
                match name {
                    $(stringify!($name) => self.$name = SettingError::read(stringify!($name), SettingUnit::$unit, value)?,)*
                    _ => return Err(SettingError::unknown::<Self>(name)),
                }
                Ok(())
            }

            fn get(&self, name: &str) -> Option<String> {
                match name {
                    $(stringify!($name) => self.$name.write(SettingUnit::$unit),)*
                    _ => None,
                }
            }
        }
    };
    (@setter $name:ident Option<$of:ty>) => {
        #[doc = concat!(
            "The same limits with another [`", stringify!($name), "`](field@Self::", stringify!($name),
            "); `None` switches it off."
        )]
        #[must_use]
        pub fn $name(mut self, value: impl Into<Option<$of>>) -> Self {
            self.$name = value.into();
            self
        }
    };
    (@setter $name:ident $kind:ident) => {
        #[doc = concat!("The same limits with another [`", stringify!($name), "`](field@Self::", stringify!($name), ").")]
        #[must_use]
        pub fn $name(mut self, value: $kind) -> Self {
            self.$name = value;
            self
        }
    };
}

limits! {
    /// Every bound and deadline of a server. Deadlines are switched off by `None`.
    ///
    /// Each field has a setter of its name, which chains, and is one of the [`Settings`], which are set by name and text. With the
    /// feature `serde` they are a map.
    ///
    /// ```
    /// use std::time::Duration;
    /// use swapwire_server::{Limits, Server};
    ///
    /// let limits = Limits::default().max_message(64 << 10).idle_timeout(Duration::from_secs(60)).write_timeout(None);
    /// assert_eq!((limits.max_message, limits.write_timeout), (65_536, None));
    /// let builder = Server::builder().limits(limits);
    /// ```
    ///
    /// The memory that they allow is computed by [`session_memory`](Self::session_memory) and
    /// [`socket_memory`](Self::socket_memory). With [workers](crate::ServerBuilder::workers), what is said of a socket is for
    /// each member of its group.
    #[derive(Clone, Debug, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct Limits {
        /// Open connections over all listeners and all workers; `when_full` decides about more. Default: 0.8 × the soft
        /// limit on descriptors, at least 16.
        max_connections: usize, Count = (soft_descriptor_limit() / 5 * 4).max(16), check::at_least_one, check::permits;
        /// What becomes of connections for which there is no room. Default: they wait.
        when_full: WhenFull, Text = WhenFull::Wait;
        /// Open connections of one source, over all listeners and all workers: an IPv4 address, or an IPv6 /64. More are
        /// refused. Wires without IP addresses have no sources. Default: none, as many may share an address.
        max_per_source: Option<usize>, Count = None, check::some_at_least_one;
        /// Handshakes that wait for their peer, over all listeners and all workers, and at most half of `max_connections`. When
        /// there are more, the oldest is ended whose peer has said nothing; or, where those whose peers have said something are
        /// more than three quarters, the oldest of these. A wire without a handshake needs none. Default: 2,048.
        max_handshakes: usize, Count = 2048, check::at_least_one, check::permits;
        /// The largest message, in bytes. Default: 1 MiB.
        max_message: usize, Bytes = 1 << 20, check::at_least_one, check::buffer;
        /// The most that one call of a message handler may reply, in bytes. Default: 1 MiB.
        max_reply: usize, Bytes = 1 << 20, check::at_least_one, check::buffer;
        /// Bytes queued for a peer before the sender waits. Default: 256 KiB.
        out_queue: usize, Bytes = 256 << 10, check::at_least_one, check::buffer;
        /// For a whole frame, from its first byte; on wires with boundaries for a message, where the wire [can
        /// tell](swapwire_core::MessageStream::partial). Default: 30 s.
        frame_timeout: Option<Duration>, Time = Some(Duration::from_secs(30)), check::not_at_once;
        /// Without any progress in writing what is queued. Default: 30 s.
        write_timeout: Option<Duration>, Time = Some(Duration::from_secs(30)), check::not_at_once;
        /// Without a byte in either direction. A message handler's call that takes long is not idle; a session handler is, if
        /// neither it nor its peer sends anything. Default: 5 min.
        idle_timeout: Option<Duration>, Time = Some(Duration::from_secs(300)), check::not_at_once;
        /// For a handshake before a session. Default: 10 s.
        handshake_timeout: Option<Duration>, Time = Some(Duration::from_secs(10)), check::not_at_once;
        /// For a drain as a whole; what is not done then is cut. [`Duration::MAX`] waits for ever. Default: 30 s.
        drain_timeout: Duration, Time = Duration::from_secs(30);
        /// For the first message of a connection that was still waiting when the drain began, and for the rest of a frame that
        /// had begun. Of message handlers: the session of a session handler learns of the drain some 50 ms after it begins (16
        /// ms later for every 1,024 open connections), and a frame that had begun has its own deadline. Default: 1 s.
        drain_grace: Duration, Time = Duration::from_secs(1), check::grace;
        /// Sessions on one datagram socket, for session handlers. At most `max_per_source` are of one source. Default: 65,536.
        max_peers: usize, Count = 65_536, check::at_least_one;
        /// The sessions, among them, whose peer may be forged, because it has sent nothing since it was first answered and is
        /// not [trusted](swapwire_core::Session::trust_peer); when there are more, the oldest is ended. Wires whose senders
        /// cannot be forged have none. Default: 4,096.
        max_unvalidated_peers: usize, Count = 4096, check::at_least_one;
        /// Messages waiting for one such session; more are dropped and counted. Default: 64.
        peer_queue: usize, Count = 64, check::at_least_one, check::permits;
        /// Bytes waiting for all such sessions of one socket, of which one session has at most a sixteenth; each message counts
        /// 64 more. What is above is dropped and counted. Default: 64 MiB.
        peer_bytes: usize, Bytes = 64 << 20, check::peer_bytes;
        /// Datagrams that each source may send in a second to one socket with an IP address; more are dropped and counted. A
        /// source is an IPv4 /24 or an IPv6 /64: forged senders are aimed at a network. Default: none.
        source_rate: Option<u32>, Count = None, check::some_at_least_one;
        /// Bytes that all connections together, over all listeners and all workers, keep in their buffers while they wait: replies
        /// that peers have not taken, and messages that are not whole. What one keeps up to 8 KiB does not count, and
        /// above that everything does. Beyond the budget the largest end, by powers of two, and among equals those that have
        /// kept so much for longest, until the others are within it; what those keep until they are gone is at most an eighth
        /// more. At least 1 MiB. Datagram sockets have `peer_bytes`. Default: none.
        memory_budget: Option<usize>, Bytes = None, check::budget;
        /// Calls of a message handler that wait, on one datagram socket; when they are that many, receiving stops.
        /// Default: 1,024.
        max_waiting: usize, Count = 1024, check::at_least_one;
    }
}

impl Limits {
    /// Those that are for the whole server: [one listener](crate::Listen::limits) has none of its own.
    pub const OF_THE_SERVER: &'static [&'static str] =
        &["max_connections", "max_handshakes", "memory_budget", "drain_timeout"];

    /// Those of each source: they hold where a peer's address [stands for one](swapwire_core::Capabilities::stable_peers).
    pub const OF_SOURCES: &'static [&'static str] = &["max_per_source", "source_rate"];
}

#[cfg(feature = "serde")]
impl serde::Serialize for Limits {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        swapwire_core::serialize_settings(self, serializer)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Limits {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        swapwire_core::deserialize_settings(deserializer)
    }
}

#[cfg(unix)]
fn soft_descriptor_limit() -> usize {
    use nix::sys::resource::{Resource, getrlimit};
    getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| usize::try_from(soft).unwrap_or(1 << 20).min(1 << 20))
}

#[cfg(not(unix))]
fn soft_descriptor_limit() -> usize {
    8192
}

#[cfg(test)]
mod tests;
