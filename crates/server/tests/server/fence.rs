//! The drain of datagram sockets that know their last arrival, and when their replies have arrived.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::common::log::Log;
use crate::common::{Net, ask, limits, until};
use swapwire_core::{
    Addr, Arrivals, BindError, Bound, Capabilities, ConnectError, DatagramSocket, Endpoint, Framing, HandlerError,
    Link, RecvBatch, RecvMeta, SendBatch, Session, SessionHandler, Transport, Upkeep, async_trait, handler_fn,
    handler_fn_async,
};
use swapwire_server::{Applied, BuildProblem, IntoService as _, Limits, Listen, Running, Service};
use tokio::time::sleep;

const HERE: &str = "script:here";
const SECOND: Duration = Duration::from_secs(1);
/// The pause after which a drain takes what it has not heard of for nothing.
const QUIET: Duration = Duration::from_millis(10);
const DEADLINE: Duration = Duration::from_secs(5);

/// Where a client is. Each is a source of its own.
type Peer = ([u8; 4], u16);
const A: Peer = ([192, 0, 2, 1], 1);
const B: Peer = ([192, 0, 3, 1], 1);

/// What the other side of a socket does, and what became of the socket.
#[derive(Debug)]
struct State {
    says: Arrivals,
    arriving: VecDeque<Vec<(Peer, String)>>,
    /// Behind what is `arriving` comes nothing more, once arrivals are refused.
    is_last: bool,
    refusals: usize,
    is_full: bool,
    /// Whether the replies have arrived; `None` as long as that is not known.
    flushed: Option<io::Result<()>>,
    upkeep: Option<Upkeep>,
    sent: Vec<String>,
    is_closed: bool,
    task: Option<Waker>,
}

/// One place with one socket.
#[derive(Clone, Debug)]
struct Other {
    state: Arc<Mutex<State>>,
    stable_peers: bool,
}

struct Socket(Other);

impl Other {
    fn saying(says: Arrivals) -> Self {
        let state = State {
            says,
            arriving: VecDeque::new(),
            is_last: true,
            refusals: 0,
            is_full: false,
            flushed: Some(Ok(())),
            upkeep: None,
            sent: Vec::new(),
            is_closed: false,
            task: None,
        };
        Self { state: Arc::new(Mutex::new(state)), stable_peers: true }
    }

