//! Errors that may pass.

use std::future::Future as _;
use std::io::{Error, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

/// A call that failed is made again after this.
const PAUSE: Duration = Duration::from_millis(10);

/// Until when reading and writing pause, behind an error that [may pass](may_pass): the call is made again after 10 ms. Each
/// has a timer of its own, as it may have a task of its own; none has one before its first pause. The runtime must have its
/// timers enabled.
#[derive(Debug, Default)]
pub struct Pauses(Option<Box<[Timer; 2]>>);

type Timer = Option<Pin<Box<Sleep>>>;

/// Which of the two pauses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Reading.
    Read,
    /// Writing.
    Write,
}

impl Pauses {
    /// None.
    pub const fn new() -> Self {
        Self(None)
    }

    /// Begins one.
    #[cold]
    pub fn begin(&mut self, way: Way) {
        self.0.get_or_insert_default()[way as usize] = Some(Box::pin(sleep(PAUSE)));
    }

    /// Ready when there is none, or it is over.
    #[inline(always)]
    pub fn poll(&mut self, way: Way, cx: &mut Context<'_>) -> Poll<()> {
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
pub fn may_pass(error: &Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(libc::ENOBUFS) {
        return true;
    }
    matches!(error.kind(), ErrorKind::OutOfMemory | ErrorKind::Interrupted)
}
