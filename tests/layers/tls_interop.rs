//! Other people's TLS against ours, as clients and as servers, unchanged. A program that is missing here is skipped aloud.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use crate::common::{Net, ask, port, program, run, within};
use swapwire::handlers::UppercaseEcho;
use swapwire::{Framing, Limits, Running, Server, default_registry};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};

/// Certificates as OpenSSL makes them.
struct World {
    directory: tempfile::TempDir,
    openssl: PathBuf,
}

impl World {
    async fn new() -> Option<Self> {
        let openssl = program("openssl")?;
        let world = Self { directory: tempfile::tempdir().unwrap(), openssl };
        for (name, algorithm) in [("ec", "ec"), ("rsa", "rsa:2048")] {
            let (cert, key) = (world.file(&format!("{name}.pem")), world.file(&format!("{name}.key")));
            let mut args = vec!["req", "-x509", "-newkey", algorithm, "-noenc", "-keyout", &key, "-out", &cert];
            args.extend(["-subj", "/CN=localhost", "-days", "300"]);
            args.extend(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]);
            if algorithm == "ec" {
                args.extend(["-pkeyopt", "ec_paramgen_curve:prime256v1"]);
            }
            run(world.openssl.clone(), &args).await;
        }
        Some(world)
    }

    fn file(&self, name: &str) -> String {
        let path: &Path = self.directory.path();
        path.join(name).display().to_string()
    }

    fn endpoint(&self, kind: &str) -> String {
        format!("tls://127.0.0.1:0?cert={0}.pem&key={0}.key", self.file(kind))
    }

    async fn serve(&self, kind: &str, idle: Option<Duration>) -> (Running, String) {
        let mut limits = Limits::default();
        limits.idle_timeout = idle.or(limits.idle_timeout);
        let server = Server::builder().registry(default_registry()).framing(Framing::Chunks).handler(UppercaseEcho);
        let server = server.listen(self.endpoint(kind)).limits(limits).bind().await.unwrap().start();
        let port = port(&server.local_endpoints()[0]);
        (server, port)
    }
}

/// Starts a program, which ends with the test.
fn start(program: &Path, args: &[&str]) -> Child {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command.spawn().unwrap()
}

/// Writes `x`, ends the input, and waits for the program's end: what it has printed, without an error.
async fn answer(program: &Path, args: &[&str]) -> String {
    let what = format!("{} {}", program.display(), args.join(" "));
    let mut child = start(program, args);
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"x").await.unwrap();
    drop(input);
    let output = within(&what, child.wait_with_output()).await.unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && !stderr.contains("unexpected eof"), "{what}: {}\n{stderr}", output.status);
    stdout.into_owned()
}

#[tokio::test]
async fn openssl_s_client() {
    let Some(world) = World::new().await else { return };
    for kind in ["ec", "rsa"] {
        // It ends when the server has said good-bye.
        let (server, port) = world.serve(kind, Some(Duration::from_millis(300))).await;
        let (place, ca) = (format!("127.0.0.1:{port}"), world.file(&format!("{kind}.pem")));
        for version in ["-tls1_2", "-tls1_3"] {
            let args =
                ["s_client", "-quiet", "-verify_return_error", "-CAfile", &ca, version, "-connect", place.as_str()];
            let answers = (0..20).map(|_| answer(&world.openssl, &args));
            for answer in futures::future::join_all(answers).await {
                assert_eq!(answer, "X", "{kind} {version}");
            }
        }
        assert!(server.stop().await.is_clean());
    }
}

#[tokio::test]
async fn openssl_s_client_with_new_keys() {
    let Some(world) = World::new().await else { return };
    let (server, port) = world.serve("ec", None).await;
    let place = format!("127.0.0.1:{port}");
    // A line with `K` changes the keys of both ends.
    let mut child = start(&world.openssl, &["s_client", "-connect", &place, "-tls1_3"]);
    let mut input = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut notes = BufReader::new(child.stderr.take().unwrap()).lines();
    for _ in 0..3 {
        input.write_all(b"K\n").await.unwrap();
        within("KEYUPDATE", async { while notes.next_line().await.unwrap().expect("it goes on") != "KEYUPDATE" {} })
            .await;
        input.write_all(b"hello\n").await.unwrap();
        within("an answer", async { while lines.next_line().await.unwrap().expect("it goes on") != "HELLO" {} }).await;
    }
    drop(child);
    assert!(server.stop().await.is_clean());
}

