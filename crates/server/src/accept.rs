//! The accept loop: takes connections, classifies every error, and never exits, spins or parks.
//!
//! Where the endpoint has a group, each member runs one. They share the room, and the end: see `group`, `share`.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use swapwire_core::{Bound, ErrorClass, Incoming, Link, Listener};
use tokio::task::yield_now;
use tokio::time::sleep;

use crate::caretaker::Caretaker;
use crate::complaint::Complaint;
use crate::context::QUIET;
use crate::door::{Door, Next, turn_away};
use crate::group::Member;
use crate::health::Health;
use crate::room::{Arrival, Place, Refusal, Room};
use crate::second_look::{over, within};
use crate::sessions::Sessions;
use crate::stats::Stats;
use crate::sync::OwnedSemaphorePermit;
use crate::troubles::Trouble;
use crate::{ServeContext, Service, SessionEnd, WhenFull};

/// The first pause after an accept that failed for want of a resource; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// After so many accepts, or failures, in a row, other tasks run.
const TURN: u32 = 16;
/// During a drain at most so many waiting connections are taken.
const LAST_CALL: usize = 4096;
/// After the sessions were cut they have this long to be gone.
const LAST_GASP: Duration = Duration::from_millis(100);

/// Serves one listener until the drain is over. Returns how many sessions were cut, and the error if the
/// listener failed for good.
pub(crate) async fn serve_listener(
    listener: Box<dyn Listener>,
    member: Member,
    service: Arc<dyn Service>,
    cx: Arc<ServeContext>,
    room: Room,
) -> (u64, io::Result<()>) {
    let sessions = Sessions::new(Arc::clone(&cx));
    let mut acceptor = Acceptor {
        service,
        cx,
        room,
        sessions,
        pause: FIRST_PAUSE,
        row: 0,
        health: Health::default(),
        caretaker: Caretaker::default(),
    };
    let cx = Arc::clone(&acceptor.cx);
    let lateness = Complaint::default();
    tokio::select! {
        biased;
        never = cx.keeper.run(&cx.drain.token, |late| acceptor_is_late(&cx, &lateness, late)) => match never {},
        served = acceptor.serve(listener, member) => served,
    }
}

/// The clock of a listener is late: something kept its thread.
fn acceptor_is_late(cx: &ServeContext, complaint: &Complaint, late: Duration) {
    Stats::one(&cx.stats.held_up);
    if complaint.is_due() {
        tracing::warn!(endpoint = %cx.endpoint, ?late, "a call kept its thread to itself, or the machine is too busy");
    }
}

struct Acceptor {
    service: Arc<dyn Service>,
    cx: Arc<ServeContext>,
    room: Room,
    sessions: Sessions,
    pause: Duration,
    row: u32,
    health: Health,
    caretaker: Caretaker,
}

impl Acceptor {
    async fn serve(&mut self, listener: Box<dyn Listener>, member: Member) -> (u64, io::Result<()>) {
        let shares = listener.shares_queue() && member.share.has_others();
        let refuses = matches!(self.cx.limits.when_full, WhenFull::Refuse(_));
        let mut door = Door { listener, member, shares, refuses, pending: None };
        let result = self.accept_until_drain(&mut door).await;
        self.health.forgotten(&self.cx);
        self.caretaker.forgotten(&self.cx);
        door.member.share.leave();
        while let Some(arrival) = door.member.share.passed_here().await {
            self.admit(arrival).await;
        }
        if result.is_ok() {
            door.member.keep(Bound::Listener(door.listener));
        }
        drop(door.member);
        (self.drain().await, result)
    }

    async fn accept_until_drain(&mut self, door: &mut Door) -> io::Result<()> {
        let drain = self.cx.drain.token.clone();
        loop {
            tokio::select! {
                biased;
                () = drain.cancelled() => break,
                () = self.sessions.all_ended(), if self.sessions.len() > 0 => {}
                next = door.next(&self.room) => match next {
                    Ok(next) => self.take(door, next).await,
                    Err(error) => self.failed(door, error).await?,
                },
                () = poll_fn(|task| self.caretaker.poll_due(task)) => {
                    self.caretaker.found(door.listener.upkeep(), &self.cx);
                }
            }
        }
        // Those that already wait in the system's queue are served once; closing would reset them.
        if let Err(error) = door.listener.refuse_arrivals() {
            tracing::debug!(endpoint = %self.cx.endpoint, %error, "whoever comes during the drain may be reset");
        }
        let cx = Arc::clone(&self.cx);
        let all_quiet = door.member.all_quiet();
        let mut all_quiet = pin!(all_quiet);
        // Whoever comes does not make it longer.
        let mut grace = pin!(over(cx.limits.drain_grace, &cx.stats));
        let mut quiet = false;
        for _ in 0..LAST_CALL {
            tokio::select! {
                biased;
                next = door.next(&self.room) => {
                    quiet = false;
                    door.member.set_quiet(false);
                    match next {
                        Ok(next) => self.take(door, next).await,
                        Err(_) => Stats::one(&self.cx.stats.accept_errors),
                    }
                }
                () = &mut all_quiet => break,
                () = cx.abort.cancelled() => break,
                () = &mut grace => break,
                () = over(QUIET, &cx.stats), if !quiet => {
                    // If it is full, sessions that end make room.
                    quiet = door.refuses || self.room.is_free();
                    door.member.set_quiet(quiet);
                }
            }
            self.sessions.tidy_up();
        }
        Ok(())
    }

