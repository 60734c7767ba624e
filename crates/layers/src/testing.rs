//! What the tests of all layers need.

use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use swapwire_core::{
    Addr, ConnInfo, DrainToken, Handler, HandlerError, HandlerProperties, Link, Peer, Reply, Request, Session,
    SessionConfig, SessionHandler,
};

static ADDR: LazyLock<Addr> = LazyLock::new(|| Addr::named("test", "peer").unwrap());
static PEER: LazyLock<Peer> = LazyLock::new(|| Peer::new(*ADDR));

/// An echo that is both kinds of handler, answers after a delay, and says about itself what it is told to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Both {
    pub(crate) delay: Duration,
    pub(crate) properties: HandlerProperties,
}

impl Both {
    pub(crate) fn after(delay: Duration) -> Self {
        Self { delay, ..Self::default() }
    }
}

impl Default for Both {
    fn default() -> Self {
        Self { delay: Duration::ZERO, properties: HandlerProperties::new() }
    }
}

impl Handler for Both {
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        reply.send(request.message())?;
        Ok(())
    }

    fn properties(&self) -> HandlerProperties {
        self.properties
    }
}

#[async_trait]
impl SessionHandler for Both {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        while let Some(message) = session.recv().await? {
            session.send(message).await?;
            session.flush().await?;
        }
        Ok(())
    }

    fn properties(&self) -> HandlerProperties {
        self.properties
    }
}

pub(crate) fn request(message: &[u8]) -> Request<'_> {
    Request::new(message, Some(&*PEER), &ADDR)
}

/// What `handler` replies to `message`.
pub(crate) async fn call(handler: &impl Handler, message: &[u8]) -> Result<Vec<Vec<u8>>, HandlerError> {
    let mut reply = Reply::new(1024);
    handler.handle(request(message), &mut reply).await?;
    Ok(reply.messages().map(<[u8]>::to_vec).collect())
}

/// The server's and the client's end of a session.
pub(crate) fn session() -> (Session, Session) {
    let (ours, theirs, _) = draining_session();
    (ours, theirs)
}

/// The same, and what makes the server's end drain.
pub(crate) fn draining_session() -> (Session, Session, DrainToken) {
    let (ours, theirs) = tokio::io::duplex(1024);
    let info = || ConnInfo::new(PEER.clone(), *ADDR);
    let drain = DrainToken::new();
    let mut config = SessionConfig::default();
    config.draining = Some(drain.clone());
    let ours = Session::new(Link::bytes(ours, info()), config);
    (ours, Session::new(Link::bytes(theirs, info()), SessionConfig::default()), drain)
}
