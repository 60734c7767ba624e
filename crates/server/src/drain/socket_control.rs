//! What the loop of a datagram socket has beside the socket.

use std::any::Any;
use std::sync::{Arc, PoisonError};

use super::{Handover, Member};
use crate::sync::Mutex;

/// What one loop takes over with its socket.
#[derive(Debug)]
pub(crate) struct SocketControl {
    pub(crate) member: Member,
    pub(crate) handover: Handover,
    /// What the system had dropped before.
    pub(crate) dropped: u32,
    /// What the loop before left.
    pub(crate) rest: Option<Box<dyn Any + Send>>,
}

/// It, until the loop takes it. A service with a loop of its own leaves it.
#[derive(Clone, Debug, Default)]
pub(crate) struct SocketControlSlot(Arc<Mutex<Option<SocketControl>>>);

impl SocketControlSlot {
    pub(crate) fn new(control: SocketControl) -> Self {
        Self(Arc::new(Mutex::new(Some(control))))
    }

    pub(crate) fn take(&self) -> Option<SocketControl> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
