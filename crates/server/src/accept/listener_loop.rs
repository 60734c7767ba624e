//! The accept loop: takes connections, classifies every error, and never exits, spins or parks.
//!
//! Where the endpoint has a group, each member runs one. The members share the permits and the end.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use swapwire_core::{Bound, ErrorClass, Incoming, Listener, Upkeep};
use tokio::task::yield_now;
use tokio::time::sleep;

use super::accept_balancing::{AcceptBalance, CountedConnection};
use super::admission::{Accepted, Admission, Arrival, turn_away};
use super::connection_task::ConnectionTask;
use super::reload::ReloadWatch;
use crate::drain::{CUT_TIME, Handed, Handover, MOST_LATE_ARRIVALS, Member, QUIET, Successor};
use crate::limits::{ConnectionPermits, Refusal};
use crate::metrics::{AcceptHealth, Serving, Stats, UpkeepTimer};
use crate::tasks::SessionSet;
use crate::time::{over, within};
use crate::{ServeContext, Service, WhenFull};

/// The first pause after an accept that failed for want of a resource; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// After so many accepts, or failures, in a row, other tasks run.
const BEFORE_YIELD: u32 = 16;

/// One member of a listener's group.
pub(crate) struct ListenerMember {
    pub(crate) listener: Box<dyn Listener>,
    pub(crate) member: Member,
    pub(crate) balance: AcceptBalance<Arrival>,
    pub(crate) handover: Handover,
    /// Until it is left to another loop.
    pub(crate) serving: Serving,
}

/// Serves one listener until the drain is over, or until another service follows and the sessions have ended. Returns how many
/// sessions were cut, and the error if the listener failed for good.
pub(crate) async fn serve_listener(
    listener: ListenerMember,
    service: Arc<dyn Service>,
    cx: Arc<ServeContext>,
    permits: ConnectionPermits,
    reload: ReloadWatch,
) -> (u64, io::Result<()>) {
    let sessions = SessionSet::new(cx.incidents.clone(), Arc::clone(&cx.load));
    let mut acceptor = Acceptor {
        service,
        cx,
        permits: Arc::new(permits),
        sessions,
        pause: FIRST_PAUSE,
        row: 0,
        health: AcceptHealth::default(),
        upkeep: UpkeepTimer::default(),
        reload,
    };
    let cx = Arc::clone(&acceptor.cx);
    tokio::select! {
        biased;
        never = cx.drive_clock() => match never {},
        served = acceptor.serve(listener) => served,
    }
}

fn poll_successor(handover: &Handover, task: &Context<'_>) -> Poll<Successor> {
    handover.watch(task);
    match handover.is_asked().then(|| handover.taken()).flatten() {
        Some(successor) => Poll::Ready(successor),
        None => Poll::Pending,
    }
}

struct Acceptor {
    service: Arc<dyn Service>,
    cx: Arc<ServeContext>,
    permits: Arc<ConnectionPermits>,
    sessions: SessionSet<ConnectionTask>,
    pause: Duration,
    row: u32,
    health: AcceptHealth,
    upkeep: UpkeepTimer,
    reload: ReloadWatch,
}

impl Acceptor {
    async fn serve(
        &mut self,
        ListenerMember { listener, member, balance, handover, serving }: ListenerMember,
    ) -> (u64, io::Result<()>) {
        let balances = listener.shares_queue() && balance.has_others();
        let refuses = matches!(self.cx.limits.when_full, WhenFull::Refuse(_));
        let mut admission = Admission { listener, member, balance, balances, refuses, pending: None };
        let result = self.accept_until_told(&mut admission, &handover).await;
        self.health.forgotten(&self.cx.incidents);
        self.upkeep.forgotten(&self.cx.incidents);
        admission.balance.leave();
        let Admission { listener, member, mut balance, pending, .. } = admission;
        drop(serving);
        let mut left = None;
        let result = result.map(|successor| match successor {
            Some(successor) => {
                successor.give(Handed::Listener(listener));
                left = pending;
            }
            None => member.keep(Bound::Listener(listener)),
        });
        while let Some((arrival, counted)) = balance.passed_here().await {
            self.admit(arrival, Some(counted)).await;
        }
        if let Some(incoming) = left {
            self.admit_late(incoming).await;
        }
        drop(member);
        (self.drain().await, result)
    }

    /// Serves a connection that was accepted, once there is a permit for it.
    #[cold]
    async fn admit_late(&mut self, incoming: Incoming) {
        let peer = (!incoming.renames()).then(|| incoming.peer());
        let permit = tokio::select! {
            biased;
            () = self.cx.abort.cancelled() => return,
            permit = self.permits.wait(peer) => permit,
        };
        match permit {
            Ok(permit) => self.admit(Arrival { incoming, permit }, None).await,
            Err(_) => Stats::one(&self.cx.stats.refused),
        }
    }

