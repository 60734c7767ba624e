//! What the tests of several handlers need.

use swapwire_core::{Addr, ConnInfo, Handler, Link, Peer, Reply, Request, Session, SessionConfig};
use tokio::io::DuplexStream;

/// What `handler` replies to `message`.
pub(crate) async fn answers(handler: &impl Handler, message: &[u8]) -> Vec<Vec<u8>> {
    let local = Addr::named("test", "here").unwrap();
    let mut reply = Reply::new(1 << 20);
    handler.handle(Request::new(message, None, &local), &mut reply).await.unwrap();
    assert!(!reply.closes());
    reply.messages().map(<[u8]>::to_vec).collect()
}

/// A session with the peer `name`, and that peer's end of the stream.
pub(crate) fn session(name: &str, config: SessionConfig, room: usize) -> (Session, DuplexStream) {
    let addr = Addr::named("test", name).unwrap();
    let (ours, theirs) = tokio::io::duplex(room);
    (Session::new(Link::bytes(ours, ConnInfo::new(Peer::new(addr), addr)), config), theirs)
}
