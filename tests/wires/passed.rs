//! Servers on sockets that another program opened.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::future::IntoFuture as _;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use crate::common::{Net, ask, within};
use nix::sys::socket::{getsockopt, sockopt::UdpGroSegment};
use socket2::{Domain, SockAddr, Socket, Type};
use swapwire::handlers::{Echo, UppercaseEcho};
use swapwire::{Endpoint, Listen, PassedSocket, Place, Registry, Running, ServerBuilder, SocketSource};
use swapwire_testkit::Suite;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Sockets by name, of a program that has opened them; a group for each address.
#[derive(Clone, Default)]
struct Opened(Arc<Mutex<BTreeMap<String, Vec<Vec<PassedSocket>>>>>);

impl Opened {
    fn add(&self, name: &str, sockets: impl IntoIterator<Item = Socket>) {
        let group =
            sockets.into_iter().map(|socket| PassedSocket::new(format!("socket {name}"), socket.into())).collect();
        self.0.lock().unwrap().entry(name.to_owned()).or_default().push(group);
    }

    /// Endpoints with a socket of their own each.
    fn fresh(
        &self,
        open: impl Fn(u32) -> Socket + Send + Sync + 'static,
    ) -> impl Fn() -> Endpoint + Send + Sync + 'static {
        let (opened, count) = (self.clone(), AtomicU32::new(0));
        move || {
            let number = count.fetch_add(1, Relaxed);
            opened.add(&number.to_string(), [open(number)]);
            Endpoint::new("opened", Place::Name(number.to_string())).unwrap()
        }
    }

    fn registry(&self) -> Registry {
        Net::new().registry.with_socket_source(self.clone())
    }

    fn server(&self) -> ServerBuilder {
        swapwire::Server::builder().registry(self.registry())
    }
}

impl SocketSource for Opened {
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        vec!["opened".into()]
    }

    fn sockets(&self, _: &str, place: &Place) -> Result<Vec<Vec<PassedSocket>>, String> {
        let Place::Name(name) = place else { return Err("write opened:NAME".to_owned()) };
        self.0.lock().unwrap().get(name).cloned().ok_or_else(|| format!("nobody opened {name}"))
    }
}

fn inet(kind: Type) -> Socket {
    let socket = Socket::new(Domain::IPV4, kind, None).unwrap();
    bound(socket, &"127.0.0.1:0".parse::<SocketAddr>().unwrap().into(), kind)
}

fn unix(kind: Type, path: &Path) -> Socket {
    bound(Socket::new(Domain::UNIX, kind, None).unwrap(), &SockAddr::unix(path).unwrap(), kind)
}

fn bound(socket: Socket, addr: &SockAddr, kind: Type) -> Socket {
    socket.bind(addr).unwrap();
    if kind != Type::DGRAM {
        socket.listen(1024).unwrap();
    }
    socket
}

