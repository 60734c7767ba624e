//! Other listeners for a server that runs.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::matching::matching;
use super::roster::{Listening, Pass};
use crate::compose::{Common, Planned};
use crate::metrics::ListenerStats;
use crate::runtime::ServerHandle;
use crate::runtime::loops::Loops;
use crate::runtime::part::{LoopControl, Part, Shared};
use crate::{BuildError, BuildProblem, Listen, ListenerInfo};

/// What [`ServerHandle::apply`] did with the listeners.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Applied {
    /// They go on as they were.
    pub unchanged: usize,
    /// What they have bound passed to what is new of them.
    pub changed: usize,
    /// They were bound.
    pub added: usize,
    /// They drain.
    pub removed: usize,
}

impl fmt::Display for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { unchanged, changed, added, removed } = self;
        write!(f, "listeners: {unchanged} unchanged, {changed} changed, {added} added, {removed} removed")
    }
}

/// What the server is to do, all of it or nothing.
pub(in crate::runtime) struct Change {
    listeners: Vec<Arc<Listening>>,
    parts: Vec<Part>,
    passes: Vec<Pass>,
    /// The loops that drain.
    drains: Vec<Arc<LoopControl>>,
    next: usize,
    applied: Applied,
    done: Done,
}

/// Says what was done, and what ends when what is bound has passed.
type Done = oneshot::Sender<io::Result<(Applied, Vec<oneshot::Receiver<()>>)>>;

/// So long a change waits for loops to leave what they have.
const PATIENCE: Duration = Duration::from_secs(1);

impl ServerHandle {
    /// Serves these listeners instead of those that it has, without a moment in which what stays is not served.
    ///
    /// A listener whose place is bound already, as the [base](swapwire_core::Transport::base) of the endpoint was written or is really
    /// bound, takes that over, whatever it is called; of several that have one place, the one that is called the same. It is
    /// left as it is if nothing is new: the same name, endpoint, handler (the same `Arc<dyn Service>`), framing and limits, and no
    /// [registry](Listen::registry) of its own. Else
    /// new sessions have the new handler, framing, limits and layers, and sessions that have begun go on with theirs. On a
    /// datagram socket this holds where both are message handlers, or both session handlers; otherwise what has begun drains
    /// first, and what comes meanwhile waits or is counted. Other places are bound, all of them before anything changes. What
    /// is left over drains, within the `drain_timeout` of the server.
    ///
    /// What the server counts goes on; the numbers of a listener go on under its name and transport. A
    /// [reload](Self::reload) is asked for.
    ///
    /// A change waits for the one before, and for a server that does not run yet; then until what is bound has passed, but at most
    /// 1 s: a worker whose thread a handler blocks goes on with what it has until it turns again.
    ///
    /// ```
    /// # use swapwire_core::{Registry, handler_fn};
    /// # use swapwire_mem::MemNetwork;
    /// use swapwire_server::{Listen, Server};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let echo = handler_fn(|request, reply| Ok(reply.send(request.message())?)).any_slicing();
    /// let server = Server::builder().transport(MemNetwork::new()).listen("mem:a").handler(echo).bind().await?.start();
    /// let pong = handler_fn(|_, reply| Ok(reply.send(b"pong")?)).any_slicing();
    /// let applied = server.handle().apply(vec![Listen::on("mem:a").handler(pong), Listen::on("mem:b")]).await?;
    /// assert_eq!((applied.changed, applied.added), (1, 1));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// All that is wrong, as of [`bind`](crate::ServerBuilder::bind); what cannot change where it is bound; or the server drains.
    /// Nothing has changed then.
    ///
    /// # Cancel safety
    /// Dropping it leaves everything as it was, or changes everything.
    pub async fn apply(&self, listens: Vec<Listen>) -> Result<Applied, BuildError> {
        let _turn = self.applying().lock().await;
        let draining = || BuildError::new(vec![BuildProblem::Draining]);
        if self.is_draining() {
            return Err(draining());
        }
        let planned = self.common().plan(listens).map_err(BuildError::new)?;
        let (done, carried_out) = oneshot::channel();
        let change = self.prepare(planned, done).await.map_err(BuildError::new)?;
        self.changes().send(change).await.map_err(|_| draining())?;
        let carried_out = carried_out.await.map_err(|_| draining())?;
        let (applied, given) = carried_out.map_err(|error| BuildError::new(vec![BuildProblem::Worker(error)]))?;
        let _ = timeout(PATIENCE, join_all(given)).await;
        Ok(applied)
    }

