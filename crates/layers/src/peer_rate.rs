//! A limit on how many messages each peer sends, with an answer to those above it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use swapwire_core::{Addr, EachMessage, Layer, Layered, MessageLayer, Peer, Reply, Request, SessionId};
use tokio::time::Instant;

use crate::bucket::Refill;

/// How many peers are known at most, unless the layer says otherwise.
const MOST_PEERS: usize = 65_536;

/// Makes a [`PeerRate`] of every handler, each with a table of its own. Clones share the count.
#[derive(Clone, Debug)]
pub struct PeerRateLayer {
    messages: u32,
    period: Duration,
    burst: u32,
    answer: Option<Arc<[u8]>>,
    most_peers: usize,
    refused: Arc<AtomicU64>,
}

impl PeerRateLayer {
    /// At most `messages` of each peer in each `period`; 0 counts as 1. Others are dropped.
    pub fn new(messages: u32, period: Duration) -> Self {
        let (answer, most_peers, refused) = (None, MOST_PEERS, Arc::default());
        Self { messages, period, burst: messages, answer, most_peers, refused }
    }

    /// How many may come at once after a silence: the size of a peer's bucket. Default: the messages of one period; 0 counts
    /// as 1.
    #[must_use]
    pub fn burst(mut self, messages: u32) -> Self {
        self.burst = messages;
        self
    }

    /// Answers each message above the rate with this one. At most 64 bytes always fit what a datagram peer may be sent whose
    /// address may be forged; a longer answer may be dropped there, and is counted as withheld by the server.
    #[must_use]
    pub fn answer(mut self, message: impl AsRef<[u8]>) -> Self {
        self.answer = Some(message.as_ref().into());
        self
    }

    /// How many peers are known at most: those that sent something last. Default: 65,536, which take about 5 MB; less than 2
    /// counts as 2.
    #[must_use]
    pub fn max_peers(mut self, peers: usize) -> Self {
        self.most_peers = peers;
        self
    }

    /// How many messages were above the rate so far, at all handlers of this layer and its clones.
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }
}

impl<H> Layer<H> for PeerRateLayer {
    type Service = PeerRate<H>;

    fn layer(&self, inner: H) -> PeerRate<H> {
        let refill = Refill::new(self.messages, self.period, self.burst);
        let buckets = Mutex::new(Buckets::new(self.most_peers));
        Layered::new(EachMessage::new(PeerBuckets { layer: self.clone(), refill, buckets }), inner)
    }
}

/// Lets each peer's messages reach the handler at a bounded rate, and answers the others with a text: a token bucket for each
/// peer, full at first. The session goes on.
///
/// It counts messages, of a [`Handler`] and of a [`SessionHandler`] alike, on every wire; a handler that is both kinds has one
/// table for both. A peer is an IP address (IPv6: a network of 64 bits), whatever its connections and ports; one without, as
/// on a Unix socket or in memory, is a [session](SessionId), and begins with a full bucket when it connects again. Who
/// forges an address spends that address's tokens.
///
/// The table is bounded ([`PeerRateLayer::max_peers`]): the half of it that sent last is always known, and who falls out of it
/// begins with a full bucket. So where more peers send in one period than that, some may send more than their rate. A
/// message takes a lock and a look at the clock (Tokio's), and no memory once its peer is known.
///
/// [`Handler`]: swapwire_core::Handler
/// [`SessionHandler`]: swapwire_core::SessionHandler
///
/// # Errors
/// Those of the inner handler.
///
/// # Example
/// ```
/// use std::time::Duration;
/// use swapwire_core::{HandlerExt, handler_fn, testing};
/// use swapwire_layers::PeerRateLayer;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), swapwire_core::HandlerError> {
/// let limit = PeerRateLayer::new(2, Duration::from_secs(1)).answer("slow down");
/// let echo = handler_fn(|request, reply| Ok(reply.send(request.message())?)).with_layer(limit.clone());
///
/// assert_eq!(testing::replies(&echo, "one").await?, ["one"]);
/// assert_eq!(testing::replies(&echo, "two").await?, ["two"]);
/// assert_eq!(testing::replies(&echo, "three").await?, ["slow down"]);
/// assert_eq!(limit.refused(), 1);
/// # Ok(())
/// # }
/// ```
pub type PeerRate<H> = Layered<EachMessage<PeerBuckets>, H>;

/// The buckets of the peers of one [`PeerRate`].
#[derive(Debug)]
pub struct PeerBuckets {
    layer: PeerRateLayer,
    refill: Refill,
    buckets: Mutex<Buckets>,
}

impl MessageLayer for PeerBuckets {
    fn admit(&self, request: Request<'_>, reply: &mut Reply<'_>) -> bool {
        let now = Instant::now();
        let key = Key::of(&request);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at = buckets.of(key, now);
        let admitted = self.refill.wait(*full_at, now).is_zero();
        if admitted {
            *full_at = self.refill.take(*full_at, now);
        }
        drop(buckets);
        if !admitted {
            self.layer.refused.fetch_add(1, Relaxed);
            if let Some(answer) = &self.layer.answer
                && reply.is_answerable()
            {
                // One that does not fit is dropped.
                let _ = reply.send(answer);
            }
        }
        admitted
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    Ip(IpAddr),
    Session(SessionId),
}

impl Key {
    fn of(request: &Request<'_>) -> Self {
        match request.peer().map(Peer::addr) {
            Some(Addr::Inet(addr)) => Self::Ip(match addr.ip().to_canonical() {
                IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() >> 64 << 64).into()),
                ip => ip,
            }),
            _ => Self::Session(request.session()),
        }
    }
}

/// When the bucket of each peer will be full: of those that sent since the table was half full last, and of those before.
#[derive(Debug)]
struct Buckets {
    young: HashMap<Key, Instant>,
    old: HashMap<Key, Instant>,
    half: usize,
}

impl Buckets {
    fn new(most: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), half: (most / 2).max(1) }
    }

    /// That of one peer, which is full at `now` if it is not known.
    fn of(&mut self, key: Key, now: Instant) -> &mut Instant {
        if !self.young.contains_key(&key) {
            let full_at = self.old.remove(&key).unwrap_or(now);
            if self.young.len() >= self.half {
                self.old.clear();
                std::mem::swap(&mut self.young, &mut self.old);
            }
            self.young.insert(key, full_at);
        }
        self.young.entry(key).or_insert(now)
    }
}

#[cfg(test)]
mod tests;
