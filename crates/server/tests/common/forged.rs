//! A datagram socket whose senders are whoever the test says.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use swapwire_core::{
    Addr, BindError, Bound, Capabilities, ConnectError, DatagramSocket, Endpoint, Link, RecvBatch, SendBatch,
    Transport, async_trait,
};

#[derive(Default)]
struct Wire {
    sent: VecDeque<(Addr, Vec<u8>)>,
    server: Option<Waker>,
    replies: Vec<(Addr, Vec<u8>)>,
    drops: u32,
}

/// Everybody can send in anybody's name.
#[derive(Clone, Default)]
pub struct Forged(Arc<Mutex<Wire>>);

impl Forged {
    /// A datagram that seems to come from `peer`.
    pub fn send(&self, peer: &str, message: impl AsRef<[u8]>) {
        self.send_from(peer.parse().unwrap(), message);
    }

    pub fn send_from(&self, peer: SocketAddr, message: impl AsRef<[u8]>) {
        let mut wire = self.0.lock().unwrap();
        wire.sent.push_back((Addr::inet(peer), message.as_ref().to_vec()));
        wire.server.take().into_iter().for_each(Waker::wake);
    }

    /// What was replied, and to whom, since it was last asked.
    pub async fn replies(&self) -> Vec<(String, Vec<u8>)> {
        // The clock stands still until everybody waits.
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        let replies = std::mem::take(&mut self.0.lock().unwrap().replies);
        replies.into_iter().map(|(to, message)| (to.to_string(), message)).collect()
    }

    /// Says that the system has dropped so many.
    pub fn drop_so_many(&self, count: u32) {
        self.0.lock().unwrap().drops = count;
    }
}

struct Socket {
    wire: Forged,
    local: Endpoint,
}

impl DatagramSocket for Socket {
    fn local(&self) -> Endpoint {
        self.local.clone()
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, batch: &mut RecvBatch) -> Poll<io::Result<()>> {
        let mut wire = self.wire.0.lock().unwrap();
        if wire.sent.is_empty() {
            wire.server = Some(cx.waker().clone());
            return Poll::Pending;
        }
        while !batch.is_full() {
            let Some((peer, message)) = wire.sent.pop_front() else { break };
            batch.push_message(Some(peer), &message);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_send(&mut self, _: &mut Context<'_>, batch: &SendBatch, from: usize) -> Poll<io::Result<usize>> {
        let replies = batch.iter_from(from).map(|entry| (*entry.to, entry.message.to_vec()));
        self.wire.0.lock().unwrap().replies.extend(replies);
        Poll::Ready(Ok(batch.len() - from))
    }

    fn max_message(&self) -> usize {
        65_507
    }

    fn drops(&self) -> Option<u32> {
        Some(self.wire.0.lock().unwrap().drops)
    }
}

#[async_trait]
impl Transport for Forged {
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        vec!["forged".into()]
    }

    fn capabilities(&self, _: &str) -> Capabilities {
        Capabilities::datagram(65_507)
    }

    async fn bind(&self, endpoint: &Endpoint) -> Result<Bound, BindError> {
        Ok(Bound::Socket(Box::new(Socket { wire: self.clone(), local: endpoint.clone() })))
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectError> {
        Err(ConnectError::invalid(endpoint, "it has no clients"))
    }
}
