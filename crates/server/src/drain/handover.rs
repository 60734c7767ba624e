//! What is bound passes from one loop to the next, while the server runs.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, PoisonError};
use std::task::Context;

use swapwire_core::{DatagramSocket, Listener};
use tokio::sync::oneshot;

use crate::sync::{AtomicBool, AtomicWaker, Mutex, Ordering};

/// What the loop of a service leaves, on a datagram socket, to the loop of the service that follows it there
/// ([`ServerHandle::apply`](crate::ServerHandle::apply)), and takes over from the one before. Both must be the same, or the loop
/// before ends its calls and sessions first, as in a drain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Succession {
    /// Nothing: it keeps the socket to its end, and cannot be followed.
    #[default]
    None,
    /// The calls that wait.
    Calls,
    /// The sessions.
    Sessions,
}

/// What one loop leaves to the next.
pub(crate) enum Handed {
    /// Its sessions stay with the loop before.
    Listener(Box<dyn Listener>),
    Socket(HandedSocket),
}

pub(crate) struct HandedSocket {
    pub(crate) socket: Box<dyn DatagramSocket>,
    /// What [`DatagramSocket::drops`] had counted.
    pub(crate) dropped: u32,
    /// What its [`Succession`] says, known to loops of that kind alone.
    pub(crate) rest: Option<Box<dyn Any + Send>>,
}

/// The loop that follows.
pub(crate) struct Successor {
    pub(crate) takes: Succession,
    to: oneshot::Sender<Handed>,
    /// Dropped with it.
    _waits: oneshot::Sender<()>,
}

/// Asks one loop to leave what it is bound to; its clones are the same request.
#[derive(Clone, Default)]
pub(crate) struct Handover(Arc<Request>);

#[derive(Default)]
struct Request {
    asked: AtomicBool,
    state: Mutex<State>,
    task: AtomicWaker,
}

#[derive(Default)]
enum State {
    #[default]
    Open,
    Asked(Successor),
    Closed,
}

impl Successor {
    /// With where it gets what it follows, and what ends when that was given, or never will be.
    pub(crate) fn new(takes: Succession) -> (Self, oneshot::Receiver<Handed>, oneshot::Receiver<()>) {
        let ((to, from), (waits, given)) = (oneshot::channel(), oneshot::channel());
        (Self { takes, to, _waits: waits }, from, given)
    }

    /// A successor that has gone closes what it gets.
    pub(crate) fn give(self, handed: Handed) {
        drop(self.to.send(handed));
    }
}

impl Handover {
    /// Asks the loop, which may have ended: then the successor gets nothing.
    pub(crate) fn ask(&self, successor: Successor) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::Open) {
            *state = State::Asked(successor);
            drop(state);
            self.0.asked.store(true, Ordering::Release);
            self.0.task.wake();
        }
    }

    /// Whether it was asked for. A relaxed load.
    #[inline]
    pub(crate) fn is_asked(&self) -> bool {
        self.0.asked.load(Ordering::Relaxed)
    }

    /// Has `task` woken when it is asked for.
    pub(crate) fn watch(&self, task: &Context<'_>) {
        self.0.task.register(task.waker());
    }

    /// Who asked, if the loop takes over what `by` says: it then leaves everything at once.
    pub(crate) fn taken_if(&self, by: impl FnOnce(Succession) -> bool) -> Option<Successor> {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *state, State::Open) {
            State::Asked(successor) if by(successor.takes) => {
                *state = State::Closed;
                Some(successor)
            }
            other => {
                *state = other;
                None
            }
        }
    }

    /// Who asked.
    pub(crate) fn taken(&self) -> Option<Successor> {
        self.taken_if(|_| true)
    }

    /// The loop has ended.
    pub(crate) fn close(&self) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        let _gone = std::mem::replace(&mut *state, State::Closed);
    }
}

impl fmt::Debug for Handover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handover").field("asked", &self.is_asked()).finish()
    }
}

#[cfg(all(test, not(swapwire_loom)))]
mod tests {
    use futures::FutureExt as _;
    use swapwire_core::{Endpoint, Incoming, async_trait};

    use super::*;

    struct Door;

    #[async_trait]
    impl Listener for Door {
        fn local(&self) -> Endpoint {
            unreachable!()
        }

        async fn accept(&mut self) -> std::io::Result<Incoming> {
            unreachable!()
        }
    }

    #[test]
    fn a_request_is_taken_once_and_one_to_a_loop_that_has_ended_fails() {
        let handover = Handover::default();
        assert!(!handover.is_asked() && handover.taken().is_none());
        let (successor, mut handed, given) = Successor::new(Succession::Calls);
        handover.ask(successor);
        assert!(handover.is_asked() && handover.taken_if(|takes| takes == Succession::Sessions).is_none());
        handover.taken().expect("asked").give(Handed::Listener(Box::new(Door)));
        assert!(handed.try_recv().is_ok() && given.now_or_never().is_some() && handover.taken().is_none());

        for ends_first in [true, false] {
            let (handover, (successor, handed, given)) = (Handover::default(), Successor::new(Succession::None));
            let ask = || handover.ask(successor);
            if ends_first {
                handover.close();
                ask();
            } else {
                ask();
                handover.close();
            }
            assert!(handed.now_or_never().expect("it is over").is_err() && given.now_or_never().is_some());
        }
    }
}
