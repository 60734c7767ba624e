//! Binding, connecting and naming, the same over every wire.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::net::{TcpListener, UdpSocket};

use crate::common::{Net, Places, ask, port, tell, within};
use swapwire::handlers::Echo;
use swapwire::{
    Addr, ConnectError, Endpoint, ErrorClass, HandlerError, Reply, Request, Running, SendError, Session, SessionConfig,
    SessionHandler, async_trait, connect_with, handler_fn,
};

#[tokio::test]
async fn a_refused_connection_is_a_typed_error() {
    let (places, net) = (Places::new(), Net::new());
    // Not on the address that other tests use: they might take the port that is freed here.
    let mut endpoints = places.all();
    endpoints.retain(|endpoint| !endpoint.starts_with("tcp:") && !endpoint.starts_with("udp:"));
    endpoints.extend(["tcp", "udp"].map(|scheme| format!("{scheme}://{}:0", places.quiet_host())));
    for endpoint in endpoints {
        let (server, local) = net.start(&endpoint, Echo).await;
        drop(net.connect(&local).await);
        assert!(server.stop().await.is_clean());
        let result = connect_with(&net.registry, &local, SessionConfig::default()).await;
        if local.scheme() == "udp" {
            // A datagram can be sent to nobody; at most the network says so afterwards, and the session goes on.
            let mut session = result.unwrap();
            tell(&mut session, "anybody?").await;
            let error = within(&local, session.recv()).await.unwrap_err();
            assert_eq!(error.class(), ErrorClass::PeerNoise, "{local}: {error}");
            continue;
        }
        let error = match result {
            Err(swapwire::Error::Connect(error)) => error,
            other => panic!("{local}: {other:?}"),
        };
        assert_eq!(error.endpoint(), &local);
        assert!(error.to_string().starts_with(&format!("connect {local}: ")), "{error}");
        assert_eq!(error.to_string().lines().count(), 1);
        let refused = matches!(error, ConnectError::Refused { .. });
        match (local.scheme(), error.raw_os_error()) {
            ("mem" | "mem-seq" | "mem-dgram", None) => assert!(refused, "{error:?}"),
            ("tcp", Some(code)) => assert!(refused && code == nix::errno::Errno::ECONNREFUSED as i32, "{error:?}"),
            // A name without a server is refused, a path without a file does not exist.
            ("unix" | "unix-dgram" | "unix-seq", Some(code)) if local.to_string().contains('@') => {
                assert!(refused && code == nix::errno::Errno::ECONNREFUSED as i32, "{error:?}");
            }
            ("unix" | "unix-dgram" | "unix-seq", Some(code)) => {
                assert_eq!(code, nix::errno::Errno::ENOENT as i32, "{error:?}")
            }
            other => panic!("{other:?}: {error:?}"),
        }
    }
    // A file that a server left behind when it died.
    let path = places.path();
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let local: Endpoint = format!("unix:{}", path.display()).parse().unwrap();
    let error = net.registry.connect(&local).await.unwrap_err();
    assert!(matches!(error, ConnectError::Refused { .. }), "{error:?}");
}

/// Tells each peer what the server calls the two ends.
fn introduce(request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
    let peer = request.peer().map_or_else(|| "nobody".to_owned(), ToString::to_string);
    Ok(reply.send(format!("{peer} -> {}", request.local()).as_bytes())?)
}

struct Introduce;

#[async_trait]
impl SessionHandler for Introduce {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        while session.recv().await?.is_some() {
            let text = format!("{} -> {}", session.peer(), session.local());
            session.send(text).await?;
        }
        Ok(())
    }
}

async fn agree(net: &Net, server: Running, local: &Endpoint) {
    let mut session = net.connect(local).await;
    // Long enough that the answer may be longer than a forgeable sender's question.
    let said = ask(&mut session, "who ".repeat(40)).await;
    let (own, other) = (session.local().to_string(), session.peer().to_string());
    assert_eq!(said, format!("{own} -> {other}"), "{local}");
    match session.peer().addr() {
        Addr::Inet(addr) => assert_eq!(addr.port().to_string(), port(local)),
        Addr::Named(_) => assert_eq!(other, local.to_string()),
        _ => assert_eq!(format!("{}:{other}", local.scheme()), local.to_string()),
    }
    drop(session);
    assert!(server.stop().await.is_clean());
}

#[tokio::test]
async fn both_ends_agree_on_who_they_are() {
    let (places, net) = (Places::new(), Net::new());
    for endpoint in places.all() {
        let (server, local) = net.start(&endpoint, handler_fn(introduce)).await;
        agree(&net, server, &local).await;
        let (server, local) = net.start(&endpoint, Introduce).await;
        agree(&net, server, &local).await;
    }
}

