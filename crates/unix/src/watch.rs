//! A path that is checked: bound again when its file has gone, given up when another process has it.

use std::io;

use socket2::Socket;
use swapwire_core::Upkeep;

use crate::failure::Failure;
use crate::path::BoundPath;

/// Of one socket, or of the one that a group shares.
#[derive(Debug)]
pub(crate) struct Watched {
    /// `None` when it was given up.
    bound: Option<BoundPath>,
    /// The file has gone, and could not be bound again so far.
    failing: bool,
}

impl Watched {
    pub(crate) fn new(bound: BoundPath) -> Self {
        Self { bound: Some(bound), failing: false }
    }

    /// Whether the path leads here, as far as it was looked.
    pub(crate) fn is_reachable(&self) -> bool {
        self.bound.is_some() && !self.failing
    }

    /// Whether the path leads here now.
    pub(crate) fn is_there(&self) -> bool {
        self.bound.as_ref().is_some_and(BoundPath::is_there)
    }

    /// Looks at the path. Where its file has gone, binds what `open` gives, and gives that. The socket that was bound before
    /// is to be kept until then.
    pub(crate) fn look(&mut self, open: impl FnOnce() -> io::Result<Socket>) -> (Option<Socket>, Upkeep) {
        let Some(bound) = &mut self.bound else { return (None, Upkeep::unchanged(false)) };
        if bound.is_there() {
            let back = std::mem::take(&mut self.failing);
            let found = if back { Upkeep::changed(true, "the socket's file is back") } else { Upkeep::unchanged(true) };
            return (None, found);
        }
        match open().map_err(Failure::Io).and_then(|socket| bound.bind_again(socket)) {
            Ok(socket) => {
                self.failing = false;
                (Some(socket), Upkeep::changed(true, "the socket's file was removed: the path was bound again"))
            }
            Err(Failure::InUse(reason) | Failure::Taken(reason)) => {
                self.bound = None;
                let news = format!("another program uses the path; it is no longer served here: {reason}");
                (None, Upkeep::changed(false, news))
            }
            Err(_) if std::mem::replace(&mut self.failing, true) => (None, Upkeep::unchanged(false)),
            Err(failure) => {
                let news = format!("the socket's file was removed, and binding the path again fails: {failure}");
                (None, Upkeep::changed(false, news))
            }
        }
    }
}
