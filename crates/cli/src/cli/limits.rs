//! The flags of `serve` that are limits.

use std::time::Duration;

use clap::Args;
use swapwire::{Limits, Settings as _};

use super::{LIMITS, TIMES};
use crate::values::{Deadline, count, deadline, drain, size, whole_number};

/// Defines the flags. Each has the name of its field of [`Limits`], and sets it.
macro_rules! limit_flags {
    ($($(#[$attr:meta])* $name:ident: $type:ty;)*) => {
        #[derive(Args, Debug)]
        pub(crate) struct LimitFlags {
            $($(#[$attr])* pub(crate) $name: Option<$type>,)*
        }

        impl LimitFlags {
            /// Those that were given, by name and text.
            pub(crate) fn given(&self) -> impl Iterator<Item = (&'static str, String)> {
                let given = [$((stringify!($name), self.$name.map(|value| Limits::default().$name(value))),)*];
                // A limit that a flag has can be written.
                given.into_iter().filter_map(|(name, limits)| Some((name, limits?.get(name)?)))
            }
        }
    };
}

limit_flags! {
    /// Open connections of all workers together. Default: 0.8 × the limit on descriptors
    ///
    /// More connections wait in the system's queue; --refuse closes them.
    #[arg(long, value_name = "N", value_parser = whole_number, help_heading = LIMITS)]
    max_connections: usize;

    /// Handshakes that wait for their peer, of all workers together. Default: 2048
    ///
    /// When there are more, the oldest whose peer has said nothing is ended. They are at most half of --max-connections.
    #[arg(long, value_name = "N", value_parser = count::<usize>, help_heading = LIMITS)]
    max_handshakes: usize;

    /// Open connections of one source with all workers, and its sessions on a datagram socket. Default: no limit
    ///
    /// A source is an IPv4 address or an IPv6 /64. More connections are refused.
    #[arg(long, value_name = "N", value_parser = count::<usize>, help_heading = LIMITS)]
    max_per_source: usize;

    /// Datagrams of one source to one socket in a second. Default: no limit
    ///
    /// A source is an IPv4 /24 or an IPv6 /64. More datagrams are dropped.
    #[arg(long, value_name = "N", value_parser = count::<u32>, help_heading = LIMITS)]
    source_rate: u32;

    /// Largest message. Default: 1MiB
    #[arg(long, value_name = "SIZE", value_parser = size, help_heading = LIMITS)]
    max_message: usize;

    /// Memory that all connections together may keep while they wait. Default: no limit
    ///
    /// Above it, the connections that keep the most are closed.
    #[arg(long, value_name = "SIZE", value_parser = size, help_heading = LIMITS)]
    memory_budget: usize;

    /// Time in which a handshake has to be done, else the connection is closed; none switches it off. Default: 10s
    #[arg(long, value_name = "TIME", value_parser = deadline, help_heading = TIMES)]
    handshake_timeout: Deadline;

    /// Time without a byte after which a session ends; none switches it off. Default: 5m
    #[arg(long, value_name = "TIME", value_parser = deadline, help_heading = TIMES)]
    idle_timeout: Deadline;

    /// Time in which a whole message has to arrive, else the session ends; none switches it off. Default: 30s
    #[arg(long, value_name = "TIME", value_parser = deadline, help_heading = TIMES)]
    frame_timeout: Deadline;

    /// Time without progress in writing after which a session ends; none switches it off. Default: 30s
    #[arg(long, value_name = "TIME", value_parser = deadline, help_heading = TIMES)]
    write_timeout: Deadline;

    /// Time that sessions have to finish after a signal, before they are cut; 0 cuts at once. Default: 30s
    #[arg(long, value_name = "TIME", value_parser = drain, help_heading = TIMES)]
    drain_timeout: Duration;
}
