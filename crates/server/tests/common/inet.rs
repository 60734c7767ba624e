//! The memory network with peers that seem to come from IP addresses, as the test says.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use swapwire_core::{
    Addr, BindError, Bound, Capabilities, ConnInfo, ConnectError, Endpoint, Incoming, Link, Listener, Peer, Registry,
    Transport, async_trait,
};
use swapwire_mem::MemNetwork;

/// Its connections come from `peers`, in turn; one that stalls never ends its handshake.
#[derive(Clone)]
pub struct Inet {
    pub inner: Registry,
    peers: Arc<Mutex<VecDeque<SocketAddr>>>,
    pub stalls: Arc<Mutex<usize>>,
}

impl Inet {
    pub fn new() -> Self {
        Self { inner: Registry::new().with(MemNetwork::new()), peers: Arc::default(), stalls: Arc::default() }
    }

    /// The next connection comes from here.
    pub fn next_from(&self, peer: &str) {
        self.peers.lock().unwrap().push_back(peer.parse().unwrap());
    }
}

struct InetListener {
    inner: Box<dyn Listener>,
    inet: Inet,
}

#[async_trait]
impl Listener for InetListener {
    fn local(&self) -> Endpoint {
        self.inner.local()
    }

    async fn accept(&mut self) -> io::Result<Incoming> {
        let incoming = self.inner.accept().await?;
        let from = self.inet.peers.lock().unwrap().pop_front().expect("the test says where it comes from");
        let peer = Peer::new(Addr::inet(from));
        let mut stalls = self.inet.stalls.lock().unwrap();
        if *stalls > 0 {
            *stalls -= 1;
            return Ok(Incoming::pending(peer, async move {
                let _kept = incoming;
                std::future::pending().await
            }));
        }
        let as_peer = peer.clone();
        Ok(Incoming::pending(peer, async move {
            match incoming.establish().await? {
                Link::Bytes { io, info } => Ok(Link::Bytes { io, info: ConnInfo::new(as_peer, info.local) }),
                other => Ok(other),
            }
        }))
    }
}

#[async_trait]
impl Transport for Inet {
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        vec!["mem".into()]
    }

    fn capabilities(&self, _: &str) -> Capabilities {
        Capabilities::byte_stream()
    }

    async fn bind(&self, endpoint: &Endpoint) -> Result<Bound, BindError> {
        match self.inner.bind(endpoint).await? {
            Bound::Listener(inner) => Ok(Bound::Listener(Box::new(InetListener { inner, inet: self.clone() }))),
            other => Ok(other),
        }
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectError> {
        self.inner.connect(endpoint).await
    }
}
