//! Every example runs as a program of its own and does what it says.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};

use common::{Net, Places, ask, run, tell, text, within};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use swapwire::{Endpoint, Framing};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// `cargo test` builds the examples beside the tests; when one target was named, or all, it does not.
fn example(name: &str) -> PathBuf {
    static BUILD: Mutex<()> = Mutex::new(());
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().unwrap().parent().unwrap();
    let path = profile.join("examples").join(name);
    let _one_at_a_time = BUILD.lock().unwrap_or_else(PoisonError::into_inner);
    if !path.is_file() {
        let profile_name = match profile.file_name().unwrap().to_str().unwrap() {
            "debug" => "dev",
            other => other,
        };
        let mut cargo = std::process::Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--offline", "-p", "swapwire", "--examples", "--profile", profile_name]);
        cargo.arg("--target-dir").arg(profile.parent().unwrap()).current_dir(env!("CARGO_MANIFEST_DIR"));
        assert!(cargo.status().unwrap().success(), "{} is missing and could not be built", path.display());
    }
    path
}

/// An example that serves until it is told to stop.
struct Program {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Program {
    fn start(name: &str, endpoints: &[&str]) -> Self {
        let mut command = Command::new(example(name));
        command.args(endpoints).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    async fn listening(&mut self) -> Endpoint {
        let line = within("a line", self.lines.next_line()).await.unwrap().unwrap();
        line.strip_prefix("listening ").unwrap().parse().unwrap()
    }

    /// Presses ctrl-c and gives the report.
    async fn stop(mut self) -> String {
        kill(Pid::from_raw(self.child.id().unwrap().cast_signed()), Signal::SIGINT).unwrap();
        let mut report = String::new();
        within("the report", self.child.stderr.take().unwrap().read_to_string(&mut report)).await.unwrap();
        let status = within("the end", self.child.wait()).await.unwrap();
        assert!(status.success(), "{status}: {report}");
        assert!(report.starts_with("drained in ") && report.lines().count() == 1, "{report}");
        report
    }
}

#[tokio::test]
async fn ten_line_server() {
    let (places, net) = (Places::new(), Net::new());
    let unix = places.unix();
    let mut program = Program::start("ten_line_server", &["tcp://127.0.0.1:0", "udp://127.0.0.1:0", &unix]);
    for scheme in ["tcp", "udp", "unix"] {
        let endpoint = program.listening().await;
        assert_eq!(endpoint.scheme(), scheme);
        let mut session = net.connect_framed(&endpoint, Framing::Chunks).await;
        assert_eq!(ask(&mut session, "hello").await, "HELLO");
    }
    assert!(program.stop().await.contains("3 messages, 0 cut"));
    assert!(!std::path::Path::new(unix.strip_prefix("unix:").unwrap()).exists());
}

#[tokio::test]
async fn swap_transport() {
    let mut endpoints = vec!["mem:demo".to_owned()];
    let places = Places::new();
    endpoints.extend(places.all());
    for endpoint in &endpoints {
        let out = run(example("swap_transport"), &[endpoint]).await;
        let lines: Vec<_> = out.lines().collect();
        assert!(lines[0].starts_with("listening "), "{endpoint}: {out}");
        assert_eq!(
            lines[1..4],
            ["hello -> HELLO", "swap the wire -> SWAP THE WIRE", "keep the handler -> KEEP THE HANDLER"],
            "{endpoint}"
        );
        assert!(lines[4].contains("3 messages, 0 cut"), "{endpoint}: {out}");
    }
    assert!(run(example("swap_transport"), &[]).await.starts_with("listening mem:demo\n"));
}

#[tokio::test]
async fn counters() {
    let net = Net::new();
    let mut program = Program::start("counters", &["tcp://127.0.0.1:0"]);
    let mut session = net.connect(&program.listening().await).await;
    assert_eq!(ask(&mut session, "hello").await, "HELLO");
    let mut line = async || within("a line", program.lines.next_line()).await.unwrap().unwrap();
    assert_eq!(line().await, "seconds,open,sessions,messages,failed,tasks");
    while !line().await.split_once(',').unwrap().1.starts_with("1,1,1,0,") {}
    drop(session);
    while !line().await.split_once(',').unwrap().1.starts_with("0,1,1,0,") {}
    program.stop().await;
}

#[tokio::test]
async fn custom_handler() {
    let net = Net::new();
    let endpoints = ["tcp://127.0.0.1:0", "udp://127.0.0.1:0", "tcp://127.0.0.1:0"];
    let mut program = Program::start("custom_handler", &endpoints);
    for _ in 0..2 {
        let mut session = net.connect(&program.listening().await).await;
        assert_eq!(ask(&mut session, "keep the handler").await, "handler the keep");
        assert_eq!(ask(&mut session, "swap").await, "swap");
    }
    let tally = program.listening().await;
    for _ in 0..2 {
        let mut session = net.connect(&tally).await;
        assert_eq!(ask(&mut session, "hello").await, "1 messages, 5 bytes");
        assert_eq!(ask(&mut session, "you").await, "2 messages, 8 bytes");
    }
    program.stop().await;
}

#[tokio::test]
async fn custom_transport() {
    let places = Places::new();
    let endpoint = format!("fifo:{}", places.path().display());
    let out = run(example("custom_transport"), &[&endpoint]).await;
    assert!(out.starts_with(&format!("listening {endpoint}\n")), "{out}");
    assert!(out.contains("hello -> HELLO\nover two pipes -> OVER TWO PIPES\n"), "{out}");
    assert!(out.contains("2 messages, 0 cut"), "{out}");
    assert!(run(example("custom_transport"), &[]).await.contains("hello -> HELLO\n"));
}

#[tokio::test]
async fn chat() {
    let net = Net::new();
    let mut program = Program::start("chat", &["tcp://127.0.0.1:0", "udp://127.0.0.1:0"]);
    let (tcp, udp) = (program.listening().await, program.listening().await);
    let mut guests = [net.connect(&tcp).await, net.connect(&tcp).await, net.connect(&udp).await];
    // Everybody calls out until everybody has heard everybody: who is in the room later does not hear what was said
    // before.
    let names: Vec<_> = guests.iter().map(|guest| guest.local().to_string()).collect();
    let [a, b, c] = &mut guests;
    let (from_a, from_b, from_c) =
        (format!("{}: hello", names[0]), format!("{}: hello", names[1]), format!("{}: hello", names[2]));
    within("all in the room", async {
        loop {
            tell(a, "hello").await;
            tell(b, "hello").await;
            tell(c, "hello").await;
            let hears = tokio::time::timeout(std::time::Duration::from_millis(100), async {
                while text(a).await != from_c {}
                while text(b).await != from_c {}
                while text(c).await != from_a {}
                while text(c).await != from_b {}
            });
            if hears.await.is_ok() {
                break;
            }
        }
    })
    .await;
    tell(a, "the end").await;
    let last = format!("{}: the end", names[0]);
    while text(b).await != last {}
    while text(c).await != last {}
    drop(guests);
    program.stop().await;
}

#[tokio::test]
async fn session_echo() {
    let net = Net::new();
    let mut program = Program::start("session_echo", &["udp://127.0.0.1:0", "tcp://127.0.0.1:0"]);
    let (udp, tcp) = (program.listening().await, program.listening().await);
    let mut ann = net.connect(&udp).await;
    let mut bob = net.connect(&tcp).await;
    for message in ["one", "two"] {
        assert_eq!(ask(&mut ann, message).await, message.to_uppercase());
    }
    assert_eq!(ask(&mut bob, "hello").await, "HELLO");
    let said = format!("{}: 1 messages", bob.local());
    drop(bob);
    let line = within("a line", program.lines.next_line()).await.unwrap().unwrap();
    assert_eq!(line, said);
    assert!(program.stop().await.contains("3 messages, 0 cut"));
}

#[tokio::test]
async fn push() {
    let places = Places::new();
    for endpoint in ["mem:push", "tcp://127.0.0.1:0", "udp://127.0.0.1:0", &places.unix_dgram()] {
        let out = run(example("push"), &[endpoint]).await;
        let counts: Vec<u64> =
            out.lines().filter_map(|line| line.strip_prefix("count ")).map(|count| count.parse().unwrap()).collect();
        assert_eq!(counts[0], 0, "{out}");
        assert!(counts.is_sorted() && counts.last().unwrap() > &1000, "{out}");
        assert!(out.contains("0 cut"), "{out}");
    }
}