#[tokio::test]
async fn every_endpoint_is_bound_or_none() {
    let (places, net) = (Places::new(), Net::new());
    let holder = UdpSocket::bind("127.0.0.1:0").unwrap();
    let taken = format!("udp://{}", holder.local_addr().unwrap());
    let free = TcpListener::bind((places.quiet_host(), 0)).unwrap().local_addr().unwrap();
    let mut endpoints = vec![format!("tcp://{free}")];
    endpoints.extend(places.all());
    let mut builder = net.server().handler(Echo);
    for endpoint in endpoints.iter().chain([&taken]) {
        builder = builder.listen(endpoint);
    }
    let error = builder.bind().await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::ListenerFatal);
    assert!(error.to_string().starts_with(&format!("bind {taken}: ")), "{error}");
    assert_eq!(error.problems().len(), 1, "{error}");
    // Nothing stayed bound, no file was left behind.
    for endpoint in endpoints {
        let endpoint = endpoint.parse().unwrap();
        net.registry.bind(&endpoint).await.unwrap();
    }
    drop(holder);

    // What is wrong with the composition is said at once, and before anything is bound.
    let unix = places.unix();
    let builder = net.server().handler(Echo).listen(&unix).listen("tpc://h:1").listen("tcp://127.0.0.1");
    let error = builder.bind().await.unwrap_err();
    assert_eq!((error.class(), error.problems().len()), (ErrorClass::Configuration, 2), "{error}");
    assert!(!std::path::Path::new(unix.strip_prefix("unix:").unwrap()).exists());
}

#[tokio::test]
async fn a_place_in_use_is_said_in_one_line_and_the_first_server_lives() {
    let (places, net) = (Places::new(), Net::new());
    for endpoint in places.all() {
        let (server, local) = net.start(&endpoint, Echo).await;
        let mut session = net.connect(&local).await;
        assert_eq!(ask(&mut session, "one").await, "one");
        let error = net.server().handler(Echo).listen(&local).bind().await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::ListenerFatal, "{error}");
        let text = error.to_string();
        assert!(text.starts_with(&format!("bind {local}: ")) && text.lines().count() == 1, "{text}");
        assert!(net.registry.bind(&local).await.unwrap_err().is_addr_in_use(), "{local}");
        assert_eq!(ask(&mut session, "two").await, "two", "{local}");
        drop(session);
        assert!(server.stop().await.is_clean());
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_session_on_a_wildcard_socket_knows_the_address_that_was_asked() {
    let net = Net::new();
    let server = net.server().listen("udp://0.0.0.0:0").handler(Introduce).bind().await.unwrap().start();
    let port = port(&server.local_endpoints()[0]);
    for host in ["127.0.0.1", "127.0.0.7"] {
        let mut session = net.connect(&format!("udp://{host}:{port}").parse().unwrap()).await;
        let said = ask(&mut session, "who").await;
        assert!(said.ends_with(&format!("-> {host}:{port}")), "{said}");
    }
}

/// Replies as many bytes as it may, for a message that says how many it wants.
fn amplifier() -> impl swapwire::Handler {
    handler_fn(|request: Request<'_>, reply: &mut Reply| {
        let len: usize = std::str::from_utf8(request.message())?.parse()?;
        Ok(reply.send(vec![b'!'; len])?)
    })
}

/// The same, in a session.
struct Amplifier;

#[async_trait]
impl SessionHandler for Amplifier {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        while let Some(message) = session.recv().await? {
            let len: usize = std::str::from_utf8(&message)?.parse()?;
            session.send(vec![b'!'; len]).await?;
            // What is withheld is no reason to end.
            if !matches!(session.flush().await, Ok(()) | Err(SendError::Unvalidated { .. })) {
                break;
            }
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_long_reply_is_withheld_unless_the_socket_is_on_loopback() {
    for (endpoint, withheld) in [
        ("udp://127.0.0.1:0", 0),
        ("udp://localhost:0", 0),
        ("udp://[::1]:0", 0),
        ("udp://[::ffff:127.0.0.1]:0", 0),
        ("udp://0.0.0.0:0", 1),
        ("udp://[::]:0", 1),
    ] {
        for sessions in [false, true] {
            let net = Net::new();
            let builder = swapwire::Server::builder().registry(net.registry.clone()).listen(endpoint);
            let builder = if sessions { builder.handler(Amplifier) } else { builder.handler(amplifier()) };
            let server = match builder.bind().await {
                Ok(server) => server.start(),
                Err(error) if endpoint.contains("::") => {
                    eprintln!("SKIPPED: {endpoint}: {error}");
                    continue;
                }
                Err(error) => panic!("{error}"),
            };
            let local =
                server.local_endpoints()[0].to_string().replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]");
            let mut session = net.connect(&local.parse().unwrap()).await;
            let expected = if withheld > 0 {
                tell(&mut session, "1000").await;
                64
            } else {
                assert_eq!(ask(&mut session, "1000").await.len(), 1000, "{endpoint}, sessions {sessions}");
                1000
            };
            // It goes on.
            assert_eq!(
                ask(&mut session, &expected.to_string()).await.len(),
                expected,
                "{endpoint}, sessions {sessions}"
            );
            drop(session);
            let report = server.stop().await;
            assert_eq!(report.stats.withheld_replies, withheld, "{endpoint}, sessions {sessions}: {report}");
        }
    }
}
