//! The network: binding and connecting.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::sync::Arc;

use swapwire_core::{
    BindError, Bound, Capabilities, ConnInfo, ConnectError, Endpoint, Link, OptionDoc, OptionError, Peer, Side,
    Transport, async_trait,
};

use crate::hub::Hub;
use crate::listener::MemListener;
use crate::names::{DATAGRAM, Name, SEQ, STREAM};
use crate::{datagram, seq, stream};

const BACKLOG: &str = "backlog";
const OPTIONS: &[OptionDoc] = &[OptionDoc::new(
    BACKLOG,
    "number from 1 to 65535, default 128",
    "connections that may wait to be accepted; further ones wait in connect",
    Side::Bind,
)];
const DEFAULT_BACKLOG: u32 = 128;
const MAX_BACKLOG: u32 = 65_535;

/// A network in memory: what is bound on it can be connected to through the same network or a clone of it, and nowhere
/// else.
///
/// A [`Transport`] of the schemes `mem`, `mem-seq` and `mem-dgram`. Connecting to a name that is not bound is
/// [`ConnectError::Refused`], for datagrams too. Dropping a listener or a socket frees its name; the connections that
/// waited for `accept` are closed, and connects that waited for room are refused.
///
/// Bounds: a listener keeps `backlog` connections that wait to be accepted (default 128); what is in flight on a wire is
/// bounded as the crate's table says.
#[derive(Clone, Default)]
pub struct MemNetwork {
    hub: Arc<Hub>,
}

impl MemNetwork {
    /// A network on which nothing is bound.
    pub fn new() -> Self {
        Self::default()
    }

    fn backlog(&self, endpoint: &Endpoint) -> Result<usize, OptionError> {
        let options = endpoint.read_options();
        options.check(self.options(endpoint.scheme()), Side::Bind)?;
        let backlog = options.get(BACKLOG)?.unwrap_or(DEFAULT_BACKLOG);
        if (1..=MAX_BACKLOG).contains(&backlog) {
            return Ok(backlog as usize);
        }
        Err(OptionError::Value {
            name: BACKLOG.to_owned(),
            value: backlog.to_string(),
            reason: format!("write a number from 1 to {MAX_BACKLOG}"),
        })
    }

    /// The server's and the client's link of one new connection to `server`.
    fn link<T>(
        &self,
        scheme: &'static str,
        server: Name,
        (a, b): (T, T),
        link: impl Fn(T, ConnInfo) -> Link,
    ) -> (Link, Link) {
        let (server, client) = (server.addr(), self.hub.client(scheme).addr());
        let theirs = ConnInfo::new(Peer::new(client), server);
        let ours = ConnInfo::new(Peer::new(server), client);
        (link(a, theirs), link(b, ours))
    }
}

#[async_trait]
impl Transport for MemNetwork {
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        vec![STREAM.into(), SEQ.into(), DATAGRAM.into()]
    }

    fn capabilities(&self, scheme: &str) -> Capabilities {
        match scheme {
            SEQ => seq::CAPABILITIES,
            DATAGRAM => datagram::CAPABILITIES,
            _ => Capabilities::byte_stream(),
        }
    }

    fn options(&self, scheme: &str) -> &[OptionDoc] {
        if scheme == DATAGRAM { &[] } else { OPTIONS }
    }

    async fn check(&self, endpoint: &Endpoint) -> Result<(), BindError> {
        Name::of(endpoint).map_err(|reason| BindError::invalid(endpoint, reason))?;
        self.backlog(endpoint).map(drop).map_err(|source| BindError::option(endpoint, source))
    }

    async fn bind(&self, endpoint: &Endpoint) -> Result<Bound, BindError> {
        let name = Name::of(endpoint).map_err(|reason| BindError::invalid(endpoint, reason))?;
        let backlog = self.backlog(endpoint).map_err(|source| BindError::option(endpoint, source))?;
        let taken = || BindError::from_io(endpoint, io::ErrorKind::AddrInUse.into());
        let local = endpoint.clone().without_options();
        if endpoint.scheme() == DATAGRAM {
            let socket = datagram::bind(&self.hub, name, local).ok_or_else(taken)?;
            return Ok(Bound::Socket(Box::new(socket)));
        }
        let listener = MemListener::bind(&self.hub, name, local, backlog).ok_or_else(taken)?;
        Ok(Bound::Listener(Box::new(listener)))
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectError> {
        let server = Name::of(endpoint).map_err(|reason| ConnectError::invalid(endpoint, reason))?;
        let options = endpoint.read_options().check(self.options(endpoint.scheme()), Side::Connect);
        options.map_err(|source| ConnectError::option(endpoint, source))?;
        let refused = || ConnectError::from_io(endpoint, io::ErrorKind::ConnectionRefused.into());
        if endpoint.scheme() == DATAGRAM {
            return datagram::connect(&self.hub, server).ok_or_else(refused);
        }
        let queue = self.hub.listener(server).ok_or_else(refused)?;
        let place = queue.reserve().await.map_err(|_| refused())?;
        let (theirs, ours) = if endpoint.scheme() == SEQ {
            self.link(SEQ, server, seq::pair(), Link::messages)
        } else {
            self.link(STREAM, server, stream::pair(), Link::bytes)
        };
        place.send(theirs);
        Ok(ours)
    }
}

impl fmt::Debug for MemNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemNetwork").field("bound", &self.hub).finish()
    }
}