    fn fenced() -> Self {
        Self::saying(Arrivals::Fenced)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Changes what it does, and has the socket look.
    fn set(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        if let Some(task) = state.task.take() {
            task.wake();
        }
    }

    fn sends(&self, peer: Peer, message: &str) {
        self.set(|state| state.arriving.push_back(vec![(peer, message.to_owned())]));
    }

    /// What was answered, in alphabetical order.
    fn heard(&self) -> Vec<String> {
        let mut heard = self.state().sent.clone();
        heard.sort_unstable();
        heard
    }

    async fn start_limited(&self, service: Arc<dyn Service>, limits: Limits) -> Running {
        let builder = Net::new().server().transport(self.clone()).framing(Framing::Lines).limits(limits);
        builder.listen(Listen::on(HERE).handler(service)).bind().await.unwrap().start()
    }

    async fn start(&self, service: Arc<dyn Service>) -> Running {
        self.start_limited(service, limits(|_| ())).await
    }
}

impl State {
    fn wait(&mut self, cx: &Context<'_>) {
        self.task = Some(cx.waker().clone());
    }
}

impl DatagramSocket for Socket {
    fn local(&self) -> Endpoint {
        HERE.parse().unwrap()
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, batch: &mut RecvBatch) -> Poll<io::Result<()>> {
        let mut state = self.0.state();
        match state.arriving.pop_front() {
            Some(messages) => {
                for (peer, message) in messages {
                    batch.next_slot().unwrap()[..message.len()].copy_from_slice(message.as_bytes());
                    batch.push(RecvMeta::new(Some(Addr::inet(SocketAddr::from(peer))), message.len()));
                }
            }
            None if state.refusals > 0 && state.is_last && state.says == Arrivals::Fenced => {}
            None => {
                state.wait(cx);
                return Poll::Pending;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, batch: &SendBatch, from: usize) -> Poll<io::Result<usize>> {
        let mut state = self.0.state();
        if state.is_full {
            state.wait(cx);
            return Poll::Pending;
        }
        state.sent.extend(batch.iter_from(from).map(|entry| String::from_utf8(entry.message.to_vec()).unwrap()));
        Poll::Ready(Ok(batch.len() - from))
    }

    fn max_message(&self) -> usize {
        1000
    }

    fn refuse_arrivals(&mut self) -> Arrivals {
        let mut state = self.0.state();
        state.refusals += 1;
        state.says
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.state();
        match state.flushed.take() {
            Some(flushed) => Poll::Ready(flushed),
            None => {
                state.wait(cx);
                Poll::Pending
            }
        }
    }

    fn upkeep(&mut self) -> Option<Upkeep> {
        let found = Upkeep::unchanged(true);
        Some(self.0.state().upkeep.take().unwrap_or(found))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.0.state().is_closed = true;
    }
}

#[async_trait]
impl Transport for Other {
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        vec!["script".into()]
    }

    fn capabilities(&self, _: &str) -> Capabilities {
        let mut capabilities = Capabilities::datagram(1000);
        (capabilities.spoofable, capabilities.stable_peers) = (false, self.stable_peers);
        capabilities
    }

    async fn bind(&self, _: &Endpoint) -> Result<Bound, BindError> {
        Ok(Bound::Socket(Box::new(Socket(self.clone()))))
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectError> {
        Err(ConnectError::from_io(endpoint, io::ErrorKind::Unsupported.into()))
    }
}

/// Answers each message with itself, in a session for each peer.
struct InSessions;

#[async_trait]
impl SessionHandler for InSessions {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        while let Some(message) = session.recv().await? {
            session.send(message).await?;
        }
        Ok(())
    }
}

fn at_once() -> Arc<dyn Service> {
    handler_fn(|request, reply| Ok(reply.send(request.message())?)).into_service()
}

/// The same, but `slow` takes two seconds.
fn waiting() -> Arc<dyn Service> {
    handler_fn_async(|message: swapwire_core::Bytes| async move {
        let pause = if message.starts_with(b"slow") { 2 * SECOND } else { Duration::ZERO };
        sleep(pause).await;
        Ok::<_, HandlerError>(message)
    })
    .into_service()
}

fn every_kind() -> [Arc<dyn Service>; 3] {
    [at_once(), waiting(), InSessions.into_service()]
}

#[tokio::test(start_paused = true)]
async fn the_last_one_ends_a_drain_without_a_pause() {
    for service in [at_once(), waiting()] {
        for (says, has_pause) in [(Arrivals::Fenced, false), (Arrivals::Unknown, true)] {
            let other = Other::saying(says);
            let server = other.start(Arc::clone(&service)).await;
            for (peer, message) in [(A, "1"), (B, "2"), (A, "3")] {
                other.sends(peer, message);
            }
            let report = server.stop().await;
            assert!(report.is_clean() && report.stats.messages == 3, "{report}");
            assert_eq!(report.drain >= QUIET, has_pause, "{says:?}: {report}");
            assert_eq!((other.heard(), other.state().refusals), (["1", "2", "3"].map(String::from).to_vec(), 1));
            assert!(other.state().is_closed);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_for_long_is_answered_where_the_last_one_is_known() {
    // More batches than are taken of a socket that does not know.
    const MANY: usize = 5000;
    for (says, answered) in [(Arrivals::Fenced, MANY + 2), (Arrivals::Unknown, 0)] {
        for service in every_kind() {
            let other = Other::saying(says);
            other.state().is_last = false;
            let server = other.start(service).await;
            let stopped = tokio::spawn(server.stop());
            sleep(SECOND).await;
            other.set(|state| state.arriving.extend((0..MANY).map(|_| vec![(A, "late".to_owned())])));
            sleep(SECOND).await;
            other.sends(A, "later");
            sleep(SECOND).await;
            other.sends(B, "latest");
            other.state().is_last = true;
            let report = stopped.await.unwrap();
            assert!(report.is_clean() && report.drain < DEADLINE, "{report}");
            let dropped = report.stats.dropped_queue as usize;
            assert_eq!(other.state().sent.len() + dropped, answered, "{says:?}: {report}");
            assert_eq!(report.drain >= 3 * SECOND, says == Arrivals::Fenced, "{report}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_wait_and_replies_that_have_no_room_are_waited_for() {
    for service in every_kind() {
        let other = Other::fenced();
        other.state().flushed = None;
        let server = other.start(service).await;
        other.sends(A, "slow");
        other.sends(B, "quick");
        other.state().is_full = true;
        let stopped = tokio::spawn(server.stop());
        sleep(3 * SECOND).await;
        assert!(other.heard().is_empty());
        other.set(|state| state.is_full = false);
        sleep(SECOND).await;
        assert_eq!(other.heard(), ["quick", "slow"]);
        // They are sent, and have not arrived.
        assert!(!other.state().is_closed && !stopped.is_finished());
        other.set(|state| state.flushed = Some(Ok(())));
        let report = stopped.await.unwrap();
        assert!(report.is_clean() && report.drain >= 4 * SECOND && report.drain < DEADLINE, "{report}");
        assert_eq!(report.stats.messages, 2, "{report}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_was_throttled_whole_is_not_the_last() {
    let other = Other::fenced();
    other.state().is_last = false;
    let server = other.start_limited(at_once(), limits(|limits| limits.source_rate = Some(1))).await;
    other.sends(A, "1");
    until(&server, |all| all.messages == 1).await;
    let stopped = tokio::spawn(server.stop());
    for message in ["2", "3"] {
        other.sends(A, message);
        sleep(QUIET).await;
    }
    other.sends(B, "4");
    other.state().is_last = true;
    let report = stopped.await.unwrap();
    assert_eq!((other.heard(), report.stats.throttled), (vec!["1".to_owned(), "4".to_owned()], 2), "{report}");
}

#[tokio::test(start_paused = true)]
async fn replies_that_are_not_known_to_have_arrived_are_told_and_counted() {
    for service in every_kind() {
        let other = Other::fenced();
        other.state().flushed = Some(Err(io::Error::other("the broker has gone")));
        let server = other.start(service).await;
        other.sends(A, "1");
        until(&server, |all| all.messages_sent == 1).await;
        let (log, _hears) = Log::hear();
        let report = server.stop().await;
        assert!(report.is_clean() && report.stats.peer_errors == 1, "{report}");
        assert_eq!(
            log.line(),
            "drained without word of what was under way: the broker has gone; requests or replies of the last moment \
             may be lost endpoint=script:here"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_deadline_cuts_who_never_says_that_it_was_the_last_or_that_it_has_all() {
    for service in every_kind() {
        for (is_last, waits_for) in [(false, "the last request"), (true, "the arrival of the last reply")] {
            let other = Other::fenced();
            other.set(|state| (state.is_last, state.flushed) = (is_last, None));
            let server = other.start(Arc::clone(&service)).await;
            other.sends(A, "1");
            until(&server, |all| all.messages_sent == 1).await;
            let (log, _hears) = Log::hear();
            let report = server.stop().await;
            assert_eq!((report.cut, report.stats.peer_errors), (1, 1), "{report}");
            assert_eq!(report.cut_at, [(HERE.parse().unwrap(), 1)]);
            assert!(report.drain >= DEADLINE && report.drain < DEADLINE + SECOND, "{report}");
            let line = log.line();
            assert!(line.contains(&format!(": drain_timeout was over before {waits_for}; ")), "{line}");
            assert!(other.state().is_closed && other.heard() == ["1"]);
        }
    }
}

async fn apply(server: &Running, listens: Vec<Listen>) -> Applied {
    server.handle().apply(listens).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_is_removed_is_drained_so_while_others_go_on() {
    let (other, net, stays) = (Other::fenced(), Net::new(), at_once());
    let stays = || Listen::on("mem:stays").handler(Arc::clone(&stays));
    other.state().is_last = false;
    let builder = net.server().transport(other.clone()).framing(Framing::Lines).limits(limits(|_| ()));
    let listens = builder.listen(stays()).listen(Listen::on(HERE).handler(waiting()));
    let server = listens.bind().await.unwrap().start();
    other.sends(A, "1");
    until(&server, |all| all.messages_sent == 1).await;
    assert_eq!(apply(&server, vec![stays()]).await.removed, 1);
    sleep(SECOND).await;
    other.sends(A, "slow");
    sleep(SECOND).await;
    assert!(!other.state().is_closed);
    other.set(|state| state.is_last = true);
    sleep(3 * SECOND).await;
    assert!(other.state().is_closed && other.heard() == ["1", "slow"]);
    assert_eq!(ask(&mut net.connect("mem:stays").await, "x").await, "x");
    assert!(server.stop().await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_passes_to_another_handler_goes_on_receiving() {
    for (first, second) in [(at_once(), waiting()), (at_once(), InSessions.into_service())] {
        for (first, second) in [(&first, &second), (&second, &first)] {
            let other = Other::fenced();
            let server = other.start(Arc::clone(first)).await;
            other.sends(A, "1");
            until(&server, |all| all.messages_sent == 1).await;
            assert_eq!(apply(&server, vec![Listen::on(HERE).handler(Arc::clone(second))]).await.changed, 1);
            other.sends(A, "2");
            sleep(SECOND).await;
            other.sends(A, "3");
            until(&server, |all| all.messages_sent == 3).await;
            other.set(|state| assert_eq!((state.refusals, state.is_closed), (0, false)));
            other.sends(A, "4");
            let report = server.stop().await;
            assert!(report.is_clean() && other.heard() == ["1", "2", "3", "4"], "{report}");
            assert_eq!(other.state().refusals, 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn reconnections_and_what_they_lost_are_counted() {
    let other = Other::fenced();
    let server = other.start(at_once()).await;
    for (reconnects, lost, news) in [(1, 3, Some("connected again")), (2, 0, None), (0, 4, None)] {
        sleep(SECOND).await;
        let mut found = Upkeep::unchanged(true);
        (found.reconnects, found.lost, found.news) = (reconnects, lost, news.map(str::to_owned));
        other.state().upkeep = Some(found);
    }
    until(&server, |all| all.lost_replies == 7).await;
    let text = server.handle().prometheus().to_string();
    let labels = "listener=\"script:here\",transport=\"script\"";
    for line in [
        format!("swapwire_reconnects_total{{{labels}}} 3\n"),
        format!("swapwire_replies_dropped_total{{{labels},reason=\"reconnect\"}} 7\n"),
    ] {
        assert!(text.contains(&line), "{line}{text}");
    }
    let report = server.stop().await.to_string();
    assert!(report.contains("3 reconnects, ") || report.ends_with("3 reconnects"), "{report}");
}

fn texts(problems: &[BuildProblem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

#[tokio::test(start_paused = true)]
async fn where_each_request_has_another_address_nothing_is_kept_of_a_source() {
    const SESSIONS: &str = "serve script:here: the handler needs sessions, and here each request has another address: use a message handler";
    let of = |name| format!("limits of script:here: {name} limits each source, and script has none: leave it out");
    let other = Other { stable_peers: false, ..Other::fenced() };
    let builder = || Net::new().server().transport(other.clone()).framing(Framing::Lines);
    let with_limits = || {
        let own = |mut limits: Limits| {
            (limits.source_rate, limits.max_per_source) = (Some(7), Some(7));
            limits
        };
        Listen::on(HERE).handler(at_once()).limits(own)
    };
    let sessions = || Listen::on(HERE).handler(InSessions);
    let error = builder().listen(sessions()).bind().await.unwrap_err();
    assert_eq!(texts(error.problems()), [SESSIONS]);
    let error = builder().listen(with_limits()).check().await.unwrap_err();
    assert_eq!(texts(error.problems()), [of("max_per_source"), of("source_rate")]);

    // Those of the server are for its other listeners.
    let of_the_server = limits(|limits| (limits.source_rate, limits.max_per_source) = (Some(1), Some(1)));
    let server = builder().limits(of_the_server).listen(Listen::on(HERE).handler(at_once())).bind().await.unwrap();
    let server = server.start();
    for message in ["1", "2", "3"] {
        other.sends(A, message);
    }
    until(&server, |all| all.messages_sent == 3).await;
    for (listen, problems) in
        [(sessions(), vec![SESSIONS.to_owned()]), (with_limits(), vec![of("max_per_source"), of("source_rate")])]
    {
        let error = server.handle().apply(vec![listen]).await.unwrap_err();
        assert_eq!(texts(error.problems()), problems);
    }
    other.sends(A, "4");
    let report = server.stop().await;
    assert_eq!((other.heard().len(), report.stats.throttled, report.stats.messages), (4, 0, 4), "{report}");
}
