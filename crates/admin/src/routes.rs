//! Which answer a request gets.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::access::{Access, Reach};
use crate::answer::Answer;
use crate::request::Asked;
use crate::{ReloadError, Source};

/// For so long whoever asked for a reload waits for what comes of it: shorter than a reader may take.
const RELOAD: Duration = Duration::from_secs(4);

pub(crate) struct Routes {
    source: Arc<dyn Source>,
    access: Access,
    /// One reload at a time.
    reload: Arc<Semaphore>,
}

impl Routes {
    pub(crate) fn new(source: Box<dyn Source>, access: Access) -> Self {
        Self { source: source.into(), access, reload: Arc::new(Semaphore::new(1)) }
    }

    /// The answer to a request that came from so far.
    pub(crate) async fn answer(&self, asked: &Asked, reach: Reach) -> Answer {
        if let Err(refused) = self.access.check(asked, reach) {
            return refused;
        }
        match (asked.method.as_str(), asked.path.as_str()) {
            ("GET", "/") => Answer::page(),
            ("GET", "/metrics") => Answer::metrics(self.source.metrics()),
            ("GET", "/livez") => Answer::ok("ok"),
            ("GET", "/readyz") => match self.source.status().not_ready {
                None => Answer::ok("ready"),
                Some(reason) => Answer::unavailable(&reason),
            },
            ("GET", "/status") => match serde_json::to_string(&self.source.status()) {
                Ok(text) => Answer::json(text),
                Err(error) => Answer::failed(&format!("status: {error}")),
            },
            ("POST", "/reload") => match Access::check_reload(asked, reach) {
                Ok(()) => self.reload().await,
                Err(refused) => refused,
            },
            (_, "/reload") => Answer::method("POST", "a reload is asked for by POST"),
            (_, "/" | "/metrics" | "/livez" | "/readyz" | "/status") => Answer::method("GET", "this is read by GET"),
            _ => Answer::not_found(),
        }
    }

    async fn reload(&self) -> Answer {
        let Ok(only) = Arc::clone(&self.reload).try_acquire_owned() else {
            return Answer::conflict("a reload is under way");
        };
        let source = Arc::clone(&self.source);
        // In a task of its own: it goes on when whoever asked has left. The permit makes it the only one.
        let reload = tokio::spawn(async move {
            let _only = only;
            let outcome = source.reload().await;
            match &outcome {
                Ok(told) => tracing::info!("reload: {told}"),
                Err(error) => tracing::error!("reload: {error}"),
            }
            outcome
        });
        match timeout(RELOAD, reload).await {
            Ok(Ok(Ok(told))) => Answer::ok(&told),
            Ok(Ok(Err(error @ ReloadError::Nothing))) => Answer::conflict(&error.to_string()),
            Ok(Ok(Err(error))) => Answer::failed(&error.to_string()),
            Ok(Err(_)) => Answer::failed("the reload panicked"),
            Err(_) => Answer::accepted("the reload goes on; /status tells what comes of it"),
        }
    }
}

impl std::fmt::Debug for Routes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Routes").field("access", &self.access).finish_non_exhaustive()
    }
}
