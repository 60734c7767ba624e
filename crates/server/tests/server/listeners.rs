//! Numbers for each listener.

use crate::common::{Net, ask};
use swapwire_core::{Framing, handler_fn};
use swapwire_server::{Listen, Running};

/// Its name, transport, sessions and messages.
fn counted(server: &Running) -> Vec<(String, String, u64, u64)> {
    let listed = server.snapshots().into_iter();
    listed.map(|(info, counted)| (info.name, info.transport, counted.sessions, counted.messages)).collect()
}

#[tokio::test]
async fn each_listener_has_numbers_of_its_own_whichever_worker_serves_it() {
    for workers in [None, Some(1), Some(3)] {
        let net = Net::new();
        let mut builder = net.server().handler(handler_fn(|request, reply| Ok(reply.send(request.message())?)));
        if let Some(workers) = workers {
            builder = builder.workers(workers);
        }
        let builder = builder.listen(Listen::on("mem:a").named("front")).listen("mem-seq:b").listen("mem-dgram:c");
        let server = builder.framing(Framing::Lines).bind().await.unwrap().start();
        let mut sessions = Vec::new();
        for (endpoint, messages) in [("mem:a", 1), ("mem-seq:b", 2), ("mem-seq:b", 3), ("mem-dgram:c", 4)] {
            let mut session = net.connect(endpoint).await;
            for _ in 0..messages {
                ask(&mut session, "x").await;
            }
            sessions.push(session);
        }
        let expected = [("front", "mem", 1, 1), ("mem-seq:b", "mem-seq", 2, 5), ("mem-dgram:c", "mem-dgram", 0, 4)];
        let expected = expected.map(|(name, wire, sessions, messages)| (name.into(), wire.into(), sessions, messages));
        assert_eq!(counted(&server), expected, "{workers:?}");
        let (info, _) = &server.snapshots()[0];
        assert_eq!(info.endpoints, server.local_endpoints()[..1]);
        drop(sessions);
        let (handle, report) = (server.handle(), server.stop().await);
        assert_eq!((report.stats.sessions, report.stats.messages), (3, 10), "{report}");
        // The sum of all workers, and of all listeners, is the same.
        for listed in [handle.worker_snapshots(), handle.snapshots().into_iter().map(|(_, counted)| counted).collect()]
        {
            for (at, total) in handle.snapshot().iter().enumerate() {
                let sum: u64 = listed.iter().filter_map(|one| one.iter().nth(at)).map(|counter| counter.value).sum();
                assert_eq!(sum, total.value, "{}", total.name);
            }
        }
    }
}
