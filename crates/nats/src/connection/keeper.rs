//! The task that keeps a connection: it reads always, says what is to be said, and looks for another broker when one goes.

use std::future::Future;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::runtime::{self, Handle};
use tokio::time::{Instant, Sleep, sleep, timeout};

use super::{Conn, Role, Shared, Up, register, wake};
use crate::dial::{DialError, Dialer};

/// A broker has so long to take the subscriptions.
const SUBSCRIBE: Duration = Duration::from_secs(5);
/// Between two tries to reach a broker, doubling.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Replies that wait so long for a broker are dropped: who asked has given up.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is looked whether they have.
const LOOK: Duration = Duration::from_millis(500);
/// A broker that is about to shut down goes on giving messages for so long, while another is looked for.
const MOVE: Duration = Duration::from_millis(250);
/// What is left to be said when the socket is dropped has so long.
const CLOSE: Duration = Duration::from_secs(1);
/// So many pings may be unanswered.
const MISSED: u64 = 2;

type Dialing = Pin<Box<dyn Future<Output = Conn> + Send>>;

/// The connection of one socket or client.
pub(crate) struct Keeper {
    shared: Arc<Shared>,
    dialer: Arc<Dialer>,
    conn: Option<Conn>,
    /// Of a broker that shuts down: it has a fence, or gets one at `moves_at`.
    old: Option<Conn>,
    moves_at: Option<Instant>,
    dialing: Option<Dialing>,
    /// The number of the broker to begin with.
    next: usize,
    /// The other connection is to the same broker, and nothing has happened.
    is_quiet: bool,
    ping: Duration,
    /// Of the runtime that it was made on, until it runs.
    home: runtime::Id,
    timer: Pin<Box<Sleep>>,
    closes_at: Option<Instant>,
}

/// Reaches one broker after the other, from that number on, until one takes the subscriptions.
///
/// # Errors
/// None does.
pub(crate) async fn open(shared: &Arc<Shared>, dialer: &Dialer, first: usize) -> Result<Conn, DialError> {
    let (number, dialed) = dialer.dial_any(first).await?;
    let mut conn = Conn::new(dialed, number, shared);
    match timeout(SUBSCRIBE, poll_fn(|cx| conn.poll_subscribed(cx, shared, dialer))).await {
        Ok(subscribed) => subscribed.map(|()| conn),
        Err(_) => {
            let text = format!("the broker had not taken the subscription after {SUBSCRIBE:?}");
            Err(DialError::new(io::ErrorKind::TimedOut, &conn.server, text))
        }
    }
}

