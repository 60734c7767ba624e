//! When a drain has been quiet for long enough.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::QUIET;
use crate::metrics::WorkerLoad;
use crate::time::over;

/// Ready once a drain has been quiet long enough to stop receiving.
#[derive(Default)]
pub(crate) enum QuietPeriod {
    #[default]
    ToCome,
    Now(Pin<Box<dyn Future<Output = ()> + Send>>),
    Over,
}

impl QuietPeriod {
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, load: &Arc<WorkerLoad>) -> Poll<()> {
        if matches!(self, Self::ToCome) {
            let load = Arc::clone(load);
            *self = Self::Now(Box::pin(async move { over(QUIET, &load).await }));
        }
        if let Self::Now(quiet) = self {
            ready!(quiet.as_mut().poll(cx));
            *self = Self::Over;
        }
        Poll::Ready(())
    }
}
