//! The listeners of a server change while it runs.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;
use std::time::Duration;

use crate::common::{Net, ask, limits, text, until};
use swapwire_core::{
    Bytes, Framing, Handler, HandlerError, Reply, Request, Session, SessionHandler, async_trait, handler_fn,
    handler_fn_async,
};
use swapwire_server::{Applied, BuildProblem, IntoService, Listen, Running, Service};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// Answers each message with a word before it.
fn says(word: &'static str) -> Arc<dyn Service> {
    handler_fn(move |request, reply| Ok(reply.send([word.as_bytes(), b" ", request.message()].concat())?))
        .into_service()
}

/// The same as a session, which says the drain's word when that begins.
struct Says(&'static str);

#[async_trait]
impl SessionHandler for Says {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        while let Some(message) = session.recv().await? {
            session.send([self.0.as_bytes(), b" ", &message].concat()).await?;
        }
        Ok(session.send([self.0.as_bytes(), b" ends"].concat()).await?)
    }
}

async fn start(net: &Net, listens: Vec<Listen>) -> Running {
    let builder = net.server().framing(Framing::Lines).limits(limits(|_| ()));
    listens.into_iter().fold(builder, |builder, listen| builder.listen(listen)).bind().await.unwrap().start()
}

async fn apply(server: &Running, listens: Vec<Listen>) -> (usize, usize, usize, usize) {
    let Applied { unchanged, changed, added, removed, .. } = server.handle().apply(listens).await.unwrap();
    (unchanged, changed, added, removed)
}

/// The problems of a change that is refused.
async fn refused(server: &Running, listens: Vec<Listen>) -> Vec<String> {
    let error = server.handle().apply(listens).await.unwrap_err();
    error.problems().iter().map(ToString::to_string).collect()
}

