//! Which loop serves.

use anyhow::ensure;
use clap::ValueEnum;

use crate::Wire;
use crate::mmsg::Trains;

/// Which loop serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum How {
    /// The limit: streams by epoll(7), datagrams by recvmmsg(2) and sendmmsg(2), each datagram by itself.
    #[default]
    Limit,
    /// UDP: the same, and neighbouring replies to one peer leave as one (UDP_SEGMENT).
    Merge,
    /// UDP: the same, and trains are received whole (UDP_GRO) and leave as they came.
    Gro,
    /// Datagrams: one recvfrom(2) and one sendto(2) for each, with the system's default buffers. Connected Unix messages: the
    /// limit's loop, without `SO_PASSCRED` (unix(7)).
    Plain,
    /// What one writes with tokio alone: 16 KiB for each stream, or one datagram after the other, on one thread.
    Tokio,
}

impl How {
    /// # Errors
    /// There is no such loop for this wire.
    pub(super) fn check(self, wire: &Wire) -> anyhow::Result<()> {
        let known = match wire {
            Wire::Tcp(_) | Wire::Unix(_) => matches!(self, Self::Limit | Self::Tokio),
            Wire::Udp(_) => true,
            Wire::UnixSeq(_) => matches!(self, Self::Limit | Self::Plain),
            Wire::Ws(_) => self == Self::Limit,
            Wire::UnixDgram(_) => !matches!(self, Self::Merge | Self::Gro),
        };
        ensure!(known, "serve {wire}: this wire has no loop {}", format!("{self:?}").to_lowercase());
        Ok(())
    }

    /// Whether a datagram socket keeps the system's default buffers.
    pub(super) fn by_default(self) -> bool {
        matches!(self, Self::Plain | Self::Tokio)
    }

    pub(super) fn trains(self) -> Trains {
        match self {
            Self::Merge => Trains::Made,
            Self::Gro => Trains::Kept,
            _ => Trains::None,
        }
    }
}
