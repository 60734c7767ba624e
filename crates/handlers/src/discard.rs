//! RFC 863: what arrives is thrown away.

use swapwire_core::{Handler, HandlerError, HandlerProperties, Reply, Request};

/// Throws every message away and answers none (RFC 863). Never fails.
///
/// # Example
/// ```
/// use swapwire_core::{Addr, Handler, Reply, Request};
/// use swapwire_handlers::Discard;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), swapwire_core::HandlerError> {
/// # let local = Addr::named("test", "here").unwrap();
/// let mut reply = Reply::new(1024);
/// Discard.handle(Request::new(b"hello", None, &local), &mut reply).await?;
/// assert!(reply.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Discard;

impl Discard {
    /// The name by which an operator calls it.
    pub const NAME: &str = "discard";
    /// What it does, in one line.
    pub const DESCRIPTION: &str = "discards every message and answers none (RFC 863)";
}

impl Handler for Discard {
    async fn handle(&self, _: Request<'_>, _: &mut Reply<'_>) -> Result<(), HandlerError> {
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
    async fn nothing_comes_back() {
        assert!(answers(&Discard, b"").await.is_empty());
        assert!(answers(&Discard, b"anything").await.is_empty());
        assert_eq!(Discard.properties().input, Input::AnySlicing);
        assert!(!Discard.properties().amplifies);
    }
}
