//! Whether layers pass on what the handlers inside declare.

use async_trait::async_trait;
use tower_layer::Layer;

use crate::{Handler, HandlerError, HandlerProperties, Input, Reply, Request, Session, SessionHandler};

/// An echo of both kinds that declares of itself what it is told to: what a test puts inside a layer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Probe {
    /// What it declares.
    pub properties: HandlerProperties,
}

impl Handler for Probe {
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        Ok(reply.send(request.message())?)
    }

    fn properties(&self) -> HandlerProperties {
        self.properties
    }
}

#[async_trait]
impl SessionHandler for Probe {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        while let Some(message) = session.recv().await? {
            session.send(message).await?;
        }
        Ok(())
    }

    fn properties(&self) -> HandlerProperties {
        self.properties
    }
}

/// Checks that a layer passes on what the [`Handler`] inside declares. A layer may take back that calls are [ready at
/// once](HandlerProperties::ready_at_once), as one that waits must, and nothing else.
///
/// ```
/// use swapwire_core::{Handler, HandlerError, Layer, Reply, Request, testing};
///
/// struct Forgetful<H>(H);
///
/// // `properties` is missing: a handler that amplifies would be taken for one that does not.
/// impl<H: Handler> Handler for Forgetful<H> {
///     async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
///         self.0.handle(request, reply).await
///     }
/// }
///
/// struct ForgetfulLayer;
///
/// impl<H> Layer<H> for ForgetfulLayer {
///     type Service = Forgetful<H>;
///
///     fn layer(&self, inner: H) -> Forgetful<H> {
///         Forgetful(inner)
///     }
/// }
///
/// assert!(std::panic::catch_unwind(|| testing::assert_passes_on(&ForgetfulLayer)).is_err());
/// ```
///
/// # Panics
/// If it does not.
pub fn assert_passes_on<L: Layer<Probe, Service: Handler>>(layer: &L) {
    assert_all(|probe| layer.layer(probe).properties());
}

/// The same of a layer around a [`SessionHandler`].
///
/// # Panics
/// If it does not.
pub fn assert_session_passes_on<L: Layer<Probe, Service: SessionHandler>>(layer: &L) {
    assert_all(|probe| layer.layer(probe).properties());
}

fn assert_all(through: impl Fn(Probe) -> HandlerProperties) {
    for input in [Input::Messages, Input::AnySlicing] {
        for (ready_at_once, amplifies) in [(false, false), (false, true), (true, false), (true, true)] {
            let properties = HandlerProperties { input, ready_at_once, amplifies };
            let passed_on = through(Probe { properties });
            let taken_back = properties.with_ready_at_once(false);
            assert!(
                passed_on == properties || passed_on == taken_back,
                "a layer has to pass on what the handler inside declares: of {properties:?} it made {passed_on:?}"
            );
        }
    }
}
