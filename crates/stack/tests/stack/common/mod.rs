//! Layers that note what they are asked, over a network in memory that does so as well.
#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::borrow::Cow;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use swapwire_core::{
    BindError, Bound, ByteStream, Capabilities, ConnInfo, ConnectError, Endpoint, Link, Listener, OptionDoc, Registry,
    Side, Transport, Upgrade, UpgradeClient, UpgradeError, UpgradeServer, Upkeep, async_trait,
};
use swapwire_mem::MemNetwork;
use swapwire_stack::WithLayer as _;

/// What was asked, in order.
pub(crate) type Notes = Arc<Mutex<Vec<String>>>;

pub(crate) fn taken(notes: &Notes) -> Vec<String> {
    std::mem::take(&mut *notes.lock().unwrap())
}

fn note(notes: &Notes, text: String) {
    notes.lock().unwrap().push(text);
}

/// The layers that a connection has passed.
#[derive(Clone, Default)]
pub(crate) struct Passed(pub(crate) Vec<&'static str>);

/// A layer without a protocol.
#[derive(Clone)]
pub(crate) struct Layer {
    pub(crate) name: &'static str,
    pub(crate) options: &'static [OptionDoc],
    pub(crate) notes: Notes,
    /// How long a client's handshake takes.
    pub(crate) takes: Duration,
    /// Its wires have messages.
    pub(crate) messages: bool,
    /// Neither end's handshake works.
    pub(crate) fails: bool,
}

impl Layer {
    pub(crate) fn new(name: &'static str, options: &'static [OptionDoc]) -> Self {
        Self { name, options, notes: Notes::default(), takes: Duration::ZERO, messages: false, fails: false }
    }

    fn half(&self, side: &str, endpoint: &Endpoint) -> Result<Arc<Self>, UpgradeError> {
        note(&self.notes, format!("{} {side} {endpoint}", self.name));
        match endpoint.option(self.name) {
            Some("invalid") => Err(UpgradeError::Invalid("write something else".to_owned())),
            Some("unusable") => Err(UpgradeError::Unusable("the file is empty".to_owned())),
            _ => Ok(Arc::new(self.clone())),
        }
    }

    fn link(&self, io: Box<dyn ByteStream>, mut info: ConnInfo) -> io::Result<Link> {
        if self.fails {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not my protocol"));
        }
        let mut passed = info.peer.get::<Passed>().cloned().unwrap_or_default();
        passed.0.push(self.name);
        info.peer = info.peer.and(passed);
        Ok(Link::Bytes { io, info })
    }
}

#[async_trait]
impl Upgrade for Layer {
    fn name(&self) -> &'static str {
        self.name
    }

    fn options(&self) -> &[OptionDoc] {
        self.options
    }

    fn capabilities(&self, below: Capabilities) -> Capabilities {
        if self.messages { Capabilities::message_stream(100) } else { below }
    }

    async fn server(&self, endpoint: &Endpoint) -> Result<Arc<dyn UpgradeServer>, UpgradeError> {
        Ok(self.half("serves", endpoint)?)
    }

    async fn client(&self, endpoint: &Endpoint) -> Result<Arc<dyn UpgradeClient>, UpgradeError> {
        Ok(self.half("dials", endpoint)?)
    }
}

#[async_trait]
impl UpgradeServer for Layer {
    async fn accept(&self, io: Box<dyn ByteStream>, info: ConnInfo) -> io::Result<Link> {
        self.link(io, info)
    }

    fn dial_options(&self) -> Vec<(&'static str, String)> {
        self.options.iter().take(1).map(|doc| (doc.name, "told".to_owned())).collect()
    }

    fn reloads(&self) -> bool {
        true
    }

    fn reload(&self) {
        note(&self.notes, format!("{} reloads", self.name));
    }

    fn upkeep(&self) -> Option<Upkeep> {
        Some(Upkeep::changed(true, format!("{} is well", self.name)))
    }
}

#[async_trait]
impl UpgradeClient for Layer {
    async fn connect(&self, io: Box<dyn ByteStream>, info: ConnInfo) -> io::Result<Link> {
        tokio::time::sleep(self.takes).await;
        self.link(io, info)
    }
}

/// A network in memory that notes what it is to bind and to dial, and knows groups: each member has a place of its own there.
#[derive(Clone)]
pub(crate) struct Base(pub(crate) MemNetwork, pub(crate) Notes);

impl Base {
    pub(crate) fn new() -> Self {
        Self(MemNetwork::new(), Notes::default())
    }
}

#[async_trait]
impl Transport for Base {
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        self.0.schemes()
    }

    fn capabilities(&self, scheme: &str) -> Capabilities {
        self.0.capabilities(scheme)
    }

    fn options(&self, _: &str) -> &[OptionDoc] {
        const SIZE: &[OptionDoc] = &[
            OptionDoc::new("size", "bytes", "how large", Side::Both),
            OptionDoc::new("side", "name", "which", Side::Both),
        ];
        SIZE
    }

    async fn bind(&self, endpoint: &Endpoint) -> Result<Bound, BindError> {
        note(&self.1, format!("bind {endpoint}"));
        self.0.bind(&endpoint.clone().without_options()).await
    }

    async fn bind_group(&self, endpoint: &Endpoint, members: usize) -> Result<Vec<Bound>, BindError> {
        let mut group = Vec::new();
        for member in 0..members {
            let place = swapwire_core::Place::Name(format!("member-{member}"));
            group.push(self.bind(&Endpoint::new(endpoint.scheme(), place).unwrap()).await?);
        }
        Ok(group)
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectError> {
        note(&self.1, format!("dial {endpoint}"));
        self.0.connect(&endpoint.clone().without_options()).await
    }
}

pub(crate) const A: &[OptionDoc] = &[OptionDoc::new("a", "text", "the upper one's", Side::Both)];
pub(crate) const B: &[OptionDoc] = &[
    OptionDoc::new("b", "text", "the lower one's", Side::Both),
    OptionDoc::new("key", "path", "the lower one's key", Side::Bind).required(),
];

/// The layers `up` and `low` over the base.
pub(crate) fn registry(base: &Base, up: &Layer, low: &Layer) -> Registry {
    Registry::new().with(base.clone()).with_layer(up.clone()).with_layer(low.clone())
}

pub(crate) fn endpoint(text: &str) -> Endpoint {
    text.parse().unwrap()
}

pub(crate) fn listener(bound: Bound) -> Box<dyn Listener> {
    match bound {
        Bound::Listener(listener) => listener,
        other => panic!("{other:?}"),
    }
}

/// Both ends, the client's first.
pub(crate) async fn meet(registry: &Registry, listener: &mut Box<dyn Listener>) -> (Link, Link) {
    let dial = listener.dial();
    let accept = async { listener.accept().await.unwrap().establish().await.unwrap() };
    let (client, server) = tokio::join!(registry.connect(&dial), accept);
    (client.unwrap(), server)
}
