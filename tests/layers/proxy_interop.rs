//! HAProxy, whose specification it is, in front of a server. Where it is missing, the tests say so and pass.
//!
//! Ten thousand connections take longer than a test may: `cargo test --features proxy --test layers proxy_interop -- --ignored`.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd as _;
use std::process::Stdio;
use std::sync::Arc;

use crate::common::{Net, Places, port, program, until, within};
use crate::log::Log;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use swapwire::proxy::{ProxyInfo, Version};
use swapwire::{Credentials, Endpoint, Handler, HandlerError, Reply, Request, Running};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

/// Says who asked, where, and how that is known.
struct WhoAsks;

impl Handler for WhoAsks {
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        let peer = request.peer().ok_or("no peer")?;
        let info = peer.get::<ProxyInfo>().ok_or("no header")?;
        let destination = info.destination.ok_or("no destination")?;
        let version = if info.version == Version::V1 { 1 } else { 2 };
        let uid = peer.get::<Credentials>().map(|credentials| credentials.uid);
        Ok(reply.send(format!("{} {destination} {version} {uid:?}", peer.addr()))?)
    }
}

/// HAProxy with a place for each way to reach a server, of which it needs one. What connects before it is ready waits: the sockets are ours.
struct HaProxy {
    _process: Child,
    fronts: Vec<SocketAddr>,
}

impl HaProxy {
    /// `None` if it is missing here.
    fn start(places: &Places, servers: &[String], checks: &[String]) -> Option<Self> {
        let haproxy = program("haproxy")?;
        let sockets: Vec<_> = servers.iter().map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let mut config = "global\n maxconn 1000\ndefaults\n mode tcp\n timeout connect 60s\n timeout client 60s\n \
                          timeout server 60s\n"
            .to_owned();
        for (index, (socket, server)) in sockets.iter().zip(servers).enumerate() {
            fcntl(socket, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
            let descriptor = socket.as_raw_fd();
            config += &format!("listen front{index}\n bind fd@{descriptor}\n server s {server}\n");
        }
        for (index, check) in checks.iter().enumerate() {
            config += &format!("backend checked{index}\n server s {check}\n");
        }
        let path = places.path();
        std::fs::write(&path, config).unwrap();
        let mut command = Command::new(haproxy);
        command.arg("-db").arg("-f").arg(path).stdin(Stdio::null()).kill_on_drop(true);
        let process = command.spawn().unwrap();
        let fronts = sockets.iter().map(|socket| socket.local_addr().unwrap()).collect();
        Some(Self { _process: process, fronts })
    }
}

const WAYS: [&str; 3] = ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,authority,ssl"];

struct World {
    net: Net,
    places: Places,
    tcp: (Running, Endpoint),
    unix: (Running, Endpoint),
}

impl World {
    async fn new() -> Self {
        let (net, places) = (Net::new(), Places::new());
        let tcp = net.start("proxy+tcp://127.0.0.1:0?trust=127.0.0.0/8", WhoAsks).await;
        let unix = net.start(&format!("proxy+{}?trust=unix", places.unix()), WhoAsks).await;
        Self { net, places, tcp, unix }
    }

    /// Where HAProxy finds the servers.
    fn servers(&self) -> [String; 2] {
        [format!("127.0.0.1:{}", port(&self.tcp.1)), format!("unix@{}", port(&self.unix.1))]
    }

    /// Each server in each way.
    fn ways(&self) -> Vec<String> {
        self.servers().iter().flat_map(|server| WAYS.map(|way| format!("{server} {way}"))).collect()
    }

