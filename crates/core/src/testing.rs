//! What the unit test of a handler needs, without a server and without sockets.

use bytes::Bytes;

use crate::server::Replies;
use crate::{Addr, Framing, Handler, HandlerError, Peer, Request};

/// As a server's default.
const MAX_REPLY: usize = 1 << 20;

/// What `handler` replies to `message`: the messages, without framing, in order.
///
/// The peer and the local address are named `test:peer` and `test:local`. The replies of the call are bounded to 1 MiB, as
/// a server's are by default. It needs no runtime of its own, and a handler that waits is waited for. For a bound of your
/// own, or a request without a return address, call [`Handler::handle`] with a [`Reply`](crate::Reply).
///
/// ```
/// use swapwire_core::{handler_fn, testing};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), swapwire_core::HandlerError> {
/// let shout = handler_fn(|request, reply| Ok(reply.send(request.message().to_ascii_uppercase())?));
/// assert_eq!(testing::replies(&shout, "hello").await?, ["HELLO"]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The error of the handler; [`Replaced`](crate::server::Replaced) if it puts another reply in the place of the one
/// it is lent, as a server fails that call.
///
/// # Cancel safety
/// Dropping it drops the call half-way, as a server does when a session ends.
pub async fn replies(handler: &impl Handler, message: impl AsRef<[u8]>) -> Result<Vec<Bytes>, HandlerError> {
    let addr = |name| Addr::named("test", name).expect("a short name is an address");
    let (peer, local) = (Peer::new(addr("peer")), addr("local"));
    let mut replies = Replies::new(Framing::Chunks.encoder(usize::MAX));
    let mut call = replies.call(MAX_REPLY, true);
    let result = handler.handle(Request::new(message.as_ref(), Some(&peer), &local), call.reply()).await;
    call.end(result)?;
    Ok(replies.messages().map(Bytes::copy_from_slice).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Replaced;
    use crate::{Reply, handler_fn, handler_fn_async};

    #[tokio::test]
    async fn a_handler_that_waits_is_waited_for() {
        let slow = handler_fn_async(|message| async move {
            tokio::task::yield_now().await;
            Ok(message)
        });
        assert_eq!(replies(&slow, [0, 255]).await.unwrap(), [[0, 255].as_slice()]);
    }

    #[tokio::test]
    async fn an_error_is_told_and_nothing_is_no_reply() {
        let silent = handler_fn(|_, _| Ok(()));
        assert_eq!(replies(&silent, "").await.unwrap(), Vec::<Bytes>::new());
        let fails = handler_fn(|request, _| Err(format!("from {}", request.peer().unwrap()).into()));
        assert_eq!(replies(&fails, "x").await.unwrap_err().to_string(), "from test:peer");
        let floods = handler_fn(|_, reply| Ok(reply.send(vec![0; MAX_REPLY + 1])?));
        assert!(replies(&floods, "x").await.is_err());
        let replaces = handler_fn(|_, reply| {
            *reply = Reply::new(9);
            Ok(reply.send("lost")?)
        });
        let error = replies(&replaces, "x").await.unwrap_err();
        assert!(error.downcast_ref::<Replaced>().is_some(), "{error}");
    }
}
