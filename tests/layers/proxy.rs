//! The PROXY protocol below a server: what its handlers see, what its limits apply to, what it logs; and the laws on sockets.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::common::{Net, Places, ask, end, tell, until};
use crate::log::Log;
use swapwire::core::Place;
use swapwire::proxy::{Command, Header, Proxy, ProxyInfo, Version, encode};
use swapwire::{
    Addr, Credentials, Endpoint, Handler, HandlerError, Registry, Reply, Request, Stacked, default_registry,
};
use swapwire_testkit::{LAWS, Suite};

/// A path that nothing was bound to, in a directory that is removed by the one who made it.
fn fresh_path(directory: &tempfile::TempDir) -> impl Fn() -> Endpoint + Send + Sync + use<> {
    let (directory, count) = (directory.path().to_owned(), AtomicUsize::new(0));
    move || {
        let path = directory.join(count.fetch_add(1, Relaxed).to_string());
        Endpoint::new("proxy+unix", Place::Path(path)).unwrap().with_option("trust", "unix")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_the_laws_on_tcp() {
    println!("{} laws", LAWS.len());
    for options in ["", "&version=1", "&untrusted=plain"] {
        let fresh = move || format!("proxy+tcp://127.0.0.1:0?trust=127.0.0.0/8{options}").parse().unwrap();
        Suite::new(default_registry(), fresh).run().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_the_laws_on_unix_sockets() {
    let directory = tempfile::tempdir().unwrap();
    Suite::new(default_registry(), fresh_path(&directory)).run().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stack_by_code_keeps_the_laws() {
    let directory = tempfile::tempdir().unwrap();
    let stacked = Stacked::new(Proxy::new(), swapwire::unix::Unix::new()).unwrap();
    Suite::new(Registry::new().with(stacked), fresh_path(&directory)).run().await;
}

#[cfg(feature = "tls")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_the_laws_below_tls_and_above() {
    for scheme in ["tls+proxy+tcp", "proxy+tls+tcp"] {
        let fresh = move || format!("{scheme}://127.0.0.1:0?trust=127.0.0.0/8&self_signed=true").parse().unwrap();
        Suite::new(default_registry(), fresh).run().await;
    }
}

/// Says who asked, by way of whom, and which user that is.
struct WhoAsks;

impl Handler for WhoAsks {
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        let peer = request.peer().ok_or("no peer")?;
        let info = peer.get::<ProxyInfo>();
        let via = info.map(|info| info.via.to_string());
        let command = info.map(|info| info.command);
        let uid = peer.get::<Credentials>().map(|credentials| credentials.uid);
        Ok(reply.send(format!("{} {via:?} {command:?} {uid:?}", peer.addr()))?)
    }
}

/// Where a client dials what is bound below the layer.
fn below(local: &Endpoint) -> Endpoint {
    let base = local.scheme().rsplit('+').next().unwrap().to_owned();
    local.clone().with_scheme(base)
}

#[tokio::test]
async fn a_handler_sees_the_client_the_proxy_and_the_user() {
    let (net, places) = (Net::new(), Places::new());
    let unix = format!("proxy+{}", places.unix());
    for (endpoint, trust, is_unix) in [
        ("proxy+tcp://127.0.0.1:0", "127.0.0.0/8", false),
        ("proxy://127.0.0.1:0", "127.0.0.1", false),
        (&*unix, "10.0.0.0/8,unix", true),
        ("proxy+mem:who", "mem", false),
    ] {
        let (server, local) = net.start(&format!("{endpoint}?trust={trust}"), WhoAsks).await;
        assert_eq!(local.scheme().split('+').count(), 2, "{local}");
        let uid = is_unix.then(|| nix::unistd::geteuid().as_raw());
        for (version, command) in [("1", Command::Proxy), ("2", Command::Proxy)] {
            let dial = local.clone().with_option("client", "192.0.2.1:1234").with_option("version", version);
            let mut session = net.connect(&dial.with_option("destination", "192.0.2.2:80")).await;
            let said = ask(&mut session, "?").await;
            let (client, rest) = said.split_once(' ').unwrap();
            assert_eq!(client, "192.0.2.1:1234");
            assert!(rest.ends_with(&format!("Some({command:?}) {uid:?}")) && rest.starts_with("Some(\""), "{said}");
        }
        // The proxy itself.
        let said = ask(&mut net.connect(&local).await, "?").await;
        let (client, rest) = said.split_once(' ').unwrap();
        assert!(rest.starts_with(&format!("Some(\"{client}\") Some(Local) {uid:?}")), "{said}");
        assert!(server.stop().await.is_clean());
    }
}

#[tokio::test]
async fn a_limit_of_each_source_is_for_the_client_that_the_header_names() {
    let net = Net::new();
    let change = |limits: &mut swapwire::Limits| limits.max_per_source = Some(2.try_into().unwrap());
    let (server, local) = net.start_with("proxy+tcp://127.0.0.1:0?trust=127.0.0.0/8", WhoAsks, change).await;
    let from = |client: &str| local.clone().with_option("client", client);
    let mut kept = Vec::new();
    for client in ["192.0.2.1:1", "192.0.2.1:2", "192.0.2.2:1", "192.0.2.2:2", "192.0.2.3:1"] {
        let mut session = net.connect(&from(client)).await;
        assert!(ask(&mut session, "?").await.starts_with(client));
        kept.push(session);
    }
    let mut third = net.connect(&from("192.0.2.1:3")).await;
    let _ = third.send("?").await;
    end(&mut third).await;
    until(&server, |stats| stats.refused == 1).await;
    kept.remove(0);
    until(&server, |stats| stats.done == 1).await;
    let mut again = net.connect(&from("192.0.2.1:4")).await;
    assert!(ask(&mut again, "?").await.starts_with("192.0.2.1:4"));
    drop((kept, third, again));
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_trusted_is_refused_or_served_as_it_is() {
    let net = Net::new();
    let header = String::from_utf8(encode(
        &Header::proxied(
            Version::V1,
            Addr::inet("192.0.2.1:1234".parse().unwrap()),
            Addr::inet("192.0.2.2:80".parse().unwrap()),
        ),
        false,
    ))
    .unwrap();
    let (plain, local) = net.start("proxy+tcp://127.0.0.1:0?trust=10.0.0.0/8&untrusted=plain", WhoAsks).await;
    let mut session = net.connect(&below(&local)).await;
    // A message like any other.
    let said = ask(&mut session, header.trim_end()).await;
    assert!(said.starts_with("127.0.0.1:") && said.ends_with(" None None None"), "{said}");
    drop(session);
    assert!(plain.stop().await.is_clean());

    let (log, _heard) = Log::hear();
    let (strict, local) = net.start("proxy+tcp://127.0.0.1:0?trust=10.0.0.0/8", WhoAsks).await;
    let mut session = net.connect(&local.clone().with_option("client", "192.0.2.1:1234")).await;
    end(&mut session).await;
    until(&strict, |stats| stats.handshakes_failed == 1).await;
    let line = log.line();
    let text = "handshake failed: proxy: it is not among the proxies of trust=; untrusted=plain serves others, too";
    assert!(line.starts_with(text) && line.contains(&format!(" endpoint={local} peer=127.0.0.1:")), "{line}");
    strict.stop().await;
}

#[tokio::test]
async fn a_header_that_is_none_is_one_line_and_harms_nobody_else() {
    let net = Net::new();
    let (log, _heard) = Log::hear();
    let (server, local) = net.start("proxy+tcp://127.0.0.1:0?trust=127.0.0.0/8", WhoAsks).await;
    let mut good = net.connect(&local).await;
    let mut count = 0;
    for (bytes, text) in [
        ("GET / HTTP/1.1", "no PROXY header: a trusted source must send one"),
        (
            "PROXY TCP4 1.2.3.4 1.2.3.4 1 x",
            "a PROXY line has two addresses of its family and two ports, behind one space",
        ),
        ("\x16\x03\x01", "no PROXY header: a trusted source must send one"),
    ] {
        let mut session = net.connect(&below(&local)).await;
        tell(&mut session, bytes).await;
        end(&mut session).await;
        count += 1;
        until(&server, |stats| stats.handshakes_failed == count).await;
        assert!(ask(&mut good, "?").await.contains("Local"));
        // At most one a second.
        let lines = log.lines();
        assert!(lines.len() == usize::from(count == 1), "{lines:?}");
        if let [line] = &*lines {
            assert!(line.starts_with(&format!("handshake failed: proxy: {text}")), "{line}");
            assert!(line.contains(&format!(" endpoint={local} peer=127.0.0.1:")), "{line}");
        }
    }
    drop(good);
    server.stop().await;
}

#[tokio::test]
async fn one_that_closes_without_a_word_is_counted_and_not_warned_of() {
    let net = Net::new();
    let (log, _heard) = Log::hear();
    let (server, local) = net.start("proxy+tcp://127.0.0.1:0?trust=127.0.0.0/8", WhoAsks).await;
    let port = crate::common::port(&local).parse::<u16>().unwrap();
    for reset in [false, true] {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        if reset {
            nix::sys::socket::setsockopt(
                &socket,
                nix::sys::socket::sockopt::Linger,
                &libc::linger { l_onoff: 1, l_linger: 0 },
            )
            .unwrap();
        }
        drop(socket.connect(([127, 0, 0, 1], port).into()).await.unwrap());
    }
    until(&server, |stats| stats.handshakes_failed == 2).await;
    // A header alone is a session, which ends.
    for version in ["1", "2"] {
        drop(net.connect(&local.clone().with_option("version", version)).await);
    }
    until(&server, |stats| stats.done == 2).await;
    let report = server.stop().await;
    assert_eq!(log.lines(), [""; 0], "{report}");
}

#[tokio::test]
async fn what_cannot_be_bound_says_why() {
    for (endpoint, reason) in [
        (
            "proxy+tcp://127.0.0.1:0",
            "option \"trust\" is missing; write trust=10.0.0.0/8,::1,unix: the proxies that are believed: networks, and wires \
             without IP addresses by their name",
        ),
        (
            "proxy+udp://127.0.0.1:0?trust=unix",
            "scheme \"proxy+udp\": proxy needs a byte stream, and udp gives a datagram wire",
        ),
    ] {
        let error = default_registry().bind(&endpoint.parse().unwrap()).await.map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with(&format!("bind {endpoint}: ")) && error.contains(reason), "{error}");
    }
}
