//! A real broker of NATS, who asks through it, and who answers by hand: for tests of several crates.
//!
//! A test whose broker is not installed says so and passes.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "helpers of tests, of which each file uses a part"
)]

pub mod asker;
pub mod holding;
pub mod log;
pub mod responder;

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use self::log::Log;

/// A `nats-server` on a port of 127.0.0.1, which is killed, and whose folder is removed, when this is dropped.
pub struct Broker {
    /// None while it is stopped.
    child: Option<Child>,
    pub port: u16,
    pub log: Log,
    dir: TempDir,
}

impl Broker {
    /// Starts one on a port of its choice, which has a cluster or not as `config` says, and waits until it listens; `None`, and a
    /// line, if it is not installed.
    ///
    /// `config` is text of its configuration file, without addresses and ports.
    pub fn start(config: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("broker.conf"), config).unwrap();
        // A port that was free a moment ago, since one that the system chooses is another one after `restart`.
        let port = free_port();
        let mut broker = Self { child: None, port, log: Log::default(), dir };
        match broker.spawn() {
            Ok(()) => Some(broker),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                eprintln!("skipped: nats-server is not installed");
                None
            }
            Err(error) => panic!("nats-server: {error}"),
        }
    }

    /// Two of one cluster; what is published at the one reaches subscribers of the other.
    pub fn pair(config: &str) -> Option<[Self; 2]> {
        let routes = [free_port(), free_port()];
        let with_route = |own: u16| {
            let mut text = String::from(config);
            write!(text, "\ncluster {{ name: pair, listen: \"127.0.0.1:{own}\", no_advertise: true, routes: [")
                .unwrap();
            for route in routes {
                write!(text, "\"nats://127.0.0.1:{route}\", ").unwrap();
            }
            text + "] }\n"
        };
        let pair = [Self::start(&with_route(routes[0]))?, Self::start(&with_route(routes[1]))?];
        for broker in &pair {
            broker.log.wait_for("Route connection created");
        }
        Some(pair)
    }

    fn spawn(&mut self) -> std::io::Result<()> {
        let mut command = Command::new("nats-server");
        command.args(["-a", "127.0.0.1", "-p", &self.port.to_string(), "-c"]).arg(self.dir.path().join("broker.conf"));
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        self.log = Log::of(child.stderr.take().unwrap());
        self.child = Some(child);
        self.log.wait_for("Server is ready");
        Ok(())
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `nats://HOST:PORT/SUBJECT`, to which a query may be added.
    pub fn endpoint(&self, subject: &str) -> String {
        format!("nats://{}/{subject}", self.address())
    }

    /// Takes new connections no longer and says so on the others: `{"ldm":true}`.
    pub fn lame_duck(&self) {
        let pid = self.child.as_ref().expect("it runs").id();
        let done = Command::new("nats-server").arg("--signal").arg(format!("ldm={pid}")).output().unwrap();
        assert!(done.status.success(), "{done:?}");
    }

    /// Kills it: all connections break.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again, on the same port.
    pub fn restart(&mut self) {
        self.stop();
        self.spawn().unwrap();
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
