//! Servers on real endpoints, their clients, and other programs at the other end.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    clippy::unwrap_used,
    reason = "helpers of tests, of which each file uses a part"
)]

use std::future::Future;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use swapwire::{
    Endpoint, Framing, IntoService, Limits, Registry, Running, Server, ServerBuilder, Session, SessionConfig, Snapshot,
    connect_with, default_registry,
};
use tokio::process::Command;

/// Nothing takes so long: a guard against hanging, never a way to wait for something.
pub const GUARD: Duration = Duration::from_secs(120);

/// `future`, which must be done before the guard strikes.
pub async fn within<T>(what: impl std::fmt::Display, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(GUARD, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not done within {GUARD:?}"),
    }
}

/// Endpoints that nobody else uses, each call another one; paths are in a directory that is removed at the end.
pub struct Places {
    dir: tempfile::TempDir,
    ipv6: bool,
}

impl Places {
    pub fn new() -> Self {
        let ipv6 = std::net::TcpListener::bind("[::1]:0").is_ok();
        if !ipv6 {
            eprintln!("skipped: endpoints on [::1], this machine has no IPv6");
        }
        Self { dir: tempfile::tempdir().unwrap(), ipv6 }
    }

    /// A path without a file.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join(format!("s{}", number()))
    }

    pub fn unix(&self) -> String {
        format!("unix:{}", self.path().display())
    }

    pub fn unix_dgram(&self) -> String {
        format!("unix-dgram:{}", self.path().display())
    }

    pub fn abstract_name(&self) -> String {
        format!("swapwire-test-{}-{}", std::process::id(), number())
    }

    /// A loopback address that nobody else uses, where the system has more than one: a port that was freed there stays
    /// free.
    pub fn quiet_host(&self) -> String {
        let (process, number) = (std::process::id(), number());
        if cfg!(target_os = "linux") {
            format!("127.{}.{}.{}", 1 + process % 250, process / 250 % 250, 1 + number % 250)
        } else {
            "127.0.0.1".to_owned()
        }
    }

    fn inet(&self, scheme: &str) -> Vec<String> {
        let hosts = if self.ipv6 { &["127.0.0.1", "[::1]"][..] } else { &["127.0.0.1"][..] };
        hosts.iter().map(|host| format!("{scheme}://{host}:0")).collect()
    }

    /// Byte streams.
    pub fn streams(&self) -> Vec<String> {
        let mut all = vec![format!("mem:s{}", number()), self.unix()];
        all.extend(self.inet("tcp"));
        if cfg!(target_os = "linux") {
            all.push(format!("unix:@{}", self.abstract_name()));
        }
        all
    }

    /// Wires with connections.
    pub fn connected(&self) -> Vec<String> {
        let mut all = self.streams();
        all.push(format!("mem-seq:s{}", number()));
        if cfg!(target_os = "linux") {
            all.push(format!("unix-seq:{}", self.path().display()));
        }
        all
    }

    /// Datagram sockets.
    pub fn datagrams(&self) -> Vec<String> {
        let mut all = vec![format!("mem-dgram:s{}", number()), self.unix_dgram()];
        all.extend(self.inet("udp"));
        all
    }

    /// Everything there is.
    pub fn all(&self) -> Vec<String> {
        let mut all = self.connected();
        all.extend(self.datagrams());
        all
    }
}

fn number() -> u32 {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    NUMBER.fetch_add(1, Relaxed)
}

/// Default transports with one memory network between servers and clients.
pub struct Net {
    pub registry: Registry,
}

impl Net {
    pub fn new() -> Self {
        Self { registry: default_registry() }
    }

    /// Lines on byte streams.
    pub fn server(&self) -> ServerBuilder {
        Server::builder().registry(self.registry.clone()).framing(Framing::Lines)
    }

    pub async fn start<K>(&self, endpoint: &str, handler: impl IntoService<K>) -> (Running, Endpoint) {
        self.start_with(endpoint, handler, |_| ()).await
    }

    pub async fn start_with<K>(
        &self,
        endpoint: &str,
        handler: impl IntoService<K>,
        change: impl FnOnce(&mut Limits),
    ) -> (Running, Endpoint) {
        let mut limits = Limits::default();
        change(&mut limits);
        let server = self.server().listen(endpoint).handler(handler).limits(limits).bind().await.unwrap().start();
        let local = server.local_endpoints()[0].clone();
        (server, local)
    }

    pub async fn connect(&self, endpoint: &Endpoint) -> Session {
        self.connect_framed(endpoint, Framing::Lines).await
    }

    pub async fn connect_framed(&self, endpoint: &Endpoint, framing: Framing) -> Session {
        connect_with(&self.registry, endpoint, SessionConfig::framed(framing)).await.unwrap()
    }
}

/// Whether an endpoint's wires are datagrams.
pub fn is_datagram(endpoint: &Endpoint) -> bool {
    endpoint.scheme() == "udp" || endpoint.scheme().ends_with("-dgram")
}

/// Sends and receives one message.
pub async fn ask(session: &mut Session, message: impl AsRef<[u8]>) -> String {
    tell(session, message).await;
    text(session).await
}

/// Sends without waiting for an answer.
pub async fn tell(session: &mut Session, message: impl AsRef<[u8]>) {
    within("send", async {
        session.send(message).await.unwrap();
        session.flush().await.unwrap();
    })
    .await;
}

/// Receives one message.
pub async fn text(session: &mut Session) -> String {
    let what = format!("receive on {session:?}");
    match within(&what, session.recv()).await {
        Ok(Some(message)) => String::from_utf8(message.to_vec()).unwrap(),
        other => panic!("{what}: {other:?} instead of a message"),
    }
}

/// Receives the end, in whichever form.
pub async fn end(session: &mut Session) {
    let last = within(format!("the end of {session:?}"), session.recv()).await;
    assert!(!matches!(last, Ok(Some(_))), "{last:?} instead of the end");
}

/// Waits until the counters say so.
pub async fn until(server: &Running, what: impl Fn(&Snapshot) -> bool) {
    within("the counters", async {
        while !what(&server.snapshot()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// What a port or a path of an endpoint is called outside.
pub fn port(endpoint: &Endpoint) -> String {
    match endpoint.place() {
        swapwire::core::Place::Host { port, .. } => port.to_string(),
        swapwire::core::Place::Path(path) => path.to_str().unwrap().to_owned(),
        swapwire::core::Place::Abstract(name) => String::from_utf8(name.clone()).unwrap(),
        other => panic!("{other:?} has no name outside"),
    }
}

/// A program that may be missing here; then the test says so aloud and passes.
pub fn program(name: &str) -> Option<PathBuf> {
    let dirs = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&dirs).map(|dir| dir.join(name)).find(|path| path.is_file());
    if found.is_none() {
        eprintln!("skipped: no {name}");
    }
    found
}

/// Runs a program to its end; it must exit with 0. Gives what it printed.
pub async fn run(program: PathBuf, args: &[&str]) -> String {
    let what = format!("{} {:.200}", program.display(), args.join(" "));
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let Output { status, stdout, stderr } = within(&what, command.output()).await.unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{what}: {status}\n{stdout}{stderr}");
    stdout.into_owned()
}
