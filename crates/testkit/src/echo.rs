//! A server for laws to talk to, for every shape of wire.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;

use swapwire_core::{
    Bound, DatagramSocket, Endpoint, ErrorClass, Listener, RecvBatch, SendBatch, Session, SessionConfig,
};
use tokio::task::JoinSet;

use crate::stop::ensure;
use crate::wire::take;
use crate::{Context, Outcome, Stop};

/// Datagrams that the server receives at once.
const BATCH: usize = 8;

/// What the server answers to a message.
pub(crate) type Answer = Arc<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;

impl Context {
    /// Answers every message with itself at a fresh endpoint until the law ends; gives the endpoint to dial.
    pub(crate) async fn echo(&self) -> Result<Endpoint, Stop> {
        let bound = self.bind(&self.fresh()).await?;
        Ok(self.echo_at(bound))
    }

    /// The same where something is bound already.
    pub(crate) fn echo_at(&self, bound: Bound) -> Endpoint {
        let dial = self.dial(&bound);
        self.background(serve(bound, self.config(), Arc::new(<[u8]>::to_vec)));
        dial
    }
}

/// Answers every message of every peer until it is dropped.
pub(crate) async fn serve(bound: Bound, config: SessionConfig, answer: Answer) -> Outcome {
    match bound {
        Bound::Listener(listener) => serve_connections(listener, config, answer).await,
        Bound::Socket(socket) => serve_datagrams(socket, answer).await,
        other => Err(Stop::broken(format!("{other:?} is neither a listener nor a socket"))),
    }
}

async fn serve_connections(mut listener: Box<dyn Listener>, config: SessionConfig, answer: Answer) -> Outcome {
    let mut sessions = JoinSet::new();
    loop {
        let incoming = take(&mut listener).await?;
        let (config, answer) = (config.clone(), Arc::clone(&answer));
        // Clients that leave early are part of some laws: what they cause here is not the listener's fault.
        sessions.spawn(async move {
            if let Ok(link) = incoming.establish().await {
                serve_session(Session::new(link, config), answer).await;
            }
        });
        while sessions.try_join_next().is_some() {}
    }
}

/// Answers every message of one session until it ends.
pub(crate) async fn serve_session(mut session: Session, answer: Answer) {
    while let Ok(Some(message)) = session.recv().await {
        if session.send(answer(&message)).await.is_err() {
            return;
        }
    }
    let _ = session.shutdown().await;
}

async fn serve_datagrams(mut socket: Box<dyn DatagramSocket>, answer: Answer) -> Outcome {
    let mut batch = RecvBatch::new(BATCH, socket.max_message());
    let mut replies = SendBatch::new();
    loop {
        receive(&mut socket, &mut batch).await?;
        replies.clear();
        for (meta, message) in batch.datagrams() {
            if let Some(peer) = meta.peer {
                replies.push(&answer(message), peer, meta.local);
            }
        }
        send_all(&mut socket, &replies).await?;
    }
}

/// Receives at least one datagram; none may be truncated, as the slots are large enough.
pub(crate) async fn receive(socket: &mut Box<dyn DatagramSocket>, batch: &mut RecvBatch) -> Outcome {
    loop {
        batch.clear();
        match poll_fn(|cx| socket.poll_recv(cx, batch)).await {
            Ok(()) => {
                ensure!(!batch.is_empty(), "poll_recv was ready with an empty batch");
                ensure!(
                    batch.iter().all(|(meta, _)| !meta.truncated),
                    "a datagram was truncated in a slot of max_message"
                );
                return Ok(());
            }
            Err(error) => {
                usable(socket.as_ref(), "receive", &error)?;
                tokio::task::yield_now().await;
            }
        }
    }
}

/// Sends all entries in order; gives the indices of those that met an error, which are dropped.
pub(crate) async fn send_all(socket: &mut Box<dyn DatagramSocket>, batch: &SendBatch) -> Result<Vec<usize>, Stop> {
    let mut from = 0;
    let mut refused = Vec::new();
    while from < batch.len() {
        match poll_fn(|cx| socket.poll_send(cx, batch, from)).await {
            Ok(sent) => {
                let left = batch.len() - from;
                ensure!((1..=left).contains(&sent), "poll_send said that it sent {sent} of {left} datagrams");
                from += sent;
            }
            Err(error) => {
                usable(socket.as_ref(), "send", &error)?;
                refused.push(from);
                from += 1;
            }
        }
    }
    Ok(refused)
}

/// Nothing that the laws do may end a socket.
pub(crate) fn usable(socket: &dyn DatagramSocket, what: &str, error: &io::Error) -> Outcome {
    let class = socket.classify(error);
    let usable = matches!(class, ErrorClass::PeerNoise | ErrorClass::Retryable);
    ensure!(usable, "{what}: {error}: classified as {class:?}, which ends the socket");
    Ok(())
}
