//! The laws, each a function of a [`Context`]. [`Suite`](crate::Suite) runs them all; one can also be run alone.

use std::fmt;

use futures::future::BoxFuture;

use crate::{Context, Outcome};

/// One law: its name and how to check it.
#[derive(Clone, Copy)]
pub struct Law {
    name: &'static str,
    check: for<'a> fn(&'a Context) -> BoxFuture<'a, Outcome>,
}

impl Law {
    /// The name of its function in [`laws`](crate::laws).
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Checks it against the transport of `ctx`.
    pub fn run<'a>(&self, ctx: &'a Context) -> BoxFuture<'a, Outcome> {
        (self.check)(ctx)
    }
}

impl fmt::Debug for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Law({})", self.name)
    }
}

/// Declares the topics, re-exports their laws, and lists them in [`LAWS`].
macro_rules! laws {
    ($($topic:ident: $($law:ident)*;)*) => {
        $(mod $topic;)*
        $(pub use $topic::{$($law),*};)*

        /// Every law, in the order in which the suite runs them.
        pub const LAWS: &[Law] = &[
            $($(Law { name: stringify!($law), check: |ctx| Box::pin($law(ctx)) },)*)*
        ];
    };
}

laws! {
    bind: capabilities_are_true erased local_is_dialable addresses_agree second_bind bind_again dropped_bind;
    connect: lazy_connect dropped_connect connect_to_nobody unknown_option options_reach;
    listener: stalled_handshake cancelled_accept last_arrivals listener_drop concurrent_connects;
    place: refused_accept_waits bound_elsewhere group;
    messages: ping_pong boundaries too_large errors_stay_apart cancelled_recv no_crosstalk;
    batched: batched_recv batched_send;
    stream: bulk in_order slow_reader framing_slices;
    close: half_close close_flushes close_wakes_recv close_wakes_send clean_end;
    stack: goodbye truncation handshake_sliced handshake_then_data_in_one_write peer_info_stacks
        forwards quiet_peer;
    datagram: slow_peer dead_peer batches;
    fence: fenced_drain flush_reaches;
}