#[tokio::test(start_paused = true)]
async fn what_stays_is_untouched_and_what_changes_keeps_its_sessions() {
    for wire in ["mem", "mem-seq"] {
        let net = Net::new();
        let on = |name: &str, handler: &Arc<dyn Service>| {
            Listen::on(&*format!("{wire}:{name}")).handler(Arc::clone(handler))
        };
        let (one, two) = (says("one"), says("two"));
        let server = start(&net, vec![on("stays", &one), on("changes", &one), on("goes", &one)]).await;
        let at = |name: &str| format!("{wire}:{name}");
        let (mut stays, mut changes, mut goes) =
            (net.connect(&at("stays")).await, net.connect(&at("changes")).await, net.connect(&at("goes")).await);
        for session in [&mut stays, &mut changes, &mut goes] {
            assert_eq!(ask(session, "a").await, "one a");
        }
        let next = vec![on("comes", &two), on("changes", &two), on("stays", &one)];
        assert_eq!(apply(&server, next).await, (1, 1, 1, 1));
        for session in [&mut stays, &mut changes] {
            assert_eq!(ask(session, "b").await, "one b");
        }
        assert!(goes.recv().await.unwrap().is_none());
        for (name, answer) in [("stays", "one c"), ("changes", "two c"), ("comes", "two c")] {
            assert_eq!(ask(&mut net.connect(&at(name)).await, "c").await, answer, "{wire} {name}");
        }
        assert!(net.registry.connect(&at("goes").parse().unwrap()).await.is_err());
        let shown: Vec<_> = server.local_endpoints().iter().map(ToString::to_string).collect();
        assert_eq!(shown, [at("comes"), at("changes"), at("stays")]);
        let report = server.stop().await;
        assert!(report.is_clean() && report.stats.sessions == 6 && report.stats.messages == 8, "{report}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_changes_if_anything_is_wrong() {
    let net = Net::new();
    let (one, two) = (says("one"), says("two"));
    let on = |place: &str, handler: &Arc<dyn Service>| Listen::on(place).handler(Arc::clone(handler));
    let server = start(&net, vec![on("mem:a", &one), on("mem-dgram:b", &one)]).await;
    let taken = net.registry.bind(&"mem:taken".parse().unwrap()).await.unwrap();
    for (wrong, problem) in [
        (on("mem:taken", &two), "bind mem:taken: "),
        (on("tpc:x", &two), "bind tpc:x: unknown scheme"),
        (Listen::on("mem:c"), "serve mem:c: no handler"),
        (on("mem:c", &two).limits(|limits| limits.max_connections(1)), "limits of mem:c: max_connections is for"),
    ] {
        let problems = refused(&server, vec![on("mem:a", &two), on("mem:new", &two), wrong]).await;
        assert!(matches!(&*problems, [only] if only.starts_with(problem)), "{problems:?}");
        assert_eq!(ask(&mut net.connect("mem:a").await, "x").await, "one x");
        assert_eq!(ask(&mut net.connect("mem-dgram:b").await, "x").await, "one x");
        assert_eq!(server.local_endpoints().len(), 2);
        // It was bound for a moment.
        drop(net.registry.bind(&"mem:new".parse().unwrap()).await.unwrap());
    }
    assert_eq!(refused(&server, Vec::new()).await, ["no endpoint to listen on"]);
    drop(taken);
    let handle = server.handle();
    assert!(server.stop().await.is_clean());
    let error = handle.apply(vec![on("mem:a", &one)]).await.unwrap_err();
    assert!(matches!(error.problems(), [BuildProblem::Draining]), "{error}");
}

/// Also that a server which does not run yet makes the change when it does.
#[tokio::test(start_paused = true)]
async fn names_pass_to_other_places_and_numbers_go_with_names() {
    let net = Net::new();
    let one = says("one");
    let on = move |place: &str, name: &str| Listen::on(place).named(name).handler(Arc::clone(&one));
    let server =
        net.server().framing(Framing::Lines).listen(on("mem:a", "x")).listen(on("mem:b", "y")).bind().await.unwrap();
    let handle = server.handle();
    let swap = tokio::spawn(async move { handle.apply(vec![on("mem:b", "x"), on("mem:a", "y")]).await });
    tokio::task::yield_now().await;
    assert!(!swap.is_finished());
    let server = server.start();
    assert_eq!(swap.await.unwrap().unwrap().changed, 2);
    let counted = |server: &Running| -> Vec<_> {
        server
            .snapshots()
            .into_iter()
            .map(|(info, counted)| (info.name, info.endpoints[0].to_string(), counted.messages))
            .collect()
    };
    ask(&mut net.connect("mem:b").await, "q").await;
    assert_eq!(counted(&server), [("x".into(), "mem:b".into(), 1), ("y".into(), "mem:a".into(), 0)]);
    // What was counted under names that are gone stays in the sum.
    let one = says("one");
    let on = |place: &str, name: &str| Listen::on(place).named(name).handler(Arc::clone(&one));
    assert_eq!(apply(&server, vec![on("mem:b", "z")]).await, (0, 1, 0, 1));
    assert_eq!(apply(&server, vec![on("mem:c", "z")]).await, (0, 0, 1, 1));
    until(&server, |all| all.done + all.drained == all.sessions).await;
    assert_eq!(apply(&server, vec![on("mem:c", "x")]).await, (0, 1, 0, 0));
    ask(&mut net.connect("mem:c").await, "q").await;
    // Those of a name go on if they were there before the last change.
    assert_eq!(counted(&server), [("x".into(), "mem:c".into(), 2)]);
    assert_eq!((server.snapshot().sessions, server.snapshot().messages), (2, 2));
    assert!(server.stop().await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn calls_that_wait_on_a_datagram_socket_are_answered_by_the_handler_that_has_them() {
    let (net, gate) = (Net::new(), Arc::new(Notify::new()));
    let waits = {
        let gate = Arc::clone(&gate);
        handler_fn_async(move |message: Bytes| {
            let gate = Arc::clone(&gate);
            async move {
                gate.notified().await;
                Ok([b"old ", &*message].concat())
            }
        })
    };
    let server = start(&net, vec![Listen::on("mem-dgram:a").handler(waits)]).await;
    let mut before = net.connect("mem-dgram:a").await;
    before.send("1").await.unwrap();
    before.flush().await.unwrap();
    sleep(Duration::from_millis(1)).await;
    for word in ["new", "newer"] {
        assert_eq!(apply(&server, vec![Listen::on("mem-dgram:a").handler(says(word))]).await, (0, 1, 0, 0));
        assert_eq!(ask(&mut net.connect("mem-dgram:a").await, "2").await, format!("{word} 2"));
    }
    gate.notify_one();
    assert_eq!(text(&mut before).await, "old 1");
    assert_eq!(ask(&mut before, "3").await, "newer 3");
    assert!(server.stop().await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn sessions_on_a_datagram_socket_go_on_with_theirs() {
    let net = Net::new();
    let on = |word| vec![Listen::on("mem-dgram:a").named(word).handler(Says(word))];
    let server = start(&net, on("one")).await;
    let mut sessions = Vec::new();
    for word in ["one", "two", "three"] {
        if word != "one" {
            assert_eq!(apply(&server, on(word)).await, (0, 1, 0, 0));
        }
        let mut session = net.connect("mem-dgram:a").await;
        assert_eq!(ask(&mut session, "a").await, format!("{word} a"));
        sessions.push((word, session));
    }
    for (word, session) in &mut sessions {
        assert_eq!(ask(session, "b").await, format!("{word} b"));
    }
    // Those of earlier handlers have their deadlines, and learn of the drain.
    let (_, mut idle) = sessions.remove(1);
    assert_eq!(ask(&mut sessions[0].1, "c").await, "one c");
    sleep(Duration::from_secs(299)).await;
    assert_eq!(ask(&mut idle, "d").await, "two d");
    until(&server, |all| all.idle_timeouts == 2).await;
    let report = tokio::spawn(server.stop());
    assert_eq!(text(&mut idle).await, "two ends");
    let report = report.await.unwrap();
    assert!(report.is_clean() && report.drain < Duration::from_secs(1), "{report}");
    assert_eq!((report.stats.sessions, report.stats.drained, report.stats.done), (3, 1, 0), "{report}");
}

#[tokio::test(start_paused = true)]
async fn another_kind_of_handler_follows_on_a_datagram_socket_when_the_first_has_ended() {
    let net = Net::new();
    let server = start(&net, vec![Listen::on("mem-dgram:a").handler(Says("session"))]).await;
    let mut session = net.connect("mem-dgram:a").await;
    assert_eq!(ask(&mut session, "a").await, "session a");
    assert_eq!(apply(&server, vec![Listen::on("mem-dgram:a").handler(says("message"))]).await, (0, 1, 0, 0));
    assert_eq!(text(&mut session).await, "session ends");
    until(&server, |all| all.drained == 1).await;
    sleep(Duration::from_millis(100)).await;
    assert_eq!(ask(&mut session, "b").await, "message b");
    assert_eq!(apply(&server, vec![Listen::on("mem-dgram:a").handler(Says("session"))]).await, (0, 1, 0, 0));
    sleep(Duration::from_millis(100)).await;
    assert_eq!(ask(&mut session, "c").await, "session c");
    assert!(server.stop().await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_is_removed_is_cut_at_the_deadline_and_others_go_on() {
    let (net, never) = (Net::new(), handler_fn_async(|_| std::future::pending::<Result<Bytes, HandlerError>>()));
    let one = says("one");
    let stays = || Listen::on("mem:stays").handler(Arc::clone(&one));
    let server = start(&net, vec![stays(), Listen::on("mem:goes").handler(never)]).await;
    let (mut goes, mut other) = (net.connect("mem:goes").await, net.connect("mem:stays").await);
    goes.send("x").await.unwrap();
    goes.flush().await.unwrap();
    until(&server, |all| all.sessions == 2).await;
    assert_eq!(apply(&server, vec![stays()]).await, (1, 0, 0, 1));
    sleep(Duration::from_secs(4)).await;
    assert_eq!((ask(&mut other, "a").await, server.snapshot().cut), ("one a".to_owned(), 0));
    assert!(timeout(Duration::from_secs(2), goes.recv()).await.is_ok());
    assert_eq!(ask(&mut other, "b").await, "one b");
    let report = server.stop().await;
    assert_eq!((report.stats.cut, report.cut), (1, 1), "{report}");
}

/// On workers as without, whatever the number of changes: nothing is lost, and nothing piles up.
#[tokio::test]
async fn many_changes_under_load_lose_nothing() {
    for workers in [None, Some(2)] {
        let net = Net::new();
        let words = [says("one"), says("two")];
        let all = |word: usize| {
            let on = |place| Listen::on(place).handler(Arc::clone(&words[word % 2]));
            ["mem:a", "mem-seq:b", "mem-dgram:c"].map(on).to_vec()
        };
        let mut builder = net.server().framing(Framing::Lines);
        if let Some(workers) = workers {
            builder = builder.workers(workers);
        }
        let server =
            all(0).into_iter().fold(builder, |builder, listen| builder.listen(listen)).bind().await.unwrap().start();
        let clients = ["mem:a", "mem-seq:b", "mem-dgram:c"].map(|place| {
            let registry = Net { registry: net.registry.clone() };
            tokio::spawn(async move {
                let mut asked = 0;
                let mut stays = registry.connect(place).await;
                while asked < 2000 {
                    let mut comes = registry.connect(place).await;
                    for session in [&mut stays, &mut comes] {
                        let answer = timeout(Duration::from_secs(60), ask(session, "q")).await.unwrap();
                        assert!(["one q", "two q"].contains(&&*answer), "{answer}");
                        asked += 1;
                    }
                }
            })
        });
        let mut changes = 1;
        while clients.iter().any(|client| !client.is_finished()) {
            assert_eq!(apply(&server, all(changes)).await, (0, 3, 0, 0));
            changes += 1;
            tokio::task::yield_now().await;
        }
        for client in clients {
            client.await.unwrap();
        }
        server.handle().turned().await;
        let report = server.stop().await;
        assert!(report.is_clean() && changes > 10, "{changes} changes: {report}");
        assert_eq!(report.stats.messages, 6000, "{report}");
    }
}

#[tokio::test]
async fn a_worker_that_is_blocked_does_not_turn() {
    let (entered, blocks) = (Arc::new(Notify::new()), std::sync::mpsc::sync_channel::<()>(0));
    let (release, until_released) = (blocks.0, std::sync::Mutex::new(blocks.1));
    struct Blocks(Arc<Notify>, std::sync::Mutex<std::sync::mpsc::Receiver<()>>);
    impl Handler for Blocks {
        async fn handle(&self, _: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
            self.0.notify_one();
            let _ = self.1.lock().unwrap().recv();
            Ok(reply.send(b"done")?)
        }
    }
    let net = Net::new();
    let blocks = Blocks(Arc::clone(&entered), until_released);
    let builder = net.server().workers(2).framing(Framing::Lines).listen("mem:a").listen("mem:b").handler(blocks);
    let server = builder.bind().await.unwrap().start();
    server.handle().turned().await;
    let mut session = net.connect("mem:a").await;
    session.send("x").await.unwrap();
    session.flush().await.unwrap();
    entered.notified().await;
    let handle = server.handle();
    let turned = tokio::spawn(async move { handle.turned().await });
    // The other worker turns.
    let mut other = net.connect("mem:b").await;
    assert!(timeout(Duration::from_millis(50), other.recv()).await.is_err() && !turned.is_finished());
    release.send(()).unwrap();
    turned.await.unwrap();
    assert_eq!(text(&mut session).await, "done");
    assert!(server.stop().await.is_clean());
}