#[tokio::test]
async fn openssl_s_server() {
    let Some(world) = World::new().await else { return };
    let (cert, key) = (world.file("ec.pem"), world.file("ec.key"));
    // As others compute it.
    let pin =
        format!("openssl x509 -in {cert} -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -r");
    let pin = run("/bin/sh".into(), &["-c", &pin]).await;
    let pin = pin.split_whitespace().next().unwrap();
    for version in ["-tls1_2", "-tls1_3"] {
        let args = ["s_server", "-accept", "127.0.0.1:0", "-cert", &cert, "-key", &key, "-rev", version];
        let mut child = start(&world.openssl, &args);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let place = within("s_server", async {
            loop {
                let line = lines.next_line().await.unwrap().expect("it listens");
                if let Some(place) = line.strip_prefix("ACCEPT ") {
                    break place.to_owned();
                }
            }
        });
        let endpoint = format!("tls://{}?pin=sha256:{pin}", place.await).parse().unwrap();
        let mut session = Net::new().connect(&endpoint).await;
        assert_eq!(ask(&mut session, "hello").await, "olleh", "{version}");
        let shown = session.peer().get::<swapwire::tls::TlsInfo>().unwrap();
        assert_eq!(format!("-tls{}", shown.version.replace('.', "_")), version);
    }
}

const PYTHON: &str = r#"
import socket, ssl, sys

port, ca = int(sys.argv[1]), sys.argv[2]
for version in [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]:
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = context.maximum_version = version
    for message in [b"x", b"mixed Case" * 10_000]:
        with socket.create_connection(("127.0.0.1", port)) as tcp:
            tls = context.wrap_socket(tcp, server_hostname="127.0.0.1", suppress_ragged_eofs=False)
            tls.sendall(message)
            answer = b""
            while len(answer) < len(message):
                answer += tls.recv(1 << 16)
            assert answer == message.upper()
            # The server's good-bye is waited for.
            tls.unwrap()
print("ok")
"#;

#[tokio::test]
async fn python() {
    let (Some(world), Some(python)) = (World::new().await, program("python3")) else { return };
    let (server, port) = world.serve("ec", None).await;
    let printed = run(python, &["-c", PYTHON, &port, &world.file("ec.pem")]).await;
    assert_eq!(printed.trim(), "ok");
    assert!(server.stop().await.is_clean());
}

const NODE: &str = r#"
const [port, ca] = process.argv.slice(1);
const options = { port: Number(port), host: "127.0.0.1", ca: require("fs").readFileSync(ca), servername: "localhost" };
const socket = require("tls").connect(options, () => socket.end("hello"));
let answer = "";
socket.on("data", (data) => (answer += data));
socket.on("end", () => console.log(answer));
socket.on("error", (error) => { console.error(error); process.exit(1); });
"#;

#[tokio::test]
async fn node() {
    let (Some(world), Some(node)) = (World::new().await, program("node")) else { return };
    let (server, port) = world.serve("ec", None).await;
    let printed = run(node, &["-e", NODE, &port, &world.file("ec.pem")]).await;
    assert_eq!(printed.trim(), "HELLO");
    assert!(server.stop().await.is_clean());
}

#[tokio::test]
async fn ncat_and_socat() {
    let Some(world) = World::new().await else { return };
    let (server, port) = world.serve("ec", None).await;
    let place = format!("OPENSSL:127.0.0.1:{port},verify=1,cafile={}", world.file("ec.pem"));
    for (tool, args) in [("ncat", vec!["--ssl", "127.0.0.1", &port]), ("socat", vec!["-", &place])] {
        let Some(program) = program(tool) else { continue };
        let mut child = start(&program, &args);
        let mut input = child.stdin.take().unwrap();
        input.write_all(b"hello").await.unwrap();
        let mut answer = [0; 5];
        within(tool, child.stdout.take().unwrap().read_exact(&mut answer)).await.unwrap();
        assert_eq!(&answer, b"HELLO", "{tool}");
    }
    assert!(server.stop().await.is_clean());
}
