//! A wire that does what a script says, at every call.

mod messages;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use swapwire_core::{Addr, ConnInfo, Peer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub(crate) use self::messages::Inbox;

/// What a wire and who looks at it share.
#[derive(Clone, Default)]
pub(crate) struct Wire(Arc<Mutex<State>>);

/// What has happened so far.
#[derive(Default)]
pub(crate) struct State {
    script: std::vec::IntoIter<u8>,
    /// What the peer sends.
    pub(crate) input: Vec<u8>,
    /// How much of it was read.
    pub(crate) read: usize,
    /// On wires with boundaries: which messages were read and not yet looked at, and which are to be written.
    pub(crate) inbox: Inbox,
    /// The end was read.
    pub(crate) ended: bool,
    pub(crate) read_failed: bool,
    /// What may be written.
    pub(crate) expected: Vec<u8>,
    /// How much of it was.
    pub(crate) written: usize,
    /// Nothing may be written any more.
    pub(crate) write_failed: bool,
    /// Flushing or ending failed once.
    pub(crate) flush_failed: bool,
    pub(crate) shut: bool,
    pub(crate) dropped: bool,
    /// Calls in all, and those that moved nothing since they were last set to 0.
    pub(crate) calls: usize,
    pub(crate) idle: usize,
    waker: Option<Waker>,
    /// Who waits for the end to be dropped.
    watcher: Option<Waker>,
    patient: bool,
}

/// What one call does.
enum Step {
    Move(usize),
    Wait { woken: bool },
    Nothing,
    Fail(u8),
}

impl Wire {
    pub(crate) fn new(script: &[u8], input: Vec<u8>) -> Self {
        let script = Vec::from(script);
        Self(Arc::new(Mutex::new(State { script: script.into_iter(), input, ..State::default() })))
    }

    /// One that always wakes who waits, and ends where its input ends.
    pub(crate) fn patient(script: &[u8], input: Vec<u8>, expected: Vec<u8>) -> Self {
        let wire = Self::new(script, input);
        (wire.state().patient, wire.state().expected) = (true, expected);
        wire
    }

    /// Waits until its end was dropped.
    pub(crate) async fn dropped(&self) {
        poll_fn(|cx| {
            let mut state = self.state();
            state.watcher = Some(cx.waker().clone());
            if state.dropped { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes who waits; whether somebody did.
    pub(crate) fn wake(&self) -> bool {
        let waker = self.state().waker.take();
        waker.map(Waker::wake).is_some()
    }

    pub(crate) fn info() -> ConnInfo {
        let addr = Addr::named("fuzz", "wire").expect("it is short");
        ConnInfo::new(Peer::new(addr), addr)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.dropped = true;
        state.waker = None;
        state.watcher.take().into_iter().for_each(Waker::wake);
    }
}

/// The end of a [`Wire`] that is served; dropping it shows.
pub(crate) struct Served(pub(crate) Wire);

impl State {
    /// Makes room for `count` messages to come and go, of `bytes` in all.
    pub(crate) fn reserve(&mut self, count: usize, bytes: usize) {
        self.expected.reserve(bytes);
        self.inbox.expected.reserve(count);
        self.inbox.received.reserve(count);
    }

    /// Behind the end of the script, everything is moved at once.
    fn step(&mut self) -> Step {
        self.calls += 1;
        let Some(step) = self.script.next() else { return Step::Move(usize::MAX) };
        let much = step >> 3;
        match step & 7 {
            0 | 1 => Step::Wait { woken: step & 1 == 0 },
            2 if much < 4 => Step::Nothing,
            3 if much < 8 => Step::Fail(much),
            5 => Step::Move(509 * (1 + usize::from(much))),
            6 | 7 => Step::Move(usize::MAX),
            _ => Step::Move(1 + usize::from(much)),
        }
    }

    fn wait<T>(&mut self, cx: &Context<'_>, woken: bool) -> Poll<T> {
        self.idle += 1;
        if woken || self.patient {
            cx.waker().wake_by_ref();
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn fail<T>(&mut self) -> Poll<io::Result<T>> {
        self.idle += 1;
        Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
    }

    fn poll_flush(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        match self.step() {
            Step::Wait { woken } => self.wait(cx, woken),
            Step::Fail(_) => {
                self.flush_failed = true;
                self.fail()
            }
            Step::Move(_) | Step::Nothing => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        let done = self.poll_flush(cx);
        self.shut |= matches!(done, Poll::Ready(Ok(())));
        done
    }
}

impl AsyncRead for Served {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let state = &mut *self.0.state();
        assert!(into.remaining() > 0, "a read of nothing looks like the end");
        if state.read_failed {
            return state.fail();
        }
        match state.step() {
            _ if state.ended => state.idle += 1,
            Step::Wait { woken } => return state.wait(cx, woken),
            Step::Fail(_) => {
                state.read_failed = true;
                return state.fail();
            }
            Step::Nothing if state.patient => return state.wait(cx, true),
            Step::Nothing => state.ended = true,
            Step::Move(most) => {
                let len = most.min(into.remaining()).min(state.input.len() - state.read);
                into.put_slice(&state.input[state.read..][..len]);
                state.read += len;
                state.ended = len == 0;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Served {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let state = &mut *self.0.state();
        assert!(!state.write_failed && !state.shut, "a write behind the end");
        let rest = &state.expected[state.written..];
        assert!(rest.starts_with(bytes), "{bytes:?} is not the beginning of {rest:?}");
        match state.step() {
            Step::Wait { woken } => state.wait(cx, woken),
            Step::Fail(_) => {
                state.write_failed = true;
                state.fail()
            }
            Step::Nothing => {
                state.write_failed = true;
                state.idle += 1;
                Poll::Ready(Ok(0))
            }
            Step::Move(most) => {
                let len = most.min(bytes.len());
                state.written += len;
                Poll::Ready(Ok(len))
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.state().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.state().poll_shutdown(cx)
    }
}
