//! Byte streams that take more at once than is read at once, unlike those of the memory network.

use std::borrow::Cow;
use std::io;
use std::sync::Mutex;

use swapwire_core::{
    Addr, BindError, Bound, Capabilities, ConnInfo, ConnectError, Endpoint, Incoming, Link, Listener, Peer, Transport,
    async_trait,
};
use tokio::io::duplex;
use tokio::sync::mpsc;

const BYTES: usize = 1 << 20;

/// One listener, whatever its name.
pub struct Wide {
    connections: mpsc::Sender<Link>,
    listener: Mutex<Option<mpsc::Receiver<Link>>>,
}

impl Wide {
    pub fn new() -> Self {
        let (connections, listener) = mpsc::channel(128);
        Self { connections, listener: Mutex::new(Some(listener)) }
    }
}

struct WideListener(mpsc::Receiver<Link>);

#[async_trait]
impl Listener for WideListener {
    fn local(&self) -> Endpoint {
        "wide:here".parse().unwrap()
    }

    async fn accept(&mut self) -> io::Result<Incoming> {
        self.0.recv().await.map(Incoming::ready).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

#[async_trait]
impl Transport for Wide {
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        vec!["wide".into()]
    }

    fn capabilities(&self, _: &str) -> Capabilities {
        Capabilities::byte_stream()
    }

    async fn bind(&self, _: &Endpoint) -> Result<Bound, BindError> {
        let listener = self.listener.lock().unwrap().take().expect("it is bound once");
        Ok(Bound::Listener(Box::new(WideListener(listener))))
    }

    async fn connect(&self, _: &Endpoint) -> Result<Link, ConnectError> {
        let (here, there) = (Addr::named("wide", "here").unwrap(), Addr::named("wide", "there").unwrap());
        let (ours, theirs) = duplex(BYTES);
        self.connections.send(Link::bytes(theirs, ConnInfo::new(Peer::new(there), here))).await.expect("a listener");
        Ok(Link::bytes(ours, ConnInfo::new(Peer::new(here), there)))
    }
}
