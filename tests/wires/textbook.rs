//! The programs and rules of the classic socket tutorial: every row with a plain Python 3 `socket` script at the other
//! end (`tests/textbook/`), and with our own client.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::common::{Net, Places, ask, end, port, program, run, tell, text, until, within};
use swapwire::handlers::UppercaseEcho;
use swapwire::{ConnectError, Endpoint, ErrorClass, Framing, Running, Session, Snapshot};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Runs a script of `tests/textbook/`; without Python it says so and does nothing.
async fn python(script: &str, args: &[&str]) -> Option<String> {
    let python = program("python3")?;
    let path = format!("{}/tests/textbook/{script}", env!("CARGO_MANIFEST_DIR"));
    let args: Vec<&str> = [path.as_str()].into_iter().chain(args.iter().copied()).collect();
    Some(run(python, &args).await)
}

async fn python_is_ok(script: &str, args: &[&str]) {
    if let Some(out) = python(script, args).await {
        assert!(out.ends_with("ok\n"), "{script}: {out}");
    }
}

async fn serve(net: &Net, endpoint: &str) -> (Running, Endpoint) {
    let server = net.server().listen(endpoint).framing(Framing::Chunks).handler(UppercaseEcho);
    let server = server.bind().await.unwrap().start();
    let local = server.local_endpoints()[0].clone();
    (server, local)
}

async fn dial(net: &Net, local: &Endpoint) -> Session {
    net.connect_framed(local, Framing::Chunks).await
}

/// Reads a byte stream until `len` bytes are there.
async fn exactly(session: &mut Session, len: usize) -> String {
    let mut all = String::new();
    while all.len() < len {
        all += &text(session).await;
    }
    all
}

#[tokio::test]
async fn tcp_server_with_a_backlog_of_three() {
    let net = Net::new();
    let (server, local) = serve(&net, "tcp://127.0.0.1:0?backlog=3").await;
    python_is_ok("tcp_client.py", &[&port(&local)]).await;

    let mut session = dial(&net, &local).await;
    for message in ["hello", "Mixed Case", "x"] {
        assert_eq!(ask(&mut session, message).await, message.to_uppercase());
    }
    // An empty send on a stream sends nothing.
    tell(&mut session, "").await;
    assert_eq!(ask(&mut session, "after nothing").await, "AFTER NOTHING");
    session.send("last words").await.unwrap();
    session.shutdown().await.unwrap();
    assert_eq!(exactly(&mut session, 10).await, "LAST WORDS");
    assert!(session.recv().await.unwrap().is_none());
    drop(session);
    assert!(server.stop().await.is_clean());
}

#[tokio::test]
async fn many_tcp_clients_at_once() {
    let net = Net::new();
    let (server, local) = serve(&net, "tcp://127.0.0.1:0?backlog=3").await;
    python_is_ok("tcp_many.py", &[&port(&local)]).await;

    let mut sessions = Vec::new();
    for _ in 0..40 {
        sessions.push(dial(&net, &local).await);
    }
    for (i, session) in sessions.iter_mut().enumerate().rev() {
        assert_eq!(ask(session, format!("client {i}")).await, format!("CLIENT {i}"));
    }
    drop(sessions);
    assert!(server.stop().await.is_clean());
}

#[tokio::test]
async fn rude_tcp_clients_hurt_nobody() {
    let net = Net::new();
    let (server, local) = serve(&net, "tcp://127.0.0.1:0?backlog=3").await;
    python_is_ok("tcp_rude.py", &[&port(&local)]).await;

    let mut polite = dial(&net, &local).await;
    let silent = dial(&net, &local).await;
    for _ in 0..10 {
        drop(dial(&net, &local).await);
        let mut vanishes = dial(&net, &local).await;
        tell(&mut vanishes, "never mind the answer").await;
        drop(vanishes);
        let mut resets = TcpStream::connect(format!("127.0.0.1:{}", port(&local))).await.unwrap();
        resets.set_zero_linger().unwrap();
        resets.write_all(b"half a mess").await.unwrap();
        drop(resets);
        assert_eq!(ask(&mut polite, "still fine").await, "STILL FINE");
    }
    drop((polite, silent));
    let report = within("the drain", server.stop()).await;
    assert_eq!((report.cut, report.stats.panics, report.stats.accept_errors), (0, 0, 0), "{report}");
}

#[tokio::test]
async fn udp_server() {
    let (places, net) = (Places::new(), Net::new());
    let (server, local) = serve(&net, "udp://127.0.0.1:0").await;
    python_is_ok("udp_client.py", &[&port(&local), &places.quiet_host()]).await;

    let mut session = dial(&net, &local).await;
    let largest = "z".repeat(65_507);
    for message in ["hello", "", "Mixed Case", "", &largest] {
        assert_eq!(ask(&mut session, message).await, message.to_uppercase());
    }
    // One byte more does not leave, and says so; the session goes on.
    let sent = async {
        session.send(format!("{largest}z")).await?;
        session.flush().await
    };
    let error = within("a message that is too large", sent).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::PeerNoise, "{error}");
    assert_eq!(ask(&mut session, "next").await, "NEXT");
    let report = server.stop().await;
    assert_eq!((report.stats.truncated, report.stats.failed_replies), (0, 0), "{report}");

    // No server is needed to send; what the network says of it is no reason to stop.
    let (server, local) = serve(&net, &format!("udp://{}:0", places.quiet_host())).await;
    assert!(server.stop().await.is_clean());
    let mut alone = dial(&net, &local).await;
    let error = within("the network's answer", async {
        loop {
            tell(&mut alone, "anybody?").await;
            // A program that another test is just starting may hold a copy of the socket until it really runs.
            if let Ok(result) = timeout(Duration::from_millis(500), alone.recv()).await {
                return result.unwrap_err();
            }
        }
    })
    .await;
    assert_eq!(error.class(), ErrorClass::PeerNoise, "{error}");
    let (server, again) = serve(&net, &local.to_string()).await;
    assert_eq!(again, local);
    assert_eq!(ask(&mut alone, "now?").await, "NOW?");
    drop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_mebibytes_through_a_slow_reader() {
    // The same with our own client is in `tests/wires/cross_transport.rs`.
    let (places, net) = (Places::new(), Net::new());
    for endpoint in ["tcp://127.0.0.1:0", &places.unix()] {
        let (server, local) = serve(&net, endpoint).await;
        python_is_ok("slow_reader.py", &[local.scheme(), &port(&local)]).await;
        assert!(server.stop().await.is_clean());
    }
}

