//! A session handler that does what `uppercase-echo` does, as `examples/session_echo.rs`.

use swapwire::{HandlerError, HandlerProperties, Session, SessionHandler, async_trait};

pub struct SessionEcho;

#[async_trait]
impl SessionHandler for SessionEcho {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        let mut upper = Vec::new();
        while let Some(message) = session.recv().await? {
            upper.clear();
            upper.extend_from_slice(&message);
            upper.make_ascii_uppercase();
            session.send(&upper).await?;
        }
        Ok(())
    }

    fn properties(&self) -> HandlerProperties {
        HandlerProperties::new().any_slicing()
    }
}