    async fn take(&mut self, door: &mut Door, next: Next) {
        self.pause = FIRST_PAUSE;
        self.health.succeeded(&self.cx);
        match next {
            Next::Serve(arrival) => self.admit(arrival).await,
            Next::Refused(incoming, refusal) => self.refuse(door, incoming, refusal).await,
            Next::PassedOn => self.let_others_run().await,
        }
    }

    /// Starts the session; its handshake runs there, under its deadline.
    async fn admit(&mut self, Arrival { incoming, place, handshake }: Arrival) {
        Stats::one(&self.cx.stats.sessions);
        let (service, cx) = (Arc::clone(&self.service), Arc::clone(&self.cx));
        let established = Box::pin(establish(incoming, handshake, Arc::clone(&cx)));
        self.sessions.spawn(Admitted { stage: Stage::Handshake { established, service, cx }, _place: place });
        self.let_others_run().await;
    }

    async fn refuse(&mut self, door: &mut Door, incoming: Incoming, refusal: Refusal) {
        Stats::one(&self.cx.stats.refused);
        if door.member.refusals().is_due() {
            let (peer, refused) = (incoming.peer(), self.cx.stats.snapshot().refused);
            let reason = match refusal {
                Refusal::Source => "its source has all the connections that it may have",
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
        if self.row.is_multiple_of(TURN) {
            yield_now().await;
        }
    }

    /// Waits as long as the error's class asks for; only a listener that can never work again is an error.
    async fn failed(&mut self, door: &mut Door, error: io::Error) -> io::Result<()> {
        Stats::one(&self.cx.stats.accept_errors);
        self.health.failed(&self.cx);
        let told = self.health.tell(&self.cx, door.member.failures(), &error);
        match door.listener.classify(&error) {
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
        if !told && door.member.failures().is_due() {
            let failures = self.cx.stats.snapshot().accept_errors;
            tracing::warn!(endpoint = %self.cx.endpoint, %error, failures, pause = ?self.pause, "cannot accept");
        }
        let drain = self.cx.drain.token.clone();
        tokio::select! {
            biased;
            () = sleep(self.pause) => {}
            () = self.room.closed.notified() => {}
            () = self.sessions.all_ended(), if self.sessions.len() > 0 => {}
            Some(arrival) = door.member.share.passed_here(), if door.shares => self.admit(arrival).await,
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
        let _ = within(LAST_GASP, &self.cx.stats, self.sessions.all_ended()).await;
        cut
    }
}

/// A connection from its handshake to its end: by hand, so that it keeps no room for the handshake, and is nothing in the
/// way of a message.
pub(crate) struct Admitted {
    stage: Stage,
    // Last: the place is free when the connection is closed.
    _place: Place,
}

enum Stage {
    Handshake {
        established: Pin<Box<dyn Future<Output = Option<Link>> + Send>>,
        service: Arc<dyn Service>,
        cx: Arc<ServeContext>,
    },
    Session(Pin<Box<dyn Future<Output = SessionEnd> + Send>>),
}

impl Future for Admitted {
    type Output = SessionEnd;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<SessionEnd> {
        loop {
            match &mut self.stage {
                Stage::Session(session) => return session.as_mut().poll(task),
                Stage::Handshake { established, service, cx } => match ready!(established.as_mut().poll(task)) {
                    Some(link) => {
                        self.stage = Stage::Session(Arc::clone(service).serve_link(link, Arc::clone(cx)));
                    }
                    None => return Poll::Ready(SessionEnd::Handshake),
                },
            }
        }
    }
}

/// Runs the handshake under its deadline, and keeps its room for so long.
async fn establish(incoming: Incoming, _room: Option<OwnedSemaphorePermit>, cx: Arc<ServeContext>) -> Option<Link> {
    let peer = incoming.peer().clone();
    let established = match cx.limits.handshake_timeout {
        Some(limit) => {
            let established = within(limit, &cx.stats, incoming.establish()).await;
            established.unwrap_or(Err(io::ErrorKind::TimedOut.into()))
        }
        None => incoming.establish().await,
    };
    established.inspect_err(|error| cx.tell(Trouble::Handshake, Some(peer.addr()), error)).ok()
}