#[tokio::test]
async fn unix_streams_by_path_and_by_abstract_name() {
    let (places, net) = (Places::new(), Net::new());
    let mut endpoints = vec![places.unix()];
    if cfg!(target_os = "linux") {
        endpoints.push(format!("unix:@{}", places.abstract_name()));
    }
    for endpoint in endpoints {
        let (server, local) = serve(&net, &endpoint).await;
        python_is_ok("unix_stream.py", &[endpoint.strip_prefix("unix:").unwrap()]).await;
        let mut session = dial(&net, &local).await;
        assert_eq!(session.local().to_string(), "unnamed");
        assert_eq!(format!("unix:{}", session.peer()), endpoint);
        assert_eq!(ask(&mut session, "hello").await, "HELLO");
        session.shutdown().await.unwrap();
        end(&mut session).await;
        drop(session);
        assert!(server.stop().await.is_clean());
    }
}

#[tokio::test]
async fn unix_datagrams_with_and_without_a_name() {
    let (places, net) = (Places::new(), Net::new());
    let (server, local) = serve(&net, &places.unix_dgram()).await;
    let own = places.path();
    if let Some(out) = python("unix_dgram.py", &[&port(&local), own.to_str().unwrap()]).await {
        assert!(out.ends_with("ok\n"), "{out}");
        let (stats, truncated) = (server.snapshot(), u64::from(out.contains("sent too much")));
        assert_eq!((stats.truncated, unanswered(&stats)), (truncated, 5), "{out}");
    }

    let mut session = dial(&net, &local).await;
    for message in ["hello", "", "Mixed Case"] {
        assert_eq!(ask(&mut session, message).await, message.to_uppercase());
    }
    let before = unanswered(&server.snapshot());
    let unnamed = std::os::unix::net::UnixDatagram::unbound().unwrap();
    unnamed.send_to(b"who am I", port(&local)).unwrap();
    until(&server, |stats| unanswered(stats) == before + 1).await;
    assert_eq!(ask(&mut session, "still here").await, "STILL HERE");
    assert!(server.stop().await.is_clean());
}

#[tokio::test]
async fn connect_ex_and_connect_tell_the_same_number() {
    let (places, net) = (Places::new(), Net::new());
    let host = places.quiet_host();
    for endpoint in [format!("tcp://{host}:0"), places.unix()] {
        let (server, local) = serve(&net, &endpoint).await;
        assert!(server.stop().await.is_clean());
        // A program that another test is just starting may hold a copy of the socket until it really runs.
        let error = within("a refusal", async {
            loop {
                match net.registry.connect(&local).await {
                    Ok(link) => drop(link),
                    Err(error) => return error,
                }
                tokio::task::yield_now().await;
            }
        })
        .await;
        let own = error.raw_os_error().unwrap();
        assert_eq!(matches!(error, ConnectError::Refused { .. }), local.scheme() == "tcp", "{error:?}");
        if let Some(out) = python("connect_ex.py", &[local.scheme(), &port(&local), &host]).await {
            assert_eq!(out, format!("{own}\n{own}\n"), "{error}");
        }
    }
}

/// Datagrams whose sender has no address to answer to. A handler is told, and may give the call up.
fn unanswered(stats: &Snapshot) -> u64 {
    stats.failed_replies
}

/// A server of the textbook; killed when dropped.
struct Theirs(Child);

impl Drop for Theirs {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The server and the line that it printed once it was bound.
fn their_server(args: &[&str]) -> Option<(Theirs, String)> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/textbook/server.py");
    let mut command = Command::new(program("python3")?);
    let mut child = Theirs(command.arg(script).args(args).stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    Some((child, line.trim().to_owned()))
}

#[tokio::test]
async fn our_client_talks_to_the_servers_of_the_textbook() {
    let (places, net) = (Places::new(), Net::new());
    for scheme in ["tcp", "udp", "unix", "unix-dgram"] {
        let path = places.path();
        let Some((_server, line)) = their_server(&[scheme, path.to_str().unwrap()]) else { return };
        let local = match scheme {
            "tcp" | "udp" => format!("{scheme}://127.0.0.1:{line}"),
            _ => format!("{scheme}:{}", path.display()),
        };
        let local = local.parse().unwrap();
        for _ in 0..2 {
            let mut session = dial(&net, &local).await;
            for message in ["hello", "Mixed Case"] {
                assert_eq!(ask(&mut session, message).await, message.to_uppercase(), "{local}");
            }
            if scheme.ends_with("dgram") || scheme == "udp" {
                assert_eq!(ask(&mut session, "").await, "", "{local}");
            } else {
                session.shutdown().await.unwrap();
                end(&mut session).await;
            }
        }
    }
}
