//! RFC 868: the time as a number.

use std::time::SystemTime;

use async_trait::async_trait;
use swapwire_core::{Handler, HandlerError, HandlerProperties, Reply, Request, Session, SessionHandler};

use crate::clock::unix_seconds;

/// From 1900-01-01 to 1970-01-01, in seconds (RFC 868).
const FROM_1900_TO_1970: i64 = 2_208_988_800;

/// Answers with the time as seconds since 1900-01-01 00:00:00 UTC: four bytes, most significant first (RFC 868).
///
/// On a stream ([`SessionHandler`]) it sends first and ends the session; what the peer sends is not read. On a
/// datagram socket ([`Handler`]) it answers each message, even an empty one. The number begins again at 0 in February
/// 2036.
///
/// # Errors
/// The reply was refused, or the peer has ended the connection.
///
/// # Cancel safety
/// A dropped call has sent the whole number or nothing.
///
/// # Example
/// ```
/// use std::time::UNIX_EPOCH;
/// use swapwire_core::{Addr, Handler, Reply, Request};
/// use swapwire_handlers::Time;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), swapwire_core::HandlerError> {
/// # let local = Addr::named("test", "here").unwrap();
/// let time = Time::with_clock(|| UNIX_EPOCH);
/// let mut reply = Reply::new(1024);
/// time.handle(Request::new(b"", None, &local), &mut reply).await?;
/// assert_eq!(reply.messages().next(), Some(2_208_988_800_u32.to_be_bytes().as_slice()));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Time {
    clock: fn() -> SystemTime,
}

impl Time {
    /// The name by which an operator calls it.
    pub const NAME: &str = "time";
    /// What it does, in one line.
    pub const DESCRIPTION: &str = "answers with the time as seconds since 1900, in four bytes (RFC 868)";

    /// The system's time.
    pub const fn new() -> Self {
        Self::with_clock(SystemTime::now)
    }

    /// The time that `clock` tells, for tests.
    pub const fn with_clock(clock: fn() -> SystemTime) -> Self {
        Self { clock }
    }

    fn now(&self) -> [u8; 4] {
        // RFC 868 has 32 bits: the number wraps.
        (unix_seconds((self.clock)()).wrapping_add(FROM_1900_TO_1970) as u32).to_be_bytes()
    }
}

impl Default for Time {
    fn default() -> Self {
        Self::new()
    }
}

impl Handler for Time {
    async fn handle(&self, _: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        reply.send(self.now())?;
        Ok(())
    }
}

#[async_trait]
impl SessionHandler for Time {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        session.send(self.now()).await?;
        Ok(session.flush().await?)
    }

    fn properties(&self) -> HandlerProperties {
        HandlerProperties::new().any_slicing()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use swapwire_core::{Input, SessionConfig};
    use tokio::io::AsyncReadExt as _;

    use super::*;
    use crate::testing::{answers, session};

    #[tokio::test]
    async fn the_numbers_are_those_of_the_rfc() {
        // RFC 868 lists these.
        for (clock, number) in [
            ((|| UNIX_EPOCH) as fn() -> SystemTime, 2_208_988_800_u32),
            (|| UNIX_EPOCH + Duration::from_secs(189_302_400), 2_398_291_200),
            (|| UNIX_EPOCH + Duration::from_secs(315_532_800), 2_524_521_600),
            (|| UNIX_EPOCH + Duration::from_secs(420_595_200), 2_629_584_000),
            // It wraps on 2036-02-07 06:28:16.
            (|| UNIX_EPOCH + Duration::from_secs(2_085_978_495), u32::MAX),
            (|| UNIX_EPOCH + Duration::from_secs(2_085_978_496), 0),
            (|| UNIX_EPOCH - Duration::from_secs(2_208_988_800), 0),
        ] {
            assert_eq!(answers(&Time::with_clock(clock), b"").await, [number.to_be_bytes()]);
        }
    }

    #[tokio::test]
    async fn a_stream_gets_the_number_and_the_end() {
        let (session, mut peer) = session("peer", SessionConfig::default(), 64);
        SessionHandler::run(&Time::with_clock(|| UNIX_EPOCH), session).await.unwrap();
        let mut all = Vec::new();
        peer.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, 2_208_988_800_u32.to_be_bytes());
    }

    #[test]
    fn it_needs_no_framing_on_a_stream_and_does_not_amplify() {
        let time = Time::default();
        assert_eq!(SessionHandler::properties(&time).input, Input::AnySlicing);
        assert_eq!(Handler::properties(&time).input, Input::Messages);
        assert!(!Handler::properties(&time).amplifies && !SessionHandler::properties(&time).amplifies);
    }
}
