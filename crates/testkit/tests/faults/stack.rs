//! A stack, put together by hand, with one fault.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use swapwire_core::{
    BindError, Bound, Capabilities, ConnectError, Endpoint, Incoming, Link, Listener, OptionDoc, Transport, Upgrade,
    Upkeep, async_trait,
};
use swapwire_stack::Stacked;

use crate::Fault;
use crate::toy::Toy;

/// Makes the only stack there is here, of the toy layer without a fault of its own.
pub(crate) fn compose<const FAULT: usize>(
    _: Vec<Arc<dyn Upgrade>>,
    _: &str,
    base: Arc<dyn Transport>,
) -> Result<Arc<dyn Transport>, String> {
    let stack = Stacked::new(Toy(Fault::None), base).map_err(|error| error.to_string())?;
    Ok(Arc::new(FaultyStack(stack, FAULTS[FAULT])))
}

/// Those of a stack, in the order of [`compose`]'s parameter.
pub(crate) const FAULTS: [Fault; 8] = [
    Fault::BindsOneMember,
    Fault::ConnectsWithoutABound,
    Fault::HidesNews,
    Fault::HidesReloads,
    Fault::HidesTheClassOfErrors,
    Fault::HidesTheQueue,
    Fault::HidesTheRefusal,
    Fault::IgnoresReloads,
];

struct FaultyStack(Stacked, Fault);

impl FaultyStack {
    fn wrap(&self, bound: Bound) -> Bound {
        match bound {
            Bound::Listener(io) => Bound::Listener(Box::new(Forgetful(io, self.1))),
            other => other,
        }
    }
}

#[async_trait]
impl Transport for FaultyStack {
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        self.0.schemes()
    }

    fn capabilities(&self, scheme: &str) -> Capabilities {
        self.0.capabilities(scheme)
    }

    fn options(&self, scheme: &str) -> &[OptionDoc] {
        self.0.options(scheme)
    }

    async fn bind(&self, endpoint: &Endpoint) -> Result<Bound, BindError> {
        Ok(self.wrap(self.0.bind(endpoint).await?))
    }

    async fn bind_group(&self, endpoint: &Endpoint, members: usize) -> Result<Vec<Bound>, BindError> {
        let members = if self.1 == Fault::BindsOneMember { 1 } else { members };
        let group = self.0.bind_group(endpoint, members).await?;
        Ok(group.into_iter().map(|bound| self.wrap(bound)).collect())
    }

    async fn bind_all(&self, endpoint: &Endpoint, members: usize) -> Result<Vec<Vec<Bound>>, BindError> {
        self.0.bind_all(endpoint, members).await
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectError> {
        match self.1 {
            Fault::ConnectsWithoutABound => {
                self.0.connect(&endpoint.clone().with_option("handshake_timeout", "24h")).await
            }
            _ => self.0.connect(endpoint).await,
        }
    }
}

/// A listener that forwards all calls but one.
struct Forgetful(Box<dyn Listener>, Fault);

#[async_trait]
impl Listener for Forgetful {
    fn local(&self) -> Endpoint {
        self.0.local()
    }

    async fn accept(&mut self) -> io::Result<Incoming> {
        self.0.accept().await
    }

    fn refuse_arrivals(&mut self) -> io::Result<()> {
        if self.1 == Fault::HidesTheRefusal { Ok(()) } else { self.0.refuse_arrivals() }
    }

    fn upkeep(&mut self) -> Option<Upkeep> {
        if self.1 == Fault::HidesNews { None } else { self.0.upkeep() }
    }

    fn reloads(&self) -> bool {
        self.1 != Fault::HidesReloads && self.0.reloads()
    }

    fn reload(&mut self) {
        if self.1 != Fault::IgnoresReloads {
            self.0.reload();
        }
    }

    fn classify(&self, error: &io::Error) -> swapwire_core::ErrorClass {
        match self.1 {
            Fault::HidesTheClassOfErrors => swapwire_core::classify_accept(error),
            _ => self.0.classify(error),
        }
    }

    fn shares_queue(&self) -> bool {
        self.1 != Fault::HidesTheQueue && self.0.shares_queue()
    }
}
