//! A datagram socket that receives what a test wrote down, trains and slots that no memory network has included, and
//! notes what is sent.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use swapwire_core::{
    Addr, BindError, Bound, Capabilities, ConnectError, DatagramSocket, Endpoint, Link, RecvBatch, RecvMeta, SendBatch,
    Transport, async_trait,
};

/// What fills one slot.
#[derive(Clone, Debug)]
pub struct Slot {
    pub bytes: Vec<u8>,
    pub peer: Option<Addr>,
    pub local: Option<IpAddr>,
    pub segment: usize,
    pub truncated: bool,
}

impl Slot {
    /// Datagrams of one size, but for the last, which may be shorter, from one peer.
    pub fn train(peer: Option<Addr>, datagrams: &[Vec<u8>]) -> Self {
        let segment = if datagrams.len() > 1 { datagrams[0].len() } else { 0 };
        Self { bytes: datagrams.concat(), peer, local: None, segment, truncated: false }
    }
}

/// A reply: its bytes, and which way it went.
pub type Sent = (Vec<u8>, Addr, Option<IpAddr>);

#[derive(Debug, Default)]
pub struct State {
    /// Numbers of errors that come before anything is received, or sent.
    pub recv_errors: VecDeque<i32>,
    pub send_errors: VecDeque<i32>,
    pub batches: VecDeque<Vec<Slot>>,
    pub sent: Vec<Sent>,
    /// The most datagrams, and the most bytes, that one batch had.
    pub largest: (usize, usize),
    calls: usize,
}

#[derive(Clone, Debug, Default)]
pub struct Script {
    pub state: Arc<Mutex<State>>,
    pub spoofable: bool,
}

pub const HERE: &str = "script:here";

pub fn addr(name: &str) -> Addr {
    Addr::named("script", name).unwrap()
}

impl Script {
    pub fn new(batches: impl IntoIterator<Item = Vec<Slot>>) -> Self {
        let this = Self::default();
        this.state().batches.extend(batches);
        this
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl DatagramSocket for Script {
    fn local(&self) -> Endpoint {
        HERE.parse().unwrap()
    }

    fn poll_recv(&mut self, _: &mut Context<'_>, batch: &mut RecvBatch) -> Poll<io::Result<()>> {
        if let Some(errno) = self.state().recv_errors.pop_front() {
            return Poll::Ready(Err(io::Error::from_raw_os_error(errno)));
        }
        // Nobody is woken: there will never be more.
        let Some(slots) = self.state().batches.pop_front() else { return Poll::Pending };
        for Slot { bytes, peer, local, segment, truncated } in slots {
            batch.next_slot().expect("no more slots than a batch has")[..bytes.len()].copy_from_slice(&bytes);
            let mut meta = RecvMeta::new(peer, bytes.len());
            (meta.local, meta.segment, meta.truncated) = (local, NonZeroUsize::new(segment), truncated);
            batch.push(meta);
        }
        Poll::Ready(Ok(()))
    }

    /// A few at a time, and now and then there is no room.
    fn poll_send(&mut self, cx: &mut Context<'_>, batch: &SendBatch, from: usize) -> Poll<io::Result<usize>> {
        let mut state = self.state();
        if let Some(errno) = state.send_errors.pop_front() {
            return Poll::Ready(Err(io::Error::from_raw_os_error(errno)));
        }
        state.calls += 1;
        state.largest = (state.largest.0.max(batch.len()), state.largest.1.max(batch.bytes()));
        if state.calls.is_multiple_of(5) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = state.sent.len();
        let entries = batch.iter_from(from).take(7);
        state.sent.extend(entries.map(|entry| (entry.message.to_vec(), *entry.to, entry.local)));
        Poll::Ready(Ok(state.sent.len() - before))
    }

    fn max_message(&self) -> usize {
        65_536
    }
}

#[async_trait]
impl Transport for Script {
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        vec!["script".into()]
    }

    fn capabilities(&self, _: &str) -> Capabilities {
        let mut capabilities = Capabilities::datagram(65_536);
        capabilities.spoofable = self.spoofable;
        capabilities
    }

    async fn bind(&self, _: &Endpoint) -> Result<Bound, BindError> {
        Ok(Bound::Socket(Box::new(self.clone())))
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectError> {
        Err(ConnectError::from_io(endpoint, io::ErrorKind::Unsupported.into()))
    }
}
