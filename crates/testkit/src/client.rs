//! A client for laws, which asks again where the wire may lose a message.

use std::time::Duration;

use bytes::Bytes;
use swapwire_core::{Addr, DatagramSocket, Endpoint, ErrorClass, Link, RecvBatch, RecvError, Session, SessionConfig};

use crate::echo::receive;
use crate::payload::compare;
use crate::stop::OrBroken as _;
use crate::{Context, Outcome, Stop};

/// How long to wait for an answer on a wire that may lose it, before asking again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// A client of a server that answers each message with one.
pub(crate) struct Client {
    pub(crate) session: Session,
    kind: Kind,
    /// What may arrive besides the answer that is due: answers to messages that were sent more than once.
    pub(crate) stale: Vec<Vec<u8>>,
}

/// What a client must reckon with.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    datagram: bool,
    reliable: bool,
}

impl Context {
    /// A client of the server at `endpoint`.
    pub(crate) async fn client(&self, endpoint: &Endpoint) -> Result<Client, Stop> {
        let link = self.connect(endpoint).await?;
        self.step(format!("exchange messages with {endpoint}"));
        Ok(self.client_over(link))
    }

    /// A client over `link`.
    pub(crate) fn client_over(&self, link: Link) -> Client {
        Client::new(link, self.config(), self.kind())
    }

    pub(crate) fn kind(&self) -> Kind {
        Kind { datagram: self.is_datagram(), reliable: self.capabilities().reliable }
    }

    /// The client's first datagram at `socket`, which is `message`: gives the client's address.
    pub(crate) async fn introduce(
        &self,
        client: &mut Client,
        socket: &mut Box<dyn DatagramSocket>,
        message: &[u8],
    ) -> Result<Addr, Stop> {
        self.step("receive a client's first datagram");
        let mut batch = RecvBatch::new(1, socket.max_message());
        let first = async {
            receive(socket, &mut batch).await?;
            let (meta, got) = batch.datagrams().next().ok_or_else(|| Stop::broken("an empty batch"))?;
            compare(message, got).or_broken("the first datagram is")?;
            meta.peer.ok_or_else(|| Stop::broken("a connected client has no address that could be answered"))
        };
        // Nobody answers, but the exchange sends again what the wire may lose.
        tokio::select! {
            biased;
            peer = first => peer,
            outcome = client.exchange(message) => {
                outcome.and_then(|()| Err(Stop::broken("an answer that nobody sent")))
            }
        }
    }
}

impl Client {
    pub(crate) fn new(link: Link, config: SessionConfig, kind: Kind) -> Self {
        Self { session: Session::new(link, config), kind, stale: Vec::new() }
    }

    /// Sends `message`, which differs from earlier ones, and receives it back.
    pub(crate) async fn exchange(&mut self, message: &[u8]) -> Outcome {
        loop {
            if self.say(message).await? && self.hear(message).await? {
                return Ok(());
            }
        }
    }

    /// Sends and flushes; `false` if the message was dropped on the way, as datagrams may be.
    pub(crate) async fn say(&mut self, message: &[u8]) -> Result<bool, Stop> {
        let sent = async {
            self.session.send(message).await?;
            self.session.flush().await
        };
        match sent.await {
            Err(error) if self.kind.datagram && error.class() != ErrorClass::ConnectionFatal => {
                tokio::task::yield_now().await;
                Ok(false)
            }
            result => result.map(|()| true).or_broken(format_args!("send a message of {} bytes", message.len())),
        }
    }

    /// Receives `message`; `false` if it may be lost.
    pub(crate) async fn hear(&mut self, message: &[u8]) -> Result<bool, Stop> {
        loop {
            match self.next().await {
                None => {
                    self.stale.push(message.to_vec());
                    return Ok(false);
                }
                Some(Ok(Some(got))) if got == message => return Ok(true),
                Some(Ok(Some(got))) if self.stale.iter().any(|stale| got == stale) => {}
                Some(Ok(Some(got))) => compare(message, &got).or_broken("the answer is")?,
                Some(Ok(None)) => return Err(Stop::broken("the session ended where an answer was due")),
                Some(Err(error)) => return Err(error).or_broken("receive an answer"),
            }
        }
    }

    /// The next that arrives; `None` if it is time to ask again.
    pub(crate) async fn next(&mut self) -> Option<Result<Option<Bytes>, RecvError>> {
        let kind = self.kind;
        let recv = async {
            loop {
                match self.session.recv().await {
                    Err(RecvError::PeerNoise(_)) if kind.datagram => tokio::task::yield_now().await,
                    result => return result,
                }
            }
        };
        kind.patiently(recv).await
    }
}

impl Kind {
    /// Waits for `future`; on a wire that may lose messages, only until it is time to ask again.
    pub(crate) async fn patiently<T>(self, future: impl Future<Output = T>) -> Option<T> {
        if self.reliable { Some(future.await) } else { tokio::time::timeout(ASK_AGAIN, future).await.ok() }
    }
}
