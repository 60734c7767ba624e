//! A transport with one fault.

use std::borrow::Cow;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use swapwire_core::{
    BindError, Bound, Capabilities, ConnInfo, ConnectError, Endpoint, Link, OptionDoc, Side, Transport, async_trait,
};
use swapwire_mem::MemNetwork;

use crate::Fault;
use crate::batches::FaultyBatches;
use crate::bytes::FaultyBytes;
use crate::group::share;
use crate::listener::FaultyListener;
use crate::messages::FaultyMessages;
use crate::socket::FaultySocket;

/// [`MemNetwork`] with one fault.
pub(crate) struct Faulty {
    network: MemNetwork,
    fault: Fault,
    bound_before: AtomicBool,
}

impl Faulty {
    pub(crate) const fn new(network: MemNetwork, fault: Fault) -> Self {
        Self { network, fault, bound_before: AtomicBool::new(false) }
    }
}

/// `link` with `fault`.
pub(crate) fn spoil(link: Link, fault: Fault) -> Link {
    match link {
        Link::Bytes { io, info } => Link::bytes(FaultyBytes::new(io, fault), info),
        Link::Messages { io, info } if matches!(fault, Fault::ClaimsTheWholeBatch | Fault::LosesTheEndOfABatch) => {
            Link::messages(FaultyBatches::new(io, fault), info)
        }
        Link::Messages { io, info } => Link::messages(FaultyMessages::new(io, fault), info),
        other => other,
    }
}

async fn dial(network: MemNetwork, endpoint: Endpoint, fault: Fault) -> Result<Link, ConnectError> {
    let endpoint = if fault == Fault::IgnoresOptions { endpoint.without_options() } else { endpoint };
    if fault == Fault::LeaksDescriptors {
        std::mem::forget(std::fs::File::open("/dev/null"));
    }
    if fault == Fault::Panics {
        panic!("connect is not done yet");
    }
    match network.connect(&endpoint).await {
        Ok(link) => Ok(spoil(link, fault)),
        Err(ConnectError::Refused { source, .. }) if fault == Fault::AnonymousRefusal => {
            let somewhere: Endpoint = "mem:somewhere".parse().expect("an endpoint");
            Err(ConnectError::from_io(&somewhere, source))
        }
        Err(ConnectError::Refused { .. }) if fault == Fault::ConnectsToGhosts => {
            let network = MemNetwork::new();
            let Ok(_bound) = network.bind(&endpoint).await else { panic!("an empty network refuses {endpoint}") };
            network.connect(&endpoint).await
        }
        Err(error) => Err(error),
    }
}

#[async_trait]
impl Transport for Faulty {
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        self.network.schemes()
    }

    fn capabilities(&self, scheme: &str) -> Capabilities {
        if self.fault == Fault::LiesAboutItsShape {
            return Capabilities::message_stream(100);
        }
        self.network.capabilities(scheme)
    }

    fn options(&self, scheme: &str) -> &[OptionDoc] {
        const GHOST: &[OptionDoc] = &[OptionDoc::new("ghost", "bool, default true", "nobody knows", Side::Both)];
        if self.fault == Fault::DocumentsAGhost { GHOST } else { self.network.options(scheme) }
    }

    async fn bind(&self, endpoint: &Endpoint) -> Result<Bound, BindError> {
        let bound_before = self.bound_before.swap(true, Relaxed);
        let bound = match self.fault {
            Fault::BindsOnce if bound_before => Err(BindError::invalid(endpoint, "one is enough")),
            Fault::IgnoresOptions => self.network.bind(&endpoint.clone().without_options()).await,
            Fault::BindsTwice => match self.network.bind(endpoint).await {
                Err(BindError::AddrInUse { .. }) => {
                    self.network.bind(&"mem:another-place".parse().expect("an endpoint")).await
                }
                result => result,
            },
            Fault::BindsWhenDropped => {
                let mut bound = ManuallyDrop::new(self.network.bind(endpoint).await?);
                tokio::task::yield_now().await;
                let placeholder = MemNetwork::new().bind(endpoint).await?;
                Ok(std::mem::replace(&mut *bound, placeholder))
            }
            _ => self.network.bind(endpoint).await,
        };
        Ok(match bound? {
            Bound::Listener(listener) => Bound::Listener(Box::new(FaultyListener::new(listener, self.fault))),
            Bound::Socket(socket) => Bound::Socket(Box::new(FaultySocket::new(socket, self.fault))),
            other => other,
        })
    }

    async fn bind_group(&self, endpoint: &Endpoint, members: usize) -> Result<Vec<Bound>, BindError> {
        Ok(match self.bind(endpoint).await? {
            Bound::Listener(listener) => share(listener, members, self.fault),
            other => vec![other],
        })
    }

    // What `async fn connect` stands for, so that one fault can begin before the first poll.
    fn connect<'a, 'b, 'c>(
        &'a self,
        endpoint: &'b Endpoint,
    ) -> Pin<Box<dyn Future<Output = Result<Link, ConnectError>> + Send + 'c>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        let (network, endpoint, fault) = (self.network.clone(), endpoint.clone(), self.fault);
        if fault == Fault::ConnectsEagerly {
            let task = tokio::spawn(dial(network, endpoint, fault));
            return Box::pin(async move { task.await.expect("connect does not panic") });
        }
        Box::pin(dial(network, endpoint, fault))
    }
}

/// `info` with a made-up peer.
pub(crate) fn made_up(info: ConnInfo) -> ConnInfo {
    let nobody = swapwire_core::Addr::named("mem", "nobody").expect("a short name");
    ConnInfo::new(swapwire_core::Peer::new(nobody), info.local)
}
