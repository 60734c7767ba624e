//! A server with workers that is dropped leaves nothing: no thread, no descriptor. Alone in its process, to count them.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::fs;
use std::time::Duration;

use common::{Net, Places, ask, tell, within};
use swapwire::{Endpoint, Server, handler_fn_async};

/// Threads of workers, by the name that the system knows, which it cuts at 15 bytes.
fn workers() -> usize {
    let names = fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = names.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.trim_end() == "swapwire-worker").count()
}

/// Open descriptors, without the one that reads them.
fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count() - 1
}

/// Waits until the workers have gone by themselves and took their descriptors with them.
async fn nothing_left(base: usize) {
    within("the end of the workers", async {
        while workers() > 0 || descriptors() > base {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// A server whose handler never answers `wait`.
async fn server(net: &Net, places: &Places) -> (Server, Vec<Endpoint>) {
    let handler = handler_fn_async(|message| async move {
        if message == "wait" {
            std::future::pending::<()>().await;
        }
        Ok(message)
    });
    let mut builder = net.server().workers(4).handler(handler);
    for endpoint in ["tcp://127.0.0.1:0", "udp://127.0.0.1:0", &places.unix(), &places.unix_dgram()] {
        builder = builder.listen(endpoint);
    }
    let server = builder.bind().await.unwrap();
    let locals = server.local_endpoints();
    (server, locals)
}

async fn use_it(net: &Net, locals: &[Endpoint]) {
    for local in locals {
        for _ in 0..10 {
            let mut session = net.connect(local).await;
            assert_eq!(ask(&mut session, "hello").await, "hello");
            tell(&mut session, "wait").await;
        }
    }
}

#[tokio::test]
async fn nothing_is_left_of_workers() {
    let (places, net) = (Places::new(), Net::new());
    // What the process opens once and keeps.
    let (first, locals) = server(&net, &places).await;
    let first = first.start();
    use_it(&net, &locals).await;
    drop(first);
    within("the first server's end", async {
        while workers() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    let base = descriptors();

    // Never run.
    drop(server(&net, &places).await);
    nothing_left(base).await;

    // The future dropped.
    let (dropped, locals) = server(&net, &places).await;
    tokio::select! {
        report = dropped.run_until(std::future::pending()) => panic!("{report}"),
        () = async {
            use_it(&net, &locals).await;
            within("four named threads", async {
                while workers() != 4 {
                    tokio::task::yield_now().await;
                }
            })
            .await;
        } => {}
    }
    nothing_left(base).await;

    // The handle dropped.
    let (dropped, locals) = server(&net, &places).await;
    let running = dropped.start();
    use_it(&net, &locals).await;
    drop(running);
    nothing_left(base).await;

    // Stopped: the descriptors are closed by then. The threads were joined, but the system lists them a moment longer.
    let (stopped, locals) = server(&net, &places).await;
    let running = stopped.start();
    for local in &locals {
        assert_eq!(ask(&mut net.connect(local).await, "hello").await, "hello");
    }
    assert!(running.stop().await.is_clean());
    assert_eq!(descriptors(), base);
    nothing_left(base).await;
}
