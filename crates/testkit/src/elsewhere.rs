//! Runtimes of their own, for what may not give its thread back, and for what must not depend on other threads.

use std::future::Future;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::timeout;

use crate::Stop;
use crate::stop::OrBroken as _;

/// So many turns of a runtime of one thread are enough for all that the system knows already: it asks its reactor for news at
/// least each 61 turns.
pub(crate) const TURNS: usize = 1000;

/// Lets others have their turn, [`TURNS`] times.
pub(crate) async fn turns() {
    for _ in 0..TURNS {
        yield_now().await;
    }
}

/// Runs `task` on a thread and a runtime of its own: a task that does not give its thread back holds up nobody else.
pub(crate) async fn elsewhere<T: Send + 'static>(
    what: &'static str,
    task: impl Future<Output = Result<T, Stop>> + Send + 'static,
) -> Result<T, Stop> {
    /// Only a task that never ends needs it.
    const PATIENCE: Duration = Duration::from_secs(60);
    let (tell, told) = oneshot::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let result = runtime.or_broken("make a runtime").and_then(|runtime| runtime.block_on(task));
        let _ = tell.send(result);
    });
    match timeout(PATIENCE, told).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(Stop::broken(format!("{what} panicked"))),
        Err(_) => Err(Stop::broken(format!("{what} does not give its thread back"))),
    }
}