    /// Who follows, if that is why it ends.
    async fn accept_until_told(
        &mut self,
        admission: &mut Admission,
        handover: &Handover,
    ) -> io::Result<Option<Successor>> {
        let drain = self.cx.drain.token.clone();
        loop {
            tokio::select! {
                biased;
                () = drain.cancelled() => break,
                successor = poll_fn(|task| poll_successor(handover, task)) => return Ok(Some(successor)),
                () = self.sessions.all_ended(), if self.sessions.len() > 0 => {}
                // Before the next connection: there may always be one.
                () = poll_fn(|task| self.upkeep.poll_due(task)) => self.look_after(&mut *admission.listener),
                next = admission.next(&self.permits) => match next {
                    Ok(next) => self.take(admission, next).await,
                    Err(error) => self.failed(admission, error).await?,
                },
            }
        }
        // Those that already wait in the system's queue are served once; closing would reset them.
        if let Err(error) = admission.listener.refuse_arrivals() {
            tracing::debug!(endpoint = %self.cx.endpoint, %error, "connections that arrive during the drain may be reset");
        }
        let cx = Arc::clone(&self.cx);
        let all_quiet = admission.member.all_quiet();
        let mut all_quiet = pin!(all_quiet);
        // Arrivals do not make it longer.
        let mut grace = pin!(over(cx.limits.drain_grace, &cx.load));
        let mut quiet = false;
        for _ in 0..MOST_LATE_ARRIVALS {
            tokio::select! {
                biased;
                next = admission.next(&self.permits) => {
                    quiet = false;
                    admission.member.set_quiet(false);
                    match next {
                        Ok(next) => self.take(admission, next).await,
                        Err(_) => Stats::one(&self.cx.stats.accept_errors),
                    }
                }
                () = &mut all_quiet => break,
                () = cx.abort.cancelled() => break,
                () = &mut grace => break,
                () = over(QUIET, &cx.load), if !quiet => {
                    // If it is full, sessions that end make room.
                    quiet = admission.refuses || self.permits.is_free();
                    admission.member.set_quiet(quiet);
                }
            }
            self.sessions.tidy_up();
        }
        // One that followed would drain at once.
        Ok(None)
    }

    /// Has the listener's place checked, and what it was bound with read again if that was asked for.
    fn look_after(&mut self, listener: &mut dyn Listener) {
        let reloads = listener.reloads();
        if reloads && self.reload.is_asked() {
            listener.reload();
        }
        let found = listener.upkeep();
        self.upkeep.found(found.or_else(|| reloads.then(|| Upkeep::unchanged(true))), &self.cx.incidents);
    }

    async fn take(&mut self, admission: &mut Admission, next: Accepted) {
        self.pause = FIRST_PAUSE;
        self.health.succeeded(&self.cx.incidents);
        match next {
            Accepted::Serve(arrival, counted) => self.admit(arrival, counted).await,
            Accepted::Refused(incoming, refusal) => self.refuse(admission, incoming, refusal).await,
            Accepted::PassedOn => self.let_others_run().await,
        }
    }

    /// Starts the session; its handshake runs there, under its deadline.
    async fn admit(&mut self, arrival: Arrival, counted: Option<CountedConnection>) {
        Stats::one(&self.cx.stats.sessions);
        let (service, cx, permits) = (Arc::clone(&self.service), Arc::clone(&self.cx), Arc::clone(&self.permits));
        self.sessions.spawn(ConnectionTask::new(arrival, counted, service, cx, permits));
        self.let_others_run().await;
    }

    async fn refuse(&mut self, admission: &mut Admission, incoming: Incoming, refusal: Refusal) {
        Stats::one(&self.cx.stats.refused);
        Stats::one(match refusal {
            Refusal::Source => &self.cx.stats.refused_source,
            Refusal::Full => &self.cx.stats.refused_full,
        });
        if admission.member.refusals().is_due() {
            let (peer, refused) = (incoming.peer(), self.cx.stats.snapshot().refused);
            let reason = match refusal {
                Refusal::Source => "its source has as many connections as max_per_source allows",
                Refusal::Full => "the server is full",
            };
            tracing::warn!(endpoint = %self.cx.endpoint, %peer, refused, "connection refused: {reason}");
        }
        if let WhenFull::Refuse(farewell) = &self.cx.limits.when_full {
            turn_away(incoming, farewell, &self.cx.framing).await;
        }
        self.let_others_run().await;
    }

    async fn let_others_run(&mut self) {
        self.row += 1;
        if self.row.is_multiple_of(BEFORE_YIELD) {
            yield_now().await;
        }
    }

    /// Waits as long as the error's class asks for; only a listener that can never work again is an error.
    async fn failed(&mut self, admission: &mut Admission, error: io::Error) -> io::Result<()> {
        Stats::one(&self.cx.stats.accept_errors);
        self.health.failed(&self.cx.incidents);
        let told = self.health.tell(&self.cx.incidents, admission.member.failures(), &error);
        match admission.listener.classify(&error) {
            ErrorClass::ListenerTransient | ErrorClass::Retryable | ErrorClass::ConnectionFatal => {
                self.let_others_run().await;
                return Ok(());
            }
            ErrorClass::ListenerFatal => {
                tracing::error!(endpoint = %self.cx.endpoint, %error, "the listener failed for good");
                return Err(error);
            }
            _ => {}
        }
        if !told && admission.member.failures().is_due() {
            let failures = self.cx.stats.snapshot().accept_errors;
            tracing::warn!(endpoint = %self.cx.endpoint, %error, failures, pause = ?self.pause, "cannot accept");
        }
        let drain = self.cx.drain.token.clone();
        tokio::select! {
            biased;
            () = sleep(self.pause) => {}
            () = self.permits.closed.notified() => {}
            () = self.sessions.all_ended(), if self.sessions.len() > 0 => {}
            Some((arrival, counted)) = admission.balance.passed_here(), if admission.balances => {
                self.admit(arrival, Some(counted)).await;
            }
            () = drain.cancelled() => {}
        }
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }

    /// Waits for the sessions, cuts what is left at the drain deadline, and says how many that were.
    async fn drain(&mut self) -> u64 {
        let abort = self.cx.abort.clone();
        tokio::select! {
            biased;
            () = self.sessions.all_ended() => return 0,
            () = abort.cancelled() => {}
        }
        let cut = self.sessions.len() as u64;
        self.sessions.cut();
        // A handler that blocks its thread cannot be stopped; the server does not wait for it.
        let _ = within(CUT_TIME, &self.cx.load, self.sessions.all_ended()).await;
        cut
    }
}
