//! The memory network's byte streams behind a handshake: the client says `open`, and where the wire renames, an address and a
//! line end, for which it then speaks.

use std::borrow::Cow;
use std::io;

use swapwire_core::{
    Addr, BindError, Bound, ByteStream, Capabilities, ConnInfo, ConnectError, Endpoint, Incoming, Link, Listener, Peer,
    Registry, Transport, async_trait,
};
use swapwire_mem::MemNetwork;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The transports `mem`, whose connections have a handshake, and `mem-seq`, whose connections have none.
#[derive(Clone)]
pub struct Shaking {
    inner: Registry,
    renames: bool,
}

impl Shaking {
    pub fn new() -> Self {
        Self { inner: Registry::new().with(MemNetwork::new()), renames: false }
    }

    /// Its clients speak for others.
    pub fn renaming() -> Self {
        Self { renames: true, ..Self::new() }
    }

    /// A client that has said so much.
    pub async fn client(&self, endpoint: &str, says: &str) -> Box<dyn ByteStream> {
        let Ok(Link::Bytes { mut io, .. }) = self.inner.connect(&endpoint.parse().unwrap()).await else {
            panic!("it is a byte stream, and a server listens");
        };
        io.write_all(says.as_bytes()).await.unwrap();
        io
    }

    /// A connection of the wire below.
    pub async fn below(&self, endpoint: &str) -> Link {
        self.inner.connect(&endpoint.parse().unwrap()).await.unwrap()
    }
}

/// Reads byte by byte, as a peer may send them.
async fn shake_hands(incoming: Incoming, renames: bool) -> io::Result<Link> {
    let Link::Bytes { mut io, info } = incoming.establish().await? else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    for expected in b"open" {
        if io.read_u8().await? != *expected {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it said something else than open"));
        }
    }
    if !renames {
        return Ok(Link::Bytes { io, info });
    }
    let mut client = Vec::new();
    loop {
        match io.read_u8().await? {
            b'\n' => break,
            byte => client.push(byte),
        }
    }
    let client = String::from_utf8(client).unwrap().parse().map_err(io::Error::other)?;
    Ok(Link::Bytes { io, info: ConnInfo::new(Peer::new(Addr::inet(client)), info.local) })
}

struct ShakingListener {
    inner: Box<dyn Listener>,
    renames: bool,
}

#[async_trait]
impl Listener for ShakingListener {
    fn local(&self) -> Endpoint {
        self.inner.local()
    }

    async fn accept(&mut self) -> io::Result<Incoming> {
        let below = self.inner.accept().await?;
        let incoming = Incoming::pending(below.peer().clone(), shake_hands(below, self.renames));
        Ok(if self.renames { incoming.renaming() } else { incoming })
    }
}

#[async_trait]
impl Transport for Shaking {
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        vec!["mem".into(), "mem-seq".into()]
    }

    fn capabilities(&self, scheme: &str) -> Capabilities {
        if scheme == "mem" { Capabilities::byte_stream() } else { Capabilities::message_stream(1 << 20) }
    }

    async fn bind(&self, endpoint: &Endpoint) -> Result<Bound, BindError> {
        Ok(match self.inner.bind(endpoint).await? {
            Bound::Listener(inner) if endpoint.scheme() == "mem" => {
                Bound::Listener(Box::new(ShakingListener { inner, renames: self.renames }))
            }
            other => other,
        })
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectError> {
        self.inner.connect(endpoint).await
    }
}
