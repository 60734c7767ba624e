//! The sessions of one listener, all in one task or each in its own: wake-ups from elsewhere, sessions that hog, panic, are
//! cut or dropped, and places that are used again.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use crate::common::{Net, ask, limits, text};
use swapwire_core::{Handler, HandlerError, Reply, Request, Session};
use swapwire_server::{PerMessage, Running};
use tokio::runtime::{Builder, Handle, Runtime, RuntimeFlavor};
use tokio::sync::Semaphore;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

#[derive(Default)]
struct Acts {
    /// Calls that run.
    alive: AtomicUsize,
    told: Mutex<Vec<Told>>,
    /// How often calls that `look` were polled.
    looks: AtomicUsize,
    seen: AtomicBool,
    gate: Option<Semaphore>,
}

/// A call that waits to be told so.
struct Told {
    waker: Waker,
    is_told: Arc<AtomicBool>,
}

impl Told {
    fn tell(&self) {
        self.is_told.store(true, SeqCst);
        self.waker.wake_by_ref();
    }
}

struct Alive<'a> {
    acts: &'a Acts,
    bursts: bool,
}

impl Drop for Alive<'_> {
    fn drop(&mut self) {
        self.acts.alive.fetch_sub(1, SeqCst);
        assert!(!self.bursts, "as asked");
    }
}

