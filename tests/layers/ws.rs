//! WebSockets below a server: the laws on every wire, and what handlers see.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::common::{Net, Places, ask};
use swapwire::core::Place;
use swapwire::ws::{Ws, WsInfo};
use swapwire::{
    Credentials, Endpoint, Handler, HandlerError, Registry, Reply, Request, Stacked, WithLayer as _, default_registry,
};
use swapwire_testkit::{LAWS, Suite};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// A path that nothing was bound to, in a directory that is removed by the one who made it.
fn fresh_path(directory: &tempfile::TempDir) -> impl Fn() -> Endpoint + Send + Sync + use<> {
    let (directory, count) = (directory.path().to_owned(), AtomicUsize::new(0));
    move || {
        let path = directory.join(count.fetch_add(1, Relaxed).to_string());
        Endpoint::new("ws+unix", Place::Path(path)).unwrap().with_option("path", "/chat")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_the_laws_on_tcp() {
    println!("{} laws", LAWS.len());
    Suite::new(default_registry(), || "ws+tcp://127.0.0.1:0".parse().unwrap()).run().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_the_laws_on_unix_sockets() {
    let directory = tempfile::tempdir().unwrap();
    Suite::new(default_registry(), fresh_path(&directory)).run().await;
}

#[cfg(feature = "tls")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_the_laws_over_tls() {
    Suite::new(default_registry(), || "ws+tls+tcp://127.0.0.1:0?self_signed=true".parse().unwrap()).run().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stack_by_code_keeps_the_laws() {
    let directory = tempfile::tempdir().unwrap();
    let stacked = Stacked::new(Ws::new(), swapwire::unix::Unix::new()).unwrap();
    Suite::new(Registry::new().with(stacked), fresh_path(&directory)).run().await;
}

/// Says what the request has told, and which user that is.
struct WhoAsks;

impl Handler for WhoAsks {
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        let peer = request.peer().ok_or("no peer")?;
        let info = peer.get::<WsInfo>().ok_or("no request")?;
        let uid = peer.get::<Credentials>().map(|credentials| credentials.uid);
        let token = info.header("authorization");
        Ok(reply.send(format!("{} {:?} {:?} {token:?} {uid:?}", info.path(), info.query(), info.subprotocol()))?)
    }
}

#[tokio::test]
async fn a_handler_sees_the_request_and_the_user() {
    let (net, places) = (Net::new(), Places::new());
    let unix = format!("ws+{}", places.unix());
    for (endpoint, is_unix) in [("ws+tcp://127.0.0.1:0", false), (&*unix, true)] {
        let (server, local) =
            net.start(&format!("{endpoint}?path=/chat&protocol=b,a&headers=authorization"), WhoAsks).await;
        let uid = is_unix.then(|| nix::unistd::geteuid().as_raw());
        let dial = local.clone().with_option("path", "/chat?room=1").with_option("protocol", "a,b");
        let said = ask(&mut net.connect(&dial).await, "?").await;
        assert_eq!(said, format!("/chat Some(\"room=1\") Some(\"b\") None {uid:?}"));

        let ws = Ws::new().with_headers([("Authorization", "Bearer x")]).unwrap();
        let registry = default_registry().with_layer(ws);
        let link = registry.connect(&local).await.unwrap();
        let mut session = swapwire::Session::new(link, swapwire::SessionConfig::default());
        assert_eq!(ask(&mut session, "?").await, format!("/chat None None Some(\"Bearer x\") {uid:?}"));
        drop(session);
        assert!(server.stop().await.is_clean());
    }
}

#[tokio::test]
async fn another_path_is_refused_with_words() {
    let net = Net::new();
    let (server, local) = net.start("ws+tcp://127.0.0.1:0?path=/chat", WhoAsks).await;
    let dial = local.clone().with_option("path", "/other");
    let error = default_registry().connect(&dial).await.unwrap_err().to_string();
    assert_eq!(error, format!("connect {dial}: ws: the server answers 404 Not Found: no WebSocket is at /other"));

    // Plain HTTP gets an answer and the end.
    let Place::Host { host, port } = local.place() else { panic!("a host") };
    let mut stream = tokio::net::TcpStream::connect((&**host, *port)).await.unwrap();
    stream.write_all(b"GET /chat HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 426 Upgrade Required\r\n"), "{answer}");
    server.stop().await;
}