    /// Binds what is new, and takes nothing from anyone.
    async fn prepare(&self, planned: Vec<Planned>, done: Done) -> Result<Change, Vec<BuildProblem>> {
        let (before, removed, next) =
            self.roster(|roster| (roster.listeners.clone(), roster.removed.clone(), roster.next));
        let matches = matching(&planned, &before);
        let stays = |index: usize| {
            matches.iter().zip(&planned).any(|(found, planned)| *found == Some(index) && before[index].is_same(planned))
        };
        // What is counted for one that stays is not for another that is called the same.
        let changing = before.iter().enumerate().filter(|(index, _)| !stays(*index)).map(|(_, listening)| listening);
        let mut names = Names(changing.chain(&removed).cloned().collect());
        let mut change = Change {
            listeners: Vec::new(),
            parts: Vec::new(),
            passes: Vec::new(),
            drains: Vec::new(),
            next,
            applied: Applied::default(),
            done,
        };
        let mut problems = Vec::new();
        let (common, workers) = (self.common(), self.loads().len());
        for (planned, found) in planned.into_iter().zip(&matches) {
            let found = found.map(|index| &before[index]);
            if let Err(problem) = change.listen(planned, found, common, workers, &mut names).await {
                problems.push(problem);
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let is_left = |index: &usize| !matches.contains(&Some(*index));
        let removed: Vec<_> = (0..before.len()).filter(is_left).map(|index| &before[index]).collect();
        change.applied.removed = removed.len();
        change.drains.extend(removed.iter().flat_map(|listening| listening.controls()).cloned());
        Ok(change)
    }
}

/// The numbers of listeners by what they are called.
struct Names(Vec<Arc<Listening>>);

impl Names {
    /// Those of the listener that was called so, each once, or new ones.
    fn stats(&mut self, info: ListenerInfo, workers: usize) -> ListenerStats {
        let is = |listening: &Arc<Listening>| {
            let before = listening.stats.info();
            before.name == info.name && before.transport == info.transport
        };
        match self.0.iter().position(is) {
            Some(index) => {
                let stats = Arc::clone(&self.0[index].stats);
                self.0.retain(|other| !other.stats.is_continued_by(&stats));
                stats.continued(info)
            }
            None => ListenerStats::new(info, workers),
        }
    }
}

impl Change {
    /// Serves one listener, where `before` is bound or where nothing is.
    async fn listen(
        &mut self,
        planned: Planned,
        before: Option<&Arc<Listening>>,
        common: &Common,
        workers: usize,
        names: &mut Names,
    ) -> Result<(), BuildProblem> {
        let Some(before) = before else {
            let bound = common.bind(&planned).await?;
            let stats = names.stats(planned.info_at(&bound), workers);
            let (listening, parts) = Listening::bound(planned, bound, stats, workers, &mut self.next);
            self.parts.extend(parts);
            self.listeners.push(listening);
            self.applied.added += 1;
            return Ok(());
        };
        let is_same = before.is_same(&planned);
        if let Some(reason) = before.obstacle(&planned).filter(|_| !is_same) {
            return Err(BuildProblem::Bound { endpoint: planned.endpoint, reason });
        }
        let bases: Vec<_> = before.places.iter().map(|place| place.base.clone()).collect();
        // Also of one that stays: what it reads again has to be good.
        let layers = common.layers(&planned, &bases).await?;
        if is_same {
            self.listeners.push(Arc::clone(before));
            self.applied.unchanged += 1;
            return Ok(());
        }
        let ends_first = before.is_datagram() && before.planned.service.succession() != planned.service.succession();
        let (listening, parts, passes) = Listening::passed(planned, before, layers, |info| names.stats(info, workers));
        if ends_first {
            self.drains.extend(passes.iter().map(|pass| Arc::clone(&pass.from)));
        }
        self.parts.extend(parts);
        self.passes.extend(passes);
        self.listeners.push(listening);
        self.applied.changed += 1;
        Ok(())
    }

    /// Starts what is new, and has what is bound pass to it. The loops that are to drain now; none, if nothing has changed.
    pub(in crate::runtime) fn carry_out(
        self,
        handle: &ServerHandle,
        loops: &mut Loops,
        shared: &Shared,
    ) -> Vec<Arc<LoopControl>> {
        let Self { listeners, parts, passes, drains, next, applied, done } = self;
        if let Err(error) = loops.start(parts, Vec::new()) {
            drop(done.send(Err(error)));
            return Vec::new();
        }
        let own = handle.roster(|roster| {
            roster.set(listeners, next);
            roster.datagram_addresses()
        });
        shared.ours.set(own);
        let mut waits = Vec::new();
        for Pass { from, to, given } in passes {
            from.handover.ask(to);
            waits.push(given);
        }
        handle.reload();
        drop(done.send(Ok((applied, waits))));
        drains
    }
}