async fn keeps_the_laws(open: impl Fn(u32) -> Socket + Send + Sync + 'static) {
    let opened = Opened::default();
    Suite::new(opened.registry(), opened.fresh(open)).passed_sockets().run().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passed_tcp_keeps_the_laws() {
    keeps_the_laws(|_| inet(Type::STREAM)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passed_udp_keeps_the_laws() {
    keeps_the_laws(|_| inet(Type::DGRAM)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passed_unix_sockets_keep_the_laws() {
    for kind in [Type::STREAM, Type::DGRAM, Type::SEQPACKET] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_owned();
        keeps_the_laws(move |number| unix(kind, &path.join(number.to_string()))).await;
    }
}

#[tokio::test]
async fn a_passed_socket_is_served_at_its_own_address_and_is_left_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let opened = Opened::default();
    opened.add("web", [unix(Type::STREAM, &path)]);
    for _ in 0..2 {
        let server = opened.server().listen("opened:web").handler(UppercaseEcho).bind().await.unwrap().start();
        let local = server.local_endpoints()[0].clone();
        assert_eq!(local.to_string(), format!("unix:{}", path.display()));
        let mut session = Net::new().connect(&local).await;
        assert_eq!(ask(&mut session, "hello").await, "HELLO");
        let error = opened.registry().bind(&"opened:web".parse().unwrap()).await.unwrap_err();
        assert_eq!(error.to_string(), "bind opened:web: socket web is served already, and is served once");
        assert!(error.is_addr_in_use());
        drop(session);
        assert!(server.stop().await.is_clean());
        assert!(path.exists(), "the file is another program's");
    }
    // It was not shut down: who comes now waits for the next that serves it.
    let _waits = std::os::unix::net::UnixStream::connect(&path).unwrap();
}

/// Who waits when a server stops is answered by the next one.
#[tokio::test]
async fn a_passed_datagram_socket_refuses_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let (opened, socket) = (Opened::default(), unix(Type::DGRAM, &path));
    let others = socket.try_clone().unwrap();
    opened.add("log", [socket]);
    let server = opened.server().listen("opened:log").handler(Echo).bind().await.unwrap().start();
    assert!(within("a drain", server.stop()).await.is_clean());
    let client = std::os::unix::net::UnixDatagram::unbound().unwrap();
    client.send_to(b"for the others", &path).unwrap();
    let mut received = [0; 14];
    std::io::Read::read_exact(&mut &others, &mut received).unwrap();
    assert_eq!(&received, b"for the others");
}

#[tokio::test]
async fn who_waits_in_the_queue_is_left_there() {
    let opened = Opened::default();
    let socket = inet(Type::STREAM);
    let addr = socket.local_addr().unwrap().as_socket().unwrap();
    opened.add("web", [socket]);
    let start = || async { opened.server().listen("opened:web").handler(Echo).bind().await.unwrap() };
    let handle = {
        let server = start().await;
        let handle = server.handle();
        handle.stop();
        // It drains as soon as it runs, beside one that waits.
        let waits = std::net::TcpStream::connect(addr).unwrap();
        let report = within("a drain", server.into_future()).await;
        assert_eq!((report.stats.sessions, report.is_clean()), (0, true), "{report}");
        waits
    };
    handle.set_nonblocking(true).unwrap();
    let server = start().await.start();
    let mut waited = TcpStream::from_std(handle).unwrap();
    let mut answer = [0; 5];
    waited.write_all(b"hello").await.unwrap();
    within("the answer", waited.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"hello");
    drop(waited);
    assert_eq!(server.stop().await.stats.sessions, 1);
}

/// One that does not know of trains may serve it next.
#[tokio::test]
async fn a_datagram_socket_receives_trains_only_if_asked_to_or_if_it_did() {
    let socket = inet(Type::DGRAM);
    let has = |socket: &Socket| getsockopt(socket, UdpGroSegment).unwrap();
    let held = socket.try_clone().unwrap();
    let opened = Opened::default();
    opened.add("dns", [socket]);
    for (asked, has_then) in [("", false), ("?gro=true", true), ("", true), ("?gro=false", false), ("", false)] {
        let endpoint = format!("opened:dns{asked}");
        let server = opened.server().listen(&endpoint).handler(UppercaseEcho).bind().await.unwrap().start();
        assert_eq!(has(&held), has_then, "{endpoint}");
        let mut session = Net::new().connect(&server.local_endpoints()[0]).await;
        assert_eq!(ask(&mut session, "a").await, "A", "{endpoint}");
        drop(session);
        server.stop().await;
    }
}

async fn workers(opened: &Opened, endpoint: &str, count: usize) -> Running {
    opened.server().workers(count).listen(endpoint).handler(Echo).bind().await.unwrap().start()
}

/// Asks so many clients that stay, and gives how many sessions or messages each worker had.
async fn spread(server: Running, clients: usize) -> Vec<u64> {
    let (net, local) = (Net::new(), server.local_endpoints()[0].clone());
    let mut sessions = Vec::new();
    for _ in 0..clients {
        let mut session = net.connect(&local).await;
        assert_eq!(ask(&mut session, "a").await, "a", "{local}");
        sessions.push(session);
    }
    let spread = server.worker_snapshots().iter().map(|stats| stats.messages).collect();
    drop(sessions);
    assert!(server.stop().await.is_clean());
    spread
}

#[tokio::test]
async fn one_socket_is_shared_by_all_workers_and_several_are_served_by_one_each() {
    let dir = tempfile::tempdir().unwrap();
    let opened = Opened::default();
    opened.add("tcp", [inet(Type::STREAM)]);
    opened.add("unix", [unix(Type::STREAM, &dir.path().join("stream"))]);
    opened.add("seq", [unix(Type::SEQPACKET, &dir.path().join("seq"))]);
    for name in ["opened:tcp", "opened:unix", "opened:seq"] {
        let served = spread(workers(&opened, name, 3).await, 60).await;
        assert!(served.len() == 3 && served.iter().all(|served| *served >= 10), "{name}: {served:?}");
    }
    // Of datagrams, one worker receives.
    opened.add("udp", [inet(Type::DGRAM)]);
    assert_eq!(spread(workers(&opened, "opened:udp", 3).await, 10).await, [10]);

    let first = reusable(None);
    let addr = first.local_addr().unwrap();
    opened.add("many", [first, reusable(Some(&addr)), reusable(Some(&addr))]);
    for workers_count in [2, 3, 4] {
        let server = workers(&opened, "opened:many", workers_count).await;
        // The system spreads by a hash of addresses.
        let served = spread(server, 200).await;
        assert!(served.len() == workers_count.min(3) && served.iter().all(|served| *served > 0), "{served:?}");
    }
}

/// One of a group that the system spreads connections over.
fn reusable(addr: Option<&SockAddr>) -> Socket {
    let any = "127.0.0.1:0".parse::<SocketAddr>().unwrap().into();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_port(true).unwrap();
    bound(socket, addr.unwrap_or(&any), Type::STREAM)
}

#[tokio::test]
async fn sockets_of_one_name_are_endpoints_by_their_addresses_and_of_one_kind() {
    let opened = Opened::default();
    opened.add("web", [inet(Type::STREAM)]);
    opened.add("web", [inet(Type::STREAM)]);
    let server = opened.server().listen("opened:web").handler(UppercaseEcho).bind().await.unwrap().start();
    assert_eq!(server.local_endpoints().len(), 2);
    for local in server.local_endpoints() {
        let mut session = Net::new().connect(&local).await;
        assert_eq!(ask(&mut session, "hello").await, "HELLO", "{local}");
    }
    server.stop().await;
    opened.add("web", [inet(Type::DGRAM)]);
    let text = opened.registry().bind(&"opened:web".parse().unwrap()).await.unwrap_err().to_string();
    let expected = "bind opened:web: socket web is for udp, another one for tcp: give each kind a name of its own";
    assert_eq!(text, expected);
}

#[tokio::test]
async fn what_cannot_be_served_is_told_in_one_line() {
    let opened = Opened::default();
    opened.add("web", [inet(Type::STREAM)]);
    opened.add("dns", [inet(Type::DGRAM)]);
    opened.add("raw", [Socket::new(Domain::from(libc::AF_NETLINK), Type::RAW, None).unwrap()]);
    let registry = opened.registry();
    for (endpoint, reason) in [
        ("opened:wbe", "nobody opened wbe"),
        (
            "opened:raw",
            "socket raw is of a kind that none of these serves: mem, mem-dgram, mem-seq, tcp, udp, unix, unix-dgram, unix-seq",
        ),
        (
            "opened:web?backlog=9",
            "option backlog=9: the program that opened the socket has set this; leave the option out",
        ),
        (
            "opened:dns?reuse_port=true",
            "option reuse_port=true: the program that opened the socket has set this; leave the option out",
        ),
        (
            "opened:web?mode=600",
            "unknown option \"mode\"; known: backlog, reuse_port, v6_only, nodelay, keepalive, recv_buffer, send_buffer, ttl, user_timeout",
        ),
    ] {
        let text = registry.bind(&endpoint.parse().unwrap()).await.unwrap_err().to_string();
        // It is there with its feature.
        assert_eq!(text.replace(", nats", ""), format!("bind {endpoint}: {reason}"));
    }
    let text = registry.connect(&"opened:web".parse().unwrap()).await.unwrap_err().to_string();
    let reason = "it names a socket to serve; a client dials the address that the socket is bound to";
    assert_eq!(text, format!("connect opened:web: {reason}"));
    // What failed took nothing.
    registry.bind(&"opened:web?nodelay=false&ttl=9".parse().unwrap()).await.unwrap();
    registry.bind(&"opened:dns?ttl=9&recv_buffer=64k".parse().unwrap()).await.unwrap();
}

#[cfg(feature = "proxy")]
#[tokio::test]
async fn layers_stand_on_passed_streams_and_not_on_datagrams() {
    use swapwire::WithLayer as _;

    let opened = Opened::default();
    let socket = inet(Type::STREAM);
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    opened.add("web", [socket]);
    opened.add("dns", [inet(Type::DGRAM)]);
    let registry = opened.registry().with_layer(swapwire::proxy::Proxy::new());
    let [plain, stacked] = ["opened:web?ttl=9", "proxy+opened:web?trust=unix&ttl=9"].map(|text| text.parse().unwrap());
    let base = |endpoint: &Endpoint| registry.transport(endpoint).unwrap().base(endpoint);
    assert_eq!([base(&plain), base(&stacked)], [plain.clone(), plain]);
    let server = swapwire::Server::builder().registry(registry.clone()).workers(2).handler(UppercaseEcho);
    let server = server.listen("proxy+opened:web?trust=127.0.0.0/8&nodelay=false").bind().await.unwrap().start();
    let local = server.local_endpoints()[0].clone();
    assert_eq!(local.to_string(), format!("proxy+tcp://127.0.0.1:{port}"));
    let mut session = swapwire::connect_with(&registry, &local, Default::default()).await.unwrap();
    assert_eq!(ask(&mut session, "hello").await, "HELLO");
    drop(session);
    assert!(server.stop().await.is_clean());
    let error = registry.bind(&"proxy+opened:dns".parse().unwrap()).await.unwrap_err().to_string();
    let reason = "proxy needs a byte stream, and udp gives a datagram wire";
    assert_eq!(error, format!("bind proxy+opened:dns: scheme \"proxy+opened\": {reason}"));
}

#[test]
fn a_passed_socket_is_closed_with_its_last_clone() {
    let socket = inet(Type::STREAM);
    let addr = socket.local_addr().unwrap().as_socket().unwrap();
    let opened = Opened::default();
    opened.add("web", [socket]);
    assert!(TcpListener::bind(addr).is_err());
    drop(opened);
    drop(TcpListener::bind(addr).unwrap());
}

#[tokio::test]
async fn a_change_of_listeners_keeps_a_passed_socket_and_gives_it_back() {
    let opened = Opened::default();
    opened.add("web", [inet(Type::STREAM)]);
    opened.add("dns", [inet(Type::DGRAM)]);
    let server = opened.server().workers(2).listen("opened:web").handler(UppercaseEcho).bind().await.unwrap().start();
    let (net, handle) = (Net::new(), server.handle());
    let local = server.local_endpoints()[0].clone();
    let mut before = net.connect(&local).await;
    assert_eq!(ask(&mut before, "a").await, "A");

    // Another handler at the same socket; sessions that have begun go on with theirs.
    let changed = handle.apply(vec![Listen::on("opened:web").handler(Echo)]).await.unwrap();
    assert_eq!((changed.changed, changed.added, changed.removed), (1, 0, 0));
    let mut after = net.connect(&local).await;
    assert_eq!((ask(&mut after, "a").await, ask(&mut before, "b").await), ("a".to_owned(), "B".to_owned()));

    // It is removed, and served again when its listener has ended.
    let changed = handle.apply(vec![Listen::on("opened:dns").handler(Echo)]).await.unwrap();
    assert_eq!((changed.added, changed.removed), (1, 1));
    drop((before, after));
    let both = || ["opened:dns", "opened:web"].map(|endpoint| Listen::on(endpoint).handler(UppercaseEcho)).to_vec();
    within("the socket is given back", async {
        while let Err(error) = handle.apply(both()).await {
            let reason = "bind opened:web: socket web is served already, and is served once";
            assert_eq!(error.problems()[0].to_string(), reason);
        }
    })
    .await;
    assert_eq!(ask(&mut net.connect(&local).await, "a").await, "A");
    assert!(server.stop().await.is_clean());
}
