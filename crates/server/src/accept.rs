//! The accept loop: takes connections, classifies every error, and never exits, spins or parks.
//!
//! Where the endpoint has a group, each member runs one. They share the room, and the end: see `group`, `share`.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use swapwire_core::{Bound, ErrorClass, Incoming, Link, Listener};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::context::QUIET;
use crate::group::Member;
use crate::sessions::Sessions;
use crate::share::{Arrival, Held};
use crate::stats::Stats;
use crate::{ServeContext, Service, SessionEnd};

/// The first pause after an accept that failed for want of a resource; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// After so many accepts, or failures, in a row, other tasks run.
const TURN: u32 = 16;
/// During a drain at most so many waiting connections are taken.
const LAST_CALL: usize = 4096;
/// After the sessions were cut they have this long to be gone.
const LAST_GASP: Duration = Duration::from_millis(100);

/// The room for connections that all listeners of a server share.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    pub(crate) permits: Arc<Semaphore>,
    /// Told when a connection closes: descriptors are free again.
    pub(crate) closed: Arc<Notify>,
}

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
    let mut acceptor = Acceptor { service, cx, room, sessions, pause: FIRST_PAUSE, row: 0, last_log: None };
    let cx = Arc::clone(&acceptor.cx);
    tokio::select! {
        biased;
        never = cx.keeper.run(&cx.drain.token) => match never {},
        served = acceptor.serve(listener, member) => served,
    }
}

struct Acceptor {
    service: Arc<dyn Service>,
    cx: Arc<ServeContext>,
    room: Room,
    sessions: Sessions,
    pause: Duration,
    row: u32,
    last_log: Option<Instant>,
}

impl Acceptor {
    async fn serve(&mut self, listener: Box<dyn Listener>, member: Member) -> (u64, io::Result<()>) {
        let shares = listener.shares_queue() && member.share.has_others();
        let mut door = Door { listener, member, shares, pending: None };
        let result = self.accept_until_drain(&mut door).await;
        for arrival in door.member.share.close() {
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
                next = door.next(&self.room.permits) => match next {
                    Ok(Some(arrival)) => self.admit(arrival).await,
                    Ok(None) => self.let_others_run().await,
                    Err(error) => self.failed(door, error).await?,
                },
            }
        }
        // Those that already wait in the system's queue are served once; closing would reset them.
        let end = Instant::now() + self.cx.limits.drain_grace;
        let all_quiet = door.member.all_quiet();
        let mut all_quiet = pin!(all_quiet);
        let mut quiet = false;
        for _ in 0..LAST_CALL {
            let patience = if quiet { end } else { (Instant::now() + QUIET).min(end) };
            tokio::select! {
                biased;
                next = door.next(&self.room.permits) => {
                    quiet = false;
                    door.member.set_quiet(false);
                    match next {
                        Ok(Some(arrival)) => self.admit(arrival).await,
                        Ok(None) => self.let_others_run().await,
                        Err(_) => Stats::one(&self.cx.stats.accept_errors),
                    }
                }
                () = &mut all_quiet => break,
                () = self.cx.abort.cancelled() => break,
                () = sleep_until(patience) => {
                    if Instant::now() >= end {
                        break;
                    }
                    // If it is full, sessions that end make room.
                    quiet = self.room.permits.available_permits() > 0;
                    door.member.set_quiet(quiet);
                }
            }
            self.sessions.tidy_up();
        }
        Ok(())
    }

    /// Starts the session; its handshake runs there, under its deadline.
    async fn admit(&mut self, Arrival { incoming, permit, held }: Arrival) {
        self.pause = FIRST_PAUSE;
        Stats::one(&self.cx.stats.sessions);
        let (service, cx, closed) = (Arc::clone(&self.service), Arc::clone(&self.cx), Arc::clone(&self.room.closed));
        let established = Box::pin(establish(incoming, Arc::clone(&cx)));
        self.sessions.spawn(Admitted {
            stage: Stage::Handshake { established, service, cx },
            _place: NotifyOnDrop { closed, permit, _held: held },
        });
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
        let due = self.last_log.is_none_or(|at| at.elapsed() >= Duration::from_secs(1));
        if due {
            let failures = self.cx.stats.snapshot().accept_errors;
            tracing::warn!(endpoint = %self.cx.endpoint, %error, failures, pause = ?self.pause, "cannot accept");
            self.last_log = Some(Instant::now());
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
        let _ = timeout(LAST_GASP, self.sessions.all_ended()).await;
        cut
    }
}

/// Where connections come in.
struct Door {
    listener: Box<dyn Listener>,
    member: Member,
    /// Whether all members take from one queue.
    shares: bool,
    /// A connection that was accepted and waits for room: at most one for each listener, when others took the last room
    /// between the look and the accept.
    pending: Option<Incoming>,
}

impl Door {
    /// The next connection that this member is to serve; `None` if it took one for another. Cancel safe.
    async fn next(&mut self, permits: &Arc<Semaphore>) -> io::Result<Option<Arrival>> {
        let take = take(&mut *self.listener, &mut self.pending, permits);
        if !self.shares {
            return take.await.map(Some);
        }
        let taken = tokio::select! {
            biased;
            Some(arrival) = self.member.share.passed_here() => return Ok(Some(arrival)),
            taken = take => taken?,
        };
        Ok(self.member.share.pass_on(taken))
    }
}

/// Waits for room before it accepts, so that what is over the limit stays in the system's queue. No room is kept while
/// nobody comes: it belongs to whichever listener has a connection. Cancel safe: `pending` keeps what was accepted.
async fn take(
    listener: &mut dyn Listener,
    pending: &mut Option<Incoming>,
    permits: &Arc<Semaphore>,
) -> io::Result<Arrival> {
    if pending.is_none() {
        if permits.available_permits() == 0 {
            drop(permits.acquire().await);
        }
        *pending = Some(listener.accept().await?);
    }
    let permit = Arc::clone(permits).acquire_owned().await.ok();
    match pending.take() {
        Some(incoming) => Ok(Arrival { incoming, permit, held: None }),
        None => Err(io::ErrorKind::Interrupted.into()),
    }
}

/// A connection from its handshake to its end: by hand, so that it keeps no room for the handshake, and is nothing in the
/// way of a message.
pub(crate) struct Admitted {
    stage: Stage,
    // Last: the place is free when the connection is closed.
    _place: NotifyOnDrop,
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

/// Runs the handshake under its deadline.
async fn establish(incoming: Incoming, cx: Arc<ServeContext>) -> Option<Link> {
    let peer = incoming.peer().clone();
    let established = match cx.limits.handshake_timeout {
        Some(limit) => timeout(limit, incoming.establish()).await.unwrap_or(Err(io::ErrorKind::TimedOut.into())),
        None => incoming.establish().await,
    };
    established.inspect_err(|error| tracing::debug!(endpoint = %cx.endpoint, %peer, %error, "handshake failed")).ok()
}

struct NotifyOnDrop {
    closed: Arc<Notify>,
    permit: Option<OwnedSemaphorePermit>,
    _held: Option<Held>,
}

impl Drop for NotifyOnDrop {
    fn drop(&mut self) {
        self.permit.take();
        self.closed.notify_one();
    }
}
