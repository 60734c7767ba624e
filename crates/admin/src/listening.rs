//! Takes connections.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use swapwire_core::{ErrorClass, Listener, Upkeep};
use tokio::task::yield_now;
use tokio::time::{interval, sleep};

use crate::access::Reach;
use crate::readers::Readers;

/// The first pause after an accept that failed for want of a resource; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How often the place is looked after: [`Listener::upkeep`].
const UPKEEP: Duration = Duration::from_millis(500);

/// Serves one listener; ends when it can never work again.
pub(crate) async fn listen(mut listener: Box<dyn Listener>, reach: Reach, readers: Arc<Readers>) {
    let endpoint = listener.local();
    let mut upkeep = interval(UPKEEP);
    let (mut has_upkeep, mut pause) = (true, FIRST_PAUSE);
    loop {
        tokio::select! {
            biased;
            _ = upkeep.tick(), if has_upkeep => match listener.upkeep() {
                None => has_upkeep = false,
                Some(Upkeep { news: Some(news), .. }) => tracing::warn!(%endpoint, "admin: {news}"),
                Some(_) => {}
            },
            accepted = listener.accept() => match accepted {
                Ok(incoming) => {
                    pause = FIRST_PAUSE;
                    readers.admit(incoming, reach).await;
                }
                Err(error) => match listener.classify(&error) {
                    ErrorClass::ListenerFatal => {
                        tracing::error!(%endpoint, %error, "admin: the listener failed for good");
                        return;
                    }
                    class => pause = wait(class, &error, pause).await,
                },
            },
        }
    }
}

/// Waits as long as the error asks for; gives the next pause.
async fn wait(class: ErrorClass, error: &io::Error, pause: Duration) -> Duration {
    if matches!(class, ErrorClass::ListenerTransient | ErrorClass::Retryable | ErrorClass::ConnectionFatal) {
        yield_now().await;
        return pause;
    }
    // Once, until one succeeds.
    if pause == FIRST_PAUSE {
        tracing::warn!(%error, "admin: cannot accept");
    }
    sleep(pause).await;
    (pause * 2).min(LONGEST_PAUSE)
}
