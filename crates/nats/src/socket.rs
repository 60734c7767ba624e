//! The server's side: a subscription as a datagram socket.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use swapwire_core::{Addr, Arrivals, BindError, DatagramSocket, Endpoint, InlineName, RecvBatch, SendBatch, Upkeep};

use crate::connection::{Keeper, Kind, OUT, READ, Role, Shared, State, Up, open, register, wake};
use crate::dial::Dialer;
use crate::options::Options;
use crate::proto::{publish, published_len};
use crate::subject::Subject;
use crate::{MAX_MESSAGE, SCHEME, SCHEME_PREFIX};

/// How a connection is used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SocketOptions {
    pub(crate) pending: usize,
    pub(crate) ping: Duration,
    pub(crate) wait: bool,
}

impl SocketOptions {
    pub(crate) fn of(options: &Options) -> Self {
        Self { pending: options.pending, ping: options.ping, wait: options.wait }
    }
}

/// A subscription.
pub(crate) struct Socket {
    shared: Arc<Shared>,
    local: Endpoint,
    own: Option<Addr>,
    pending: usize,
    max_message: usize,
    /// Until it is polled first, on the runtime that serves it.
    keeper: Option<Keeper>,
}

impl Socket {
    /// Subscribes; with `wait`, later, if no broker is there.
    pub(crate) async fn bind(
        dialer: Arc<Dialer>,
        subject: Subject,
        queue: Option<String>,
        local: Endpoint,
        options: SocketOptions,
    ) -> Result<Self, BindError> {
        let SocketOptions { pending, ping, wait } = options;
        let own = Addr::named(SCHEME, subject.as_str());
        let role = Role::Server { subject: subject.to_string(), queue };
        let shared = Shared::new(role, pending, MAX_MESSAGE, MAX_MESSAGE);
        let shared = Arc::new(shared.map_err(|error| BindError::from_io(&local, error))?);
        let conn = match open(&shared, &dialer, 0).await {
            Ok(conn) => Some(conn),
            Err(error) if wait && error.may_pass() => {
                shared.lock().told.tell(format!("waiting for a broker: {error}"));
                None
            }
            Err(error) => return Err(error.of_bind(&local)),
        };
        let max_message = shared.lock().max_payload.min(MAX_MESSAGE);
        let keeper = Keeper::new(Arc::clone(&shared), dialer, conn, ping);
        Ok(Self { shared, local, own, pending, max_message, keeper: Some(keeper) })
    }

    fn begin(&mut self) {
        if let Some(keeper) = self.keeper.take() {
            tokio::spawn(keeper.run());
        }
    }
}

/// Takes what waits, up to a batch.
pub(crate) fn receive(state: &mut State, batch: &mut RecvBatch) {
    while !batch.is_full() {
        let Some(received) = state.received.pop() else { break };
        let peer = if received.from.is_empty() { None } else { InlineName::new(received.from).map(Addr::Named) };
        match received.kind {
            Kind::Whole => batch.push_message(peer, received.message),
            _ => batch.push_with(0, |meta| (meta.peer, meta.truncated) = (peer, true)),
        }
    }
}

/// The reply subject of an address, if it is one of a request.
fn subject(to: &Addr) -> Option<&[u8]> {
    let Addr::Named(name) = to else { return None };
    let subject = name.as_bytes().strip_prefix(SCHEME_PREFIX)?;
    (!subject.is_empty() && subject.iter().all(|byte| *byte > b' ')).then_some(subject)
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

impl DatagramSocket for Socket {
    fn local(&self) -> Endpoint {
        self.local.clone()
    }

    /// The subject: whoever asks for a reply to it would have it asked again, for ever.
    fn local_addr(&self) -> Option<Addr> {
        self.own
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, batch: &mut RecvBatch) -> Poll<io::Result<()>> {
        self.begin();
        let mut state = self.shared.lock();
        receive(&mut state, batch);
        if !batch.is_empty() || state.has_last || (state.refuses && state.up != Up::Yes) {
            return Poll::Ready(Ok(()));
        }
        register(&mut state.wakers.receiver, cx);
        Poll::Pending
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, batch: &SendBatch, from: usize) -> Poll<io::Result<usize>> {
        self.begin();
        let mut state = self.shared.lock();
        let (mut sent, mut result) = (0, Ok(()));
        for entry in batch.iter_from(from) {
            let (message, most) = (entry.message, state.max_payload);
            let Some(subject) = subject(entry.to) else {
                result = Err(invalid(format!("{} is no reply subject", entry.to)));
                break;
            };
            if message.len() > most {
                let text =
                    format!("a message of {} bytes is longer than the broker's max_payload of {most}", message.len());
                result = Err(invalid(text));
                break;
            }
            if state.refuses && state.up != Up::Yes {
                result = Err(io::Error::new(io::ErrorKind::NotConnected, "the connection to the broker broke"));
                break;
            }
            if state.is_full(published_len(subject, b"", message)) {
                break;
            }
            publish(&mut state.out, subject, b"", message);
            sent += 1;
        }
        state.added(sent as u64);
        match result {
            // The next call meets it again, as its first.
            Err(error) if sent == 0 => Poll::Ready(Err(error)),
            Ok(()) if sent == 0 && batch.get(from).is_some() => {
                register(&mut state.wakers.sender, cx);
                Poll::Pending
            }
            _ => Poll::Ready(Ok(sent)),
        }
    }

    fn max_message(&self) -> usize {
        self.max_message
    }

    fn refuse_arrivals(&mut self) -> Arrivals {
        self.begin();
        let mut state = self.shared.lock();
        state.refuses = true;
        wake(&mut state.wakers.task);
        Arrivals::Fenced
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.lock().poll_flush(cx)
    }

    fn drops(&self) -> Option<u32> {
        Some(self.shared.lock().received.dropped)
    }

    fn upkeep(&mut self) -> Option<Upkeep> {
        self.begin();
        let mut state = self.shared.lock();
        let reachable = state.up == Up::Yes && !state.told.is_denied && !state.told.is_leaving;
        let mut found = Upkeep::unchanged(reachable);
        found.news = state.told.news.take();
        found.reconnects = std::mem::take(&mut state.told.reconnects);
        found.lost = std::mem::take(&mut state.told.lost);
        Some(found)
    }

    /// What waits lies in a buffer that may be twice as large; beside it is what is being read, and what is being said.
    fn queue_memory(&self) -> usize {
        2 * self.pending + READ + self.max_message + 2 * OUT
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.is_closed = true;
        wake(&mut state.wakers.task);
    }
}
