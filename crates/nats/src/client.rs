//! The client's side: requests to a subject, as a message stream.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use swapwire_core::{
    Addr, ConnInfo, ConnectError, Endpoint, Link, MessageStream, Peer, RecvBatch, RecvError, SendBatch, SendError,
};

use crate::connection::{Keeper, Kind, Role, Shared, State, Up, open, register, wake};
use crate::dial::Dialer;
use crate::proto::{DIGITS, decimal, publish, published_len};
use crate::socket::SocketOptions;
use crate::subject::Subject;
use crate::{MAX_MESSAGE, SCHEME};

/// Requests to one subject, on one connection.
pub(crate) struct Client {
    shared: Arc<Shared>,
    subject: Subject,
    /// The inbox, with the number of the next request.
    inbox: Vec<u8>,
    next: usize,
}

impl Client {
    pub(crate) async fn connect(
        dialer: Arc<Dialer>,
        subject: Subject,
        peer: Endpoint,
        options: SocketOptions,
    ) -> Result<Link, ConnectError> {
        let failed = |source| ConnectError::Io { endpoint: peer.clone(), source };
        let shared = Shared::new(Role::Client, options.pending, MAX_MESSAGE, MAX_MESSAGE);
        let shared = Arc::new(shared.map_err(failed)?);
        let conn = open(&shared, &dialer, 0).await.map_err(|error| error.of_connect(&peer))?;
        let named = |name: &str| Addr::named(SCHEME, name).ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()));
        let local = named(&shared.inbox)?;
        let info = ConnInfo::new(Peer::new(Addr::named(SCHEME, subject.as_str()).unwrap_or(local)), local);
        tokio::spawn(Keeper::new(Arc::clone(&shared), dialer, Some(conn), options.ping).run());
        let inbox = format!("{}.", shared.inbox).into_bytes();
        Ok(Link::messages(Self { shared, subject, inbox, next: 0 }, info))
    }

    /// The error of what is no message.
    fn noise(&self, kind: Kind, words: &[u8]) -> RecvError {
        let (kind, text) = match kind {
            Kind::NoResponders => {
                let text = format!("nobody answers the subject {}: no server has it at this broker", self.subject);
                (io::ErrorKind::ConnectionRefused, text)
            }
            _ => (io::ErrorKind::PermissionDenied, format!("the broker says: {}", String::from_utf8_lossy(words))),
        };
        RecvError::PeerNoise(io::Error::new(kind, text))
    }

    /// Adds a request; `false`, if it has to wait for room.
    fn add(&mut self, state: &mut State, message: &[u8]) -> Result<bool, SendError> {
        if let Up::Never(cause) = &state.up {
            return Err(SendError::Io(io::Error::new(io::ErrorKind::NotConnected, cause.clone())));
        }
        let max = state.max_payload;
        if message.len() > max {
            return Err(SendError::TooLarge { len: message.len(), max });
        }
        self.inbox.truncate(self.shared.inbox.len() + 1);
        self.inbox.extend_from_slice(decimal(self.next, &mut [0; DIGITS]));
        let (subject, inbox) = (self.subject.as_str().as_bytes(), self.inbox.as_slice());
        if state.is_full(published_len(subject, inbox, message)) {
            return Ok(false);
        }
        self.next = self.next.wrapping_add(1);
        publish(&mut state.out, subject, inbox, message);
        Ok(true)
    }
}

/// What is received when nothing waits.
fn nothing(state: &mut State, cx: &Context<'_>) -> Poll<Result<Option<usize>, RecvError>> {
    if let Up::Never(cause) = &state.up {
        return Poll::Ready(Err(RecvError::Io(io::Error::new(io::ErrorKind::ConnectionAborted, cause.clone()))));
    }
    register(&mut state.wakers.receiver, cx);
    Poll::Pending
}

impl MessageStream for Client {
    fn poll_recv(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<Result<Option<usize>, RecvError>> {
        let mut state = self.shared.lock();
        let Some(received) = state.received.pop() else { return nothing(&mut state, cx) };
        Poll::Ready(match received.kind {
            Kind::Whole => {
                into.extend_from_slice(received.message);
                Ok(Some(received.message.len()))
            }
            Kind::Truncated => Err(RecvError::TooLarge { len: MAX_MESSAGE + 1, max: MAX_MESSAGE }),
            kind => Err(self.noise(kind, received.message)),
        })
    }

    fn poll_recv_batch(
        &mut self,
        cx: &mut Context<'_>,
        batch: &mut RecvBatch,
    ) -> Poll<Result<Option<usize>, RecvError>> {
        let before = batch.len();
        let mut state = self.shared.lock();
        while !batch.is_full() && batch.len() - before < batch.awaits().max(1) {
            if state.received.next_kind().is_some_and(|kind| matches!(kind, Kind::NoResponders | Kind::Denied)) {
                if batch.len() > before {
                    break;
                }
                let Some(received) = state.received.pop() else { break };
                return Poll::Ready(Err(self.noise(received.kind, received.message)));
            }
            let Some(received) = state.received.pop() else { break };
            match received.kind {
                Kind::Whole => batch.push_message(None, received.message),
                _ => batch.push_with(0, |meta| meta.truncated = true),
            }
        }
        let received = batch.len() - before;
        if received > 0 || batch.is_full() { Poll::Ready(Ok(Some(received))) } else { nothing(&mut state, cx) }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, message: &[u8]) -> Poll<Result<(), SendError>> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        if self.add(&mut state, message)? {
            state.added(1);
            return Poll::Ready(Ok(()));
        }
        register(&mut state.wakers.sender, cx);
        Poll::Pending
    }

    fn poll_send_batch(
        &mut self,
        cx: &mut Context<'_>,
        batch: &SendBatch,
        from: usize,
    ) -> Poll<Result<usize, SendError>> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        let mut sent = 0;
        for entry in batch.iter_from(from) {
            match self.add(&mut state, entry.message) {
                Ok(true) => sent += 1,
                Err(error) if sent == 0 => return Poll::Ready(Err(error)),
                Ok(false) if sent == 0 => {
                    register(&mut state.wakers.sender, cx);
                    return Poll::Pending;
                }
                _ => break,
            }
        }
        state.added(sent as u64);
        Poll::Ready(Ok(sent))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let mut state = self.shared.lock();
        if let Up::Never(cause) = &state.up {
            return Poll::Ready(Err(SendError::Io(io::Error::new(io::ErrorKind::NotConnected, cause.clone()))));
        }
        if state.has_said_all && state.out.is_empty() {
            return Poll::Ready(Ok(()));
        }
        register(&mut state.wakers.flusher, cx);
        Poll::Pending
    }

    fn max_message(&self) -> usize {
        self.shared.lock().max_payload
    }

    fn drops(&self) -> Option<u32> {
        Some(self.shared.lock().received.dropped)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.is_closed = true;
        wake(&mut state.wakers.task);
    }
}