/// As [`open`], for ever, with pauses.
async fn reopen(shared: Arc<Shared>, dialer: Arc<Dialer>, first: usize) -> Conn {
    let (mut pause, mut last) = (SHORTEST_PAUSE, String::new());
    loop {
        match open(&shared, &dialer, first).await {
            Ok(conn) => return conn,
            Err(error) => {
                let error = error.to_string();
                if error != last {
                    shared.lock().told.tell(&error);
                    last = error;
                }
            }
        }
        // Not all at once, of those that a broker has left.
        sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

impl Keeper {
    pub(crate) fn new(shared: Arc<Shared>, dialer: Arc<Dialer>, conn: Option<Conn>, ping: Duration) -> Self {
        if conn.is_some() {
            shared.lock().up = Up::Yes;
        }
        Self {
            shared,
            dialer,
            conn,
            old: None,
            moves_at: None,
            dialing: None,
            next: 0,
            is_quiet: false,
            ping,
            home: Handle::current().id(),
            timer: Box::pin(sleep(ping)),
            closes_at: None,
        }
    }

    /// Until the socket or client is dropped, or, for a client, until the connection is over.
    pub(crate) async fn run(mut self) {
        self.timer = Box::pin(sleep(self.ping));
        if let Some(conn) = self.conn.as_ref().filter(|_| self.home != Handle::current().id() && self.has_queue()) {
            // The thread that bound it would read for this one: another connection takes its place.
            self.next = conn.number;
            self.is_quiet = true;
            self.moves_at = Some(Instant::now() + MOVE);
        }
        poll_fn(|cx| self.poll(cx)).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (refuses, is_closed) = {
            let mut state = self.shared.lock();
            register(&mut state.wakers.task, cx);
            (state.refuses, state.is_closed)
        };
        if is_closed {
            return self.poll_close(cx);
        }
        if refuses {
            self.dialing = None;
            for conn in self.conn.iter_mut().chain(&mut self.old) {
                conn.raise_fence(&self.shared);
            }
        } else {
            self.look_for_another(cx);
        }
        if let Some(conn) = &mut self.conn
            && let Poll::Ready(cause) = conn.poll(cx, &self.shared, &self.dialer, true)
            && self.broke(&cause)
        {
            return Poll::Ready(());
        }
        if let Some(old) = &mut self.old
            && (old.poll(cx, &self.shared, &self.dialer, false).is_ready() || old.is_done())
        {
            self.old = None;
        }
        let stays = self.moves_at.is_none() || self.is_quiet;
        if self.conn.as_ref().is_some_and(|conn| conn.is_lame) && stays && !refuses {
            self.leave();
            // For the other to be dialed.
            cx.waker().wake_by_ref();
        }
        self.tell(refuses);
        self.keep_time(cx);
        Poll::Pending
    }

    /// Dials another broker if there is none, or if the one that there is shuts down.
    fn look_for_another(&mut self, cx: &mut Context<'_>) {
        let leaves = self.moves_at.is_some();
        if (self.conn.is_some() && !leaves) || matches!(self.shared.role, Role::Client) {
            return;
        }
        let (shared, dialer, next) = (&self.shared, &self.dialer, self.next);
        let dialing =
            self.dialing.get_or_insert_with(|| Box::pin(reopen(Arc::clone(shared), Arc::clone(dialer), next)));
        let Poll::Ready(conn) = dialing.as_mut().poll(cx) else { return };
        self.dialing = None;
        self.moves_at = None;
        if let Some(mut old) = self.conn.take() {
            old.raise_fence(&self.shared);
            self.old = Some(old);
        }
        let mut state = self.shared.lock();
        if !std::mem::take(&mut self.is_quiet) {
            state.told.tell(format!("connected to {}", conn.server));
            state.told.reconnects += 1;
        }
        if state.out_since.is_some_and(|since| since.elapsed() > PATIENCE) {
            state.lose_out();
        }
        state.up = Up::Yes;
        state.told.is_leaving = false;
        drop(state);
        self.conn = Some(conn);
    }

    /// Whether it may have two subscriptions for a while: without a queue each would get every message.
    fn has_queue(&self) -> bool {
        matches!(self.shared.role, Role::Server { queue: Some(_), .. })
    }

    /// The broker is about to shut down.
    fn leave(&mut self) {
        let has_queue = self.has_queue();
        let Some(conn) = &mut self.conn else { return };
        self.next = conn.number + 1;
        self.is_quiet = false;
        if !has_queue {
            conn.raise_fence(&self.shared);
        }
        self.moves_at = Some(Instant::now() + MOVE);
        let text = format!("{} is about to shut down (lame duck mode): looking for another broker", conn.server);
        let mut state = self.shared.lock();
        state.told.tell(text);
        state.told.is_leaving = true;
    }

    /// The connection is over; whether the task is.
    fn broke(&mut self, cause: &str) -> bool {
        let Some(conn) = self.conn.take() else { return false };
        let mut state = self.shared.lock();
        let cause = format!("the connection to {} is over: {cause}", conn.server);
        if matches!(self.shared.role, Role::Client) {
            state.is_down(Up::Never(cause));
            return true;
        }
        conn.give_back(&mut state);
        if state.refuses {
            state.lose_out();
        }
        // One that shuts down was told of.
        if self.moves_at.take().is_none() || std::mem::take(&mut self.is_quiet) {
            self.next = conn.number;
            state.told.tell(cause);
        }
        state.told.is_leaving = false;
        state.is_down(Up::No);
        wake(&mut state.wakers.task);
        false
    }

    /// Tells those who wait what has happened.
    fn tell(&self, refuses: bool) {
        let is_fenced = |conn: &Conn| conn.is_fenced();
        let mut state = self.shared.lock();
        if refuses && !state.has_last && self.conn.iter().chain(&self.old).all(is_fenced) {
            state.has_last = true;
            wake(&mut state.wakers.receiver);
        }
        if matches!(self.shared.role, Role::Client) {
            state.has_said_all = state.out.is_empty() && self.conn.as_ref().is_none_or(Conn::has_said_all);
            if state.has_said_all {
                wake(&mut state.wakers.flusher);
            }
        }
    }

    /// Pings the broker, and looks whether what waits is too old.
    fn keep_time(&mut self, cx: &mut Context<'_>) {
        // One that goes on serves until the other does, however long that takes.
        let is_over = !self.is_quiet && self.moves_at.is_some_and(|at| at <= Instant::now());
        if let Some(conn) = self.conn.as_mut().filter(|_| is_over) {
            conn.raise_fence(&self.shared);
            // It is said at once.
            cx.waker().wake_by_ref();
            self.moves_at = Some(Instant::now() + Duration::from_secs(3600));
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            let mut wait = self.ping;
            match &mut self.conn {
                Some(conn) if conn.unanswered() >= MISSED => {
                    let cause = format!("{} pings in {:?} were not answered", conn.unanswered(), self.ping * 2);
                    self.broke(&cause);
                    cx.waker().wake_by_ref();
                }
                Some(conn) => {
                    conn.ping();
                    cx.waker().wake_by_ref();
                }
                None => {
                    wait = LOOK;
                    let mut state = self.shared.lock();
                    if state.out_since.is_some_and(|since| since.elapsed() > PATIENCE) {
                        state.lose_out();
                    }
                }
            }
            self.timer.as_mut().reset(Instant::now() + wait);
        }
    }

    /// Says what is left, and that nothing follows.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        let closes_at = *self.closes_at.get_or_insert(now + CLOSE);
        self.timer.as_mut().reset(closes_at);
        if self.timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let Some(conn) = &mut self.conn else { return Poll::Ready(()) };
        if conn.poll(cx, &self.shared, &self.dialer, true).is_ready() {
            return Poll::Ready(());
        }
        if !conn.has_said_all() {
            return Poll::Pending;
        }
        ready!(conn.poll_shutdown(cx));
        Poll::Ready(())
    }
}