impl Handler for Acts {
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        self.alive.fetch_add(1, SeqCst);
        let mut alive = Alive { acts: self, bursts: false };
        match request.message() {
            b"wait" => self.gate.as_ref().unwrap().acquire().await?.forget(),
            // Woken by whoever has the waker.
            b"told" => {
                let is_told = Arc::<AtomicBool>::default();
                let mut asked = false;
                poll_fn(|task| {
                    if !std::mem::replace(&mut asked, true) {
                        let told = Told { waker: task.waker().clone(), is_told: Arc::clone(&is_told) };
                        self.told.lock().unwrap().push(told);
                    }
                    if is_told.load(SeqCst) { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
            }
            b"look" => {
                poll_fn(|_| {
                    self.looks.fetch_add(1, SeqCst);
                    if self.seen.load(SeqCst) { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
            }
            b"spin" => {
                poll_fn::<(), _>(|task| {
                    task.waker().wake_by_ref();
                    Poll::Pending
                })
                .await;
            }
            b"panic" => panic!("as asked"),
            b"burst" => {
                alive.bursts = true;
                std::future::pending::<()>().await;
            }
            _ => {}
        }
        Ok(reply.send(request.message())?)
    }
}

struct House {
    net: Net,
    acts: Arc<Acts>,
    server: Running,
}

/// Nothing is to be cut, however busy the machine is.
const PATIENT: Duration = Duration::from_secs(50);
/// Something is to be cut, and all else is done by then.
const CUT: Duration = Duration::from_secs(2);

impl House {
    async fn new(drain_timeout: Duration) -> Self {
        let (net, acts) = (Net::new(), Arc::new(Acts { gate: Some(Semaphore::new(0)), ..Acts::default() }));
        let limits = limits(|l| {
            l.max_connections = 10_000;
            l.drain_timeout = drain_timeout;
        });
        let server = net.start_limited("mem:a", PerMessage::new(Arc::clone(&acts)), limits).await;
        Self { net, acts, server }
    }

    /// Sessions in the midst of such a call.
    async fn sessions(&self, count: usize, message: &str) -> Vec<Session> {
        let alive = self.acts.alive.load(SeqCst) + count;
        // Who is to be told has left its waker a little later.
        let told = || self.acts.told.lock().unwrap().len();
        let wakers = told() + if message == "told" { count } else { 0 };
        let mut all = Vec::new();
        for _ in 0..count {
            let mut session = self.net.connect("mem:a").await;
            session.send(message).await.unwrap();
            session.flush().await.unwrap();
            all.push(session);
        }
        while self.acts.alive.load(SeqCst) < alive || told() < wakers {
            yield_now().await;
        }
        all
    }

    async fn nothing_is_left(&self) {
        while self.acts.alive.load(SeqCst) > 0 {
            yield_now().await;
        }
    }
}

/// All sessions in one task, and each in one of its own.
fn runtimes() -> [Runtime; 2] {
    [Builder::new_current_thread(), Builder::new_multi_thread()]
        .map(|mut builder| builder.worker_threads(2).enable_time().build().unwrap())
}

/// Fails instead of waiting for ever.
fn on_each<F: Future>(test: impl Fn() -> F) {
    for runtime in runtimes() {
        runtime.block_on(async { timeout(Duration::from_secs(60), test()).await.expect("it goes on") });
    }
}

#[test]
fn many_sessions_are_woken_from_other_threads_at_once() {
    on_each(|| async {
        let house = House::new(PATIENT).await;
        let mut sessions = house.sessions(500, "told").await;
        for round in 0..10 {
            while house.acts.told.lock().unwrap().len() < sessions.len() {
                yield_now().await;
            }
            let all = Arc::new(std::mem::take(&mut *house.acts.told.lock().unwrap()));
            // Each is told twice, by two threads.
            let threads: Vec<_> = [0..250, 250..500, 0..500]
                .map(|part| (part, Arc::clone(&all)))
                .map(|(part, all)| thread::spawn(move || all[part].iter().for_each(Told::tell)))
                .into();
            for session in &mut sessions {
                assert_eq!(text(session).await, "told");
                if round < 9 {
                    session.send("told").await.unwrap();
                    session.flush().await.unwrap();
                }
            }
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        }
        drop(sessions);
        assert!(house.server.stop().await.is_clean());
    });
}

#[test]
fn a_session_that_wakes_itself_for_ever_starves_nobody() {
    on_each(|| async {
        let house = House::new(CUT).await;
        let hogs = house.sessions(3, "spin").await;
        let mut session = house.net.connect("mem:a").await;
        for i in 0..100 {
            let message = format!("m{i}");
            assert_eq!(ask(&mut session, &message).await, message);
        }
        // Nor the reactor: it is what keeps the time, and hears of the drain.
        sleep(Duration::from_millis(5)).await;
        drop(session);
        let report = house.server.stop().await;
        assert_eq!((report.cut, report.stats.cut), (3, 3), "{report}");
        assert_eq!(house.acts.alive.load(SeqCst), 0);
        drop(hogs);
    });
}

#[test]
fn a_panic_costs_one_session_when_it_is_polled_and_when_it_is_dropped() {
    on_each(|| async {
        let house = House::new(CUT).await;
        let mut waiting = house.sessions(20, "wait").await;
        for _ in 0..5 {
            let mut session = house.net.connect("mem:a").await;
            session.send("panic").await.unwrap();
            assert!(!matches!(session.recv().await, Ok(Some(_))));
            // Its successor in the table.
            let mut session = house.net.connect("mem:a").await;
            assert_eq!(ask(&mut session, "mine").await, "mine");
        }
        house.acts.gate.as_ref().unwrap().add_permits(20);
        for session in &mut waiting {
            assert_eq!(text(session).await, "wait");
        }
        drop(waiting);
        while house.server.snapshot().panics < 5 {
            yield_now().await;
        }
        // Dropped by a cut, in the midst of others.
        let cut =
            [house.sessions(10, "wait").await, house.sessions(3, "burst").await, house.sessions(10, "wait").await];
        let report = house.server.stop().await;
        assert_eq!(report.cut, 23, "{report}");
        assert_eq!((report.stats.panics, report.stats.cut), (8, 20), "{report}");
        assert_eq!(house.acts.alive.load(SeqCst), 0);
        drop(cut);
    });
}

#[test]
fn dropping_the_server_drops_all_its_sessions() {
    on_each(|| async {
        let house = House::new(PATIENT).await;
        let mut sessions = house.sessions(200, "wait").await;
        sessions.extend(house.sessions(1, "spin").await);
        sessions.extend(house.sessions(200, "told").await);
        let House { server, acts, net } = house;
        drop(server);
        let house = House { acts, server: net.start("mem-seq:other", Acts::default()).await, net };
        house.nothing_is_left().await;
        for session in &mut sessions {
            assert!(!matches!(session.recv().await, Ok(Some(_))));
        }
        // Wakers that are left wake nobody.
        house.acts.told.lock().unwrap().iter().for_each(Told::tell);
        yield_now().await;
    });
}

/// A waker outlives its session: whoever sits there next is polled for nothing, and no harm is done.
#[test]
fn a_waker_of_a_session_that_has_ended_is_harmless() {
    on_each(|| async {
        let house = House::new(PATIENT).await;
        let sessions = house.sessions(50, "told").await;
        let old = std::mem::take(&mut *house.acts.told.lock().unwrap());
        old.iter().for_each(Told::tell);
        drop(sessions);
        while house.server.snapshot().done + house.server.snapshot().broken < 50 {
            yield_now().await;
        }
        let successors = house.sessions(50, "look").await;
        while house.acts.looks.load(SeqCst) < 50 {
            yield_now().await;
        }
        let looks = house.acts.looks.load(SeqCst);
        // Where all are in one task the places are the same ones, and each is polled once.
        if matches!(Handle::current().runtime_flavor(), RuntimeFlavor::CurrentThread) {
            for round in 1..4 {
                old.iter().chain(&old).for_each(Told::tell);
                while house.acts.looks.load(SeqCst) < looks + 50 * round {
                    yield_now().await;
                }
                yield_now().await;
                assert_eq!(house.acts.looks.load(SeqCst), looks + 50 * round);
            }
        }
        house.acts.seen.store(true, SeqCst);
        old.iter().for_each(Told::tell);
        drop(successors);
        old.iter().for_each(Told::tell);
    });
}
