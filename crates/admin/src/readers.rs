//! Those who are answered now.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use swapwire_core::{ByteStream, Incoming, Link, Printable};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use crate::access::Reach;
use crate::head;
use crate::routes::Routes;

/// Readers at once.
pub(crate) const MOST: usize = 16;
/// How long one may take in all, from its connection on.
pub(crate) const LONGEST: Duration = Duration::from_secs(5);
/// What is read and thrown away behind the answer, so that a reset does not take that away: for so long, in bytes.
const LINGER: Duration = Duration::from_secs(1);
const MOST_DISCARDED: u64 = 64 << 10;

/// At most [`MOST`] of them.
#[derive(Debug)]
pub(crate) struct Readers {
    routes: Arc<Routes>,
    free: Arc<Semaphore>,
    all: Mutex<All>,
}

#[derive(Debug, Default)]
struct All {
    tasks: JoinSet<()>,
    /// The one that came first in front.
    order: VecDeque<AbortHandle>,
}

impl Readers {
    pub(crate) fn new(routes: Arc<Routes>) -> Self {
        Self { routes, free: Arc::new(Semaphore::new(MOST)), all: Mutex::default() }
    }

    /// Answers one more. If there are as many as may be, the first makes room: who has asked is answered within moments, so it is
    /// one that does not ask, or does not read.
    pub(crate) async fn admit(&self, incoming: Incoming, reach: Reach) {
        let permit = match Arc::clone(&self.free).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                self.make_room();
                // It is never closed.
                let Ok(permit) = Arc::clone(&self.free).acquire_owned().await else { return };
                permit
            }
        };
        let reader = read(incoming, reach, Arc::clone(&self.routes), permit);
        let mut all = self.lock();
        while all.tasks.try_join_next().is_some() {}
        all.order.retain(|reader| !reader.is_finished());
        let handle = all.tasks.spawn(reader);
        all.order.push_back(handle);
    }

    fn make_room(&self) {
        let mut all = self.lock();
        all.order.retain(|reader| !reader.is_finished());
        if let Some(first) = all.order.pop_front() {
            tracing::debug!("admin: the reader that came first made room for another");
            first.abort();
        }
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read(incoming: Incoming, reach: Reach, routes: Arc<Routes>, _permit: OwnedSemaphorePermit) {
    let peer = incoming.peer().clone();
    let served = async {
        match incoming.establish().await {
            Ok(Link::Bytes { io, info }) => serve(io, reach.with(&info.peer), &routes).await,
            Ok(_) => Some("this wire is no byte stream".to_owned()),
            Err(error) => Some(error.to_string()),
        }
    };
    match timeout(LONGEST, served).await {
        Ok(None) => {}
        Ok(Some(why)) => tracing::debug!(%peer, "admin: {}", Printable::new(why)),
        Err(_) => tracing::debug!(%peer, "admin: it took more than {LONGEST:?}"),
    }
}

/// Answers one request. Gives what was wrong with it.
async fn serve(mut io: Box<dyn ByteStream>, reach: Reach, routes: &Routes) -> Option<String> {
    let answer = match head::read(&mut io).await? {
        Ok(asked) => routes.answer(&asked, reach).await,
        Err(refused) => refused,
    };
    let written = async {
        io.write_all(&answer.bytes()).await?;
        io.flush().await?;
        io.shutdown().await
    };
    if written.await.is_ok() {
        let discard = async { tokio::io::copy(&mut io.take(MOST_DISCARDED), &mut tokio::io::sink()).await };
        let _ = timeout(LINGER, discard).await;
    }
    (!answer.status.starts_with('2')).then(|| format!("{}: {}", answer.status, answer.body.trim_end()))
}
