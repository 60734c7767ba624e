//! Errors that may pass.

use std::future::Future as _;
use std::io::{Error, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

/// A call that failed is made again after this.
const PAUSE: Duration = Duration::from_millis(10);

/// Until when reading and writing pause. Each has a timer of its own, as it may have a task of its own.
#[derive(Debug)]
pub(crate) struct Pauses(Option<Box<[Timer; 2]>>);

type Timer = Option<Pin<Box<Sleep>>>;

/// Which of the two.
#[derive(Clone, Copy)]
pub(crate) enum Way {
    Read,
    Write,
}

impl Pauses {
    pub(crate) const fn new() -> Self {
        Self(None)
    }

    /// Begins one.
    #[cold]
    pub(crate) fn begin(&mut self, way: Way) {
        self.0.get_or_insert_default()[way as usize] = Some(Box::pin(sleep(PAUSE)));
    }

    /// Ready when there is none, or it is over.
    #[inline(always)]
    pub(crate) fn poll(&mut self, way: Way, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            None => Poll::Ready(()),
            Some(pauses) => poll_some(&mut pauses[way as usize], cx),
        }
    }
}

#[cold]
fn poll_some(pause: &mut Timer, cx: &mut Context<'_>) -> Poll<()> {
    let over = pause.as_mut().map_or(Poll::Ready(()), |pause| pause.as_mut().poll(cx));
    if over.is_ready() {
        *pause = None;
    }
    over
}

/// Whether the same call may work later: the system has no memory to spare (`ENOBUFS`, `ENOMEM`; `send(2)`, `recv(2)`), or a
/// signal came between.
#[cold]
pub(crate) fn may_pass(error: &Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(libc::ENOBUFS) {
        return true;
    }
    matches!(error.kind(), ErrorKind::OutOfMemory | ErrorKind::Interrupted)
}