    async fn stop(self) {
        let Self { net: _net, tcp, unix, places: _places } = self;
        for (server, _) in [tcp, unix] {
            let report = server.stop().await;
            assert_eq!(report.stats.handler_errors, 0, "{report}");
        }
    }
}

/// A client asks who it is, several times.
async fn ask(front: SocketAddr) -> (SocketAddr, Vec<String>) {
    let mut stream = TcpStream::connect(front).await.unwrap();
    let local = stream.local_addr().unwrap();
    let (input, mut output) = stream.split();
    let mut answers = BufReader::new(input).lines();
    let mut all = Vec::new();
    for _ in 0..2 {
        output.write_all(b"?\n").await.unwrap();
        all.push(answers.next_line().await.unwrap().unwrap());
    }
    output.shutdown().await.unwrap();
    assert_eq!(answers.next_line().await.unwrap(), None);
    (local, all)
}

#[tokio::test]
async fn a_handler_sees_the_client_of_haproxy() {
    let world = World::new().await;
    let Some(haproxy) = HaProxy::start(&world.places, &world.ways(), &[]) else { return };
    let (log, _heard) = Log::hear();
    for (index, front) in haproxy.fronts.iter().enumerate() {
        let (client, answers) = within(format!("front {index}"), ask(*front)).await;
        let version = if index % WAYS.len() == 0 { 1 } else { 2 };
        let uid = (index >= WAYS.len()).then(|| nix::unistd::geteuid().as_raw());
        let expected = format!("{client} {front} {version} {uid:?}");
        assert_eq!(answers, [expected.clone(), expected], "front {index}");
    }
    drop(haproxy);
    world.stop().await;
    assert_eq!(log.lines(), [""; 0]);
}

/// Connections with a header and nothing behind it, and bare ones, both of which HAProxy closes at once. A bare one on TCP it
/// resets before it was established: `tests/layers/proxy.rs` has those that are.
#[tokio::test]
async fn health_checks_log_nothing() {
    const CHECKS: u64 = 100;
    let world = World::new().await;
    let (log, _heard) = Log::hear();
    let ways = ["", " send-proxy check-send-proxy", " send-proxy-v2 check-send-proxy"];
    let servers = world.servers();
    let checks = servers.iter().flat_map(|server| ways.map(|way| format!("{server} check inter 10ms{way}")));
    let Some(haproxy) = HaProxy::start(&world.places, &world.ways()[..1], &checks.collect::<Vec<_>>()) else { return };
    until(&world.tcp.0, |stats| stats.sessions >= CHECKS).await;
    until(&world.unix.0, |stats| stats.sessions >= CHECKS && stats.handshakes_failed >= CHECKS).await;
    drop(haproxy);
    world.stop().await;
    assert_eq!(log.lines(), [""; 0]);
}

/// TLS goes through HAProxy as it is, behind the header.
#[cfg(feature = "tls")]
#[tokio::test]
async fn tls_is_passed_through() {
    let (net, places) = (Net::new(), Places::new());
    let (server, local) = net.start("tls+proxy+tcp://127.0.0.1:0?trust=127.0.0.0/8&self_signed=true", WhoAsks).await;
    let pin = local.option("pin").unwrap();
    let ways: Vec<_> = WAYS.iter().map(|way| format!("127.0.0.1:{} {way}", port(&local))).collect();
    let Some(haproxy) = HaProxy::start(&places, &ways, &[]) else { return };
    for (index, front) in haproxy.fronts.iter().enumerate() {
        let dial = format!("tls+tcp://{front}?pin={pin}").parse().unwrap();
        let mut session = net.connect(&dial).await;
        let version = if index == 0 { 1 } else { 2 };
        let said = crate::common::ask(&mut session, "?").await;
        assert!(said.starts_with("127.0.0.1:") && said.ends_with(&format!(" {front} {version} None")), "{said}");
    }
    drop(haproxy);
    server.stop().await;
}

async fn many(connections: usize) {
    const AT_ONCE: usize = 50;
    let world = World::new().await;
    let Some(haproxy) = HaProxy::start(&world.places, &world.ways(), &[]) else { return };
    let (haproxy, (log, _heard)) = (Arc::new(haproxy), Log::hear());
    let mut clients = JoinSet::new();
    for first in 0..AT_ONCE {
        let haproxy = Arc::clone(&haproxy);
        clients.spawn(async move {
            let mut right = 0;
            for number in (first..connections).step_by(AT_ONCE) {
                let front = haproxy.fronts[number % haproxy.fronts.len()];
                let (client, answers) = within(format!("connection {number}"), ask(front)).await;
                right += usize::from(answers.iter().all(|answer| answer.starts_with(&format!("{client} {front} "))));
            }
            right
        });
    }
    let right: usize = clients.join_all().await.into_iter().sum();
    assert_eq!(right, connections);
    until(&world.tcp.0, |stats| stats.done == connections as u64 / 2).await;
    until(&world.unix.0, |stats| stats.done == connections as u64 / 2).await;
    drop(haproxy);
    world.stop().await;
    assert_eq!(log.lines(), [""; 0]);
}

#[tokio::test]
async fn six_hundred_connections_have_no_error() {
    many(600).await;
}

#[tokio::test]
#[ignore = "takes long"]
async fn ten_thousand_connections_have_no_error() {
    many(10_002).await;
}
