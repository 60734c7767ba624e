//! RFC 862: each message is returned.

use swapwire_core::{Handler, HandlerError, HandlerProperties, Reply, Request};

/// Answers each message with itself (RFC 862).
///
/// A reply is as long as its request; any slicing of a stream gives the same output ([`Input::AnySlicing`](swapwire_core::Input::AnySlicing)). Two such
/// services on datagram sockets answer each other for ever after one forged datagram: keep it from
/// untrusted networks there.
///
/// # Errors
/// The reply was refused: see [`ReplyError`](swapwire_core::ReplyError).
///
/// # Example
/// ```
/// use swapwire_core::{Addr, Handler, Reply, Request};
/// use swapwire_handlers::Echo;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), swapwire_core::HandlerError> {
/// # let local = Addr::named("test", "here").unwrap();
/// let mut reply = Reply::new(1024);
/// Echo.handle(Request::new(b"hello", None, &local), &mut reply).await?;
/// assert_eq!(reply.messages().next(), Some(b"hello".as_slice()));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Echo;

impl Echo {
    /// The name by which an operator calls it.
    pub const NAME: &str = "echo";
    /// What it does, in one line.
    pub const DESCRIPTION: &str = "answers each message with itself (RFC 862)";
}

impl Handler for Echo {
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        reply.send(request.message())?;
        Ok(())
    }

    fn properties(&self) -> HandlerProperties {
        HandlerProperties::new().any_slicing().with_ready_at_once(true)
    }
}

#[cfg(test)]
mod tests {
    use swapwire_core::Input;

    use super::*;
    use crate::testing::answers;

    #[tokio::test]
    async fn every_message_comes_back_unchanged() {
        let all: Vec<u8> = (0..=255).collect();
        for message in [b"".as_slice(), b"x", &all] {
            assert_eq!(answers(&Echo, message).await, [message]);
        }
        assert_eq!(Echo.properties().input, Input::AnySlicing);
        assert!(!Echo.properties().amplifies);
    }
}
