//! What arrives, in upper case.

use std::future::{Future, ready};

use swapwire_core::{Handler, HandlerError, HandlerProperties, Reply, Request};

/// Answers each message with itself, the ASCII letters in upper case; all other bytes stay as they are.
///
/// A reply is as long as its request. ASCII only, so that any slicing of a stream gives the same output
/// ([`Input::AnySlicing`](swapwire_core::Input::AnySlicing)): no framing is needed. The message is copied once, into the reply.
///
/// # Errors
/// The reply was refused: see [`ReplyError`](swapwire_core::ReplyError).
///
/// # Example
/// ```
/// use swapwire_core::{Addr, Handler, Reply, Request};
/// use swapwire_handlers::UppercaseEcho;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), swapwire_core::HandlerError> {
/// # let local = Addr::named("test", "here").unwrap();
/// let mut reply = Reply::new(1024);
/// UppercaseEcho.handle(Request::new("hello, wörld".as_bytes(), None, &local), &mut reply).await?;
/// assert_eq!(reply.messages().next(), Some("HELLO, WöRLD".as_bytes()));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct UppercaseEcho;

impl UppercaseEcho {
    /// The name by which an operator calls it.
    pub const NAME: &str = "uppercase-echo";
    /// What it does, in one line.
    pub const DESCRIPTION: &str = "answers each message with itself in upper case (ASCII)";
}

impl Handler for UppercaseEcho {
    // Ready at once, so that the loop around it needs no state for it.
    #[inline]
    fn handle(
        &self,
        request: Request<'_>,
        reply: &mut Reply<'_>,
    ) -> impl Future<Output = Result<(), HandlerError>> + Send {
        let replied = reply.write(|out| {
            out.put(request.message());
            out.as_mut().make_ascii_uppercase();
        });
        ready(replied.map_err(HandlerError::from))
    }

    fn properties(&self) -> HandlerProperties {
        HandlerProperties::new().any_slicing().with_ready_at_once(true)
    }
}

#[cfg(test)]
mod tests {
    use swapwire_core::{Addr, Input, ReplyError};

    use super::*;
    use crate::testing::answers;

    #[tokio::test]
    async fn any_slicing_of_a_stream_gives_the_same_output() {
        let stream: Vec<u8> = (0..=255).chain("straße ÄÖÜ äöü mixed CASE 123".bytes()).collect();
        let whole = answers(&UppercaseEcho, &stream).await.concat();
        assert_eq!(whole, stream.to_ascii_uppercase());
        for first in 1..=stream.len() {
            for rest in [1, 2, 3, 5, 64, 1000] {
                let (head, tail) = stream.split_at(first);
                let mut sliced = answers(&UppercaseEcho, head).await.concat();
                for piece in tail.chunks(rest) {
                    sliced.extend(answers(&UppercaseEcho, piece).await.concat());
                }
                assert_eq!(sliced, whole, "first {first} bytes, then {rest} at a time");
            }
        }
    }

    #[tokio::test]
    async fn an_empty_message_has_an_empty_answer() {
        assert_eq!(answers(&UppercaseEcho, b"").await, [b""]);
    }

    #[tokio::test]
    async fn a_reply_above_the_limit_is_an_error() {
        let local = Addr::named("test", "here").unwrap();
        let mut reply = Reply::new(3);
        let error = UppercaseEcho.handle(Request::new(b"four", None, &local), &mut reply).await.unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(ReplyError::Full { len: 4, limit: 3 })));
        assert!(reply.is_empty());
    }

    #[test]
    fn it_needs_no_framing_and_does_not_amplify() {
        assert_eq!(UppercaseEcho.properties().input, Input::AnySlicing);
        assert!(!UppercaseEcho.properties().amplifies);
    }
}
