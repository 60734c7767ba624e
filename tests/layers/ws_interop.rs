//! Other people's WebSockets against ours, as clients and as servers, unchanged. What is missing here is skipped aloud.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::common::{Net, ask, end, port, program, run, text, within};
use swapwire::handlers::UppercaseEcho;
use swapwire::{Framing, Limits, Running, Server, default_registry};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

const LARGEST: usize = 4 << 20;

/// A server at a free port.
async fn serve(endpoint: &str) -> (Running, String) {
    let mut limits = Limits::default();
    (limits.max_message, limits.max_reply) = (LARGEST, LARGEST);
    let server = Server::builder().registry(default_registry()).framing(Framing::Chunks).handler(UppercaseEcho);
    let server = server.listen(endpoint).limits(limits).bind().await.unwrap().start();
    let port = port(&server.local_endpoints()[0]);
    (server, port)
}

/// A language with a library, and how it is told where that is.
struct Language {
    program: PathBuf,
    variable: (&'static str, &'static str),
    flag: &'static str,
}

impl Language {
    /// Debian's Python, or another, with `websockets`.
    async fn python() -> Option<Self> {
        for program in [Some(PathBuf::from("/usr/bin/python3")), program("python3")].into_iter().flatten() {
            let python = Self { program, variable: ("PYTHONDONTWRITEBYTECODE", "1"), flag: "-c" };
            if python.has("import websockets").await {
                return Some(python);
            }
        }
        eprintln!("skipped: no websockets for Python");
        None
    }

    /// Node with `ws`, which Debian has where no other Node looks.
    async fn node() -> Option<Self> {
        let node = Self { program: program("node")?, variable: ("NODE_PATH", "/usr/share/nodejs"), flag: "-e" };
        if node.has("require('ws')").await {
            return Some(node);
        }
        eprintln!("skipped: no ws for Node");
        None
    }

    fn command(&self, script: &str, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.env(self.variable.0, self.variable.1).arg(self.flag).arg(script).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    async fn has(&self, script: &str) -> bool {
        self.command(script, &[]).output().await.is_ok_and(|output| output.status.success())
    }

    /// Runs a client to its end; it says `ok`.
    async fn client(&self, script: &str, url: &str) {
        let output = within(url, self.command(script, &[url]).output()).await.unwrap();
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && stdout.trim() == "ok", "{url}: {stdout}{stderr}");
    }

    /// Starts a server, which ends with the test, and says its port.
    async fn server(&self, script: &str) -> (Child, String) {
        let mut child = self.command(script, &[]).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = within("a server", lines.next_line()).await.unwrap();
        (child, port.expect("it listens"))
    }
}

const PYTHON_CLIENT: &str = r#"
import asyncio, sys, websockets

async def main(url):
    async with websockets.connect(url, max_size=None, close_timeout=60, ping_interval=None) as ws:
        for size in [0, 1, 125, 126, 65_535, 65_536, 1 << 20]:
            for message in ["x" * size, b"x" * size, "ä€🎈" * (size // 9)]:
                await ws.send(message)
                answer = await ws.recv()
                # The kind as well.
                assert answer == (message.upper() if isinstance(message, bytes) else message.replace("x", "X")), size
        # In fragments, with a ping between them.
        async def parts():
            yield "frag"
            assert await (await ws.ping(b"between")) is not False
            yield "ments "
            yield "🎈"
        await ws.send(parts())
        assert await ws.recv() == "FRAGMENTS 🎈"
        # Many under way.
        for number in range(500):
            await ws.send(f"n{number}")
        assert [await ws.recv() for _ in range(500)] == [f"N{number}" for number in range(500)]
        await ws.close(4321, "enough")
    # The server's answer has the same code.
    assert ws.close_code == 4321, ws.close_code
    print("ok")

asyncio.run(main(sys.argv[1]))
"#;

/// Upper case; then what a client has to stand: fragments, pings, an end.
const PYTHON_SERVER: &str = r#"
import asyncio, websockets

async def serve(ws, *_):
    async for message in ws:
        if message == "fragments":
            await ws.send(["one, ", "two, ", "three"])
        elif message == "ping":
            await (await ws.ping(b"are you there"))
            await ws.send("pong")
        elif message == "end":
            await ws.close(1000, "as you like")
        else:
            await ws.send(message.upper())

async def main():
    async with websockets.serve(serve, "127.0.0.1", 0, max_size=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Future()

asyncio.run(main())
"#;

const NODE_CLIENT: &str = r#"
const { WebSocket } = require("ws");
const assert = require("assert");
// It offers compression.
const ws = new WebSocket(process.argv[1], { rejectUnauthorized: false });
const got = [];
let wake = () => {};
const answers = async (count) => {
  while (got.length < count) await new Promise((done) => (wake = done));
  return got.splice(0, count);
};
ws.on("message", (data, binary) => { got.push(binary ? data : data.toString()); wake(); });
ws.on("error", (error) => { console.error(error); process.exit(1); });
ws.on("close", (code) => { assert.equal(code, 4321); console.log("ok"); });
ws.on("open", async () => {
  for (const size of [0, 1, 125, 126, 65535, 65536, 1 << 20]) {
    ws.send("x".repeat(size));
    ws.send(Buffer.alloc(size, "x"));
    assert.deepEqual(await answers(2), ["X".repeat(size), Buffer.alloc(size, "X")]);
  }
  ws.send("frag", { fin: false });
  ws.ping("between");
  ws.send("ments 🎈");
  await new Promise((done) => ws.once("pong", (data) => { assert.equal(data.toString(), "between"); done(); }));
  assert.deepEqual(await answers(1), ["FRAGMENTS 🎈"]);
  for (let number = 0; number < 500; number++) ws.send(`n${number}`);
  assert.deepEqual(await answers(500), [...Array(500).keys()].map((number) => `N${number}`));
  ws.close(4321, "enough");
});
"#;

const NODE_SERVER: &str = r#"
const { WebSocketServer } = require("ws");
const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: true });
server.on("listening", () => console.log(server.address().port));
server.on("connection", (ws) => ws.on("message", (data, binary) => {
  const text = data.toString();
  if (text === "fragments") {
    ["one, ", "two, "].forEach((part) => ws.send(part, { fin: false }));
    ws.send("three");
  } else if (text === "ping") {
    ws.once("pong", (data) => ws.send(data.toString() === "are you there" ? "pong" : "another pong"));
    ws.ping("are you there");
  } else if (text === "end") {
    ws.close(1000, "as you like");
  } else {
    ws.send(binary ? Buffer.from(text.toUpperCase()) : text.toUpperCase());
  }
}));
"#;

async fn is_served(language: Option<Language>, script: &str) {
    let Some(language) = language else { return };
    let (server, port) = serve("ws://127.0.0.1:0").await;
    language.client(script, &format!("ws://127.0.0.1:{port}/")).await;
    let report = server.stop().await;
    assert!(report.is_clean() && report.stats.handler_errors == 0, "{report}");
}

async fn serves_us(language: Option<Language>, script: &str) {
    let Some(language) = language else { return };
    let (_server, port) = language.server(script).await;
    let endpoint = format!("ws://127.0.0.1:{port}/").parse().unwrap();
    let mut session = Net::new().connect_framed(&endpoint, Framing::Chunks).await;
    assert_eq!(ask(&mut session, "hello").await, "HELLO");
    assert_eq!(ask(&mut session, "").await, "");
    let long = "long ".repeat(50_000);
    assert_eq!(ask(&mut session, &long).await, long.to_uppercase());
    assert_eq!(ask(&mut session, "fragments").await, "one, two, three");
    assert_eq!(ask(&mut session, "ping").await, "pong");
    for number in 0..200 {
        session.send(format!("n{number}")).await.unwrap();
    }
    session.flush().await.unwrap();
    for number in 0..200 {
        assert_eq!(text(&mut session).await, format!("N{number}"));
    }
    session.send("end").await.unwrap();
    session.flush().await.unwrap();
    end(&mut session).await;
}

#[tokio::test]
async fn websockets_of_python_as_a_client() {
    is_served(Language::python().await, PYTHON_CLIENT).await;
}

#[tokio::test]
async fn websockets_of_python_as_a_server() {
    serves_us(Language::python().await, PYTHON_SERVER).await;
}

#[tokio::test]
async fn ws_of_node_as_a_client() {
    is_served(Language::node().await, NODE_CLIENT).await;
}

#[tokio::test]
async fn ws_of_node_as_a_server() {
    serves_us(Language::node().await, NODE_SERVER).await;
}

#[tokio::test]
async fn ws_of_node_over_tls() {
    let Some(node) = Language::node().await else { return };
    let (server, port) = serve("wss://127.0.0.1:0?self_signed=true").await;
    node.client(NODE_CLIENT, &format!("wss://127.0.0.1:{port}/")).await;
    assert!(server.stop().await.is_clean());
}

/// Ends a drain with code 1001, and waits for the peer's.
#[tokio::test]
async fn a_server_that_stops_says_so() {
    const WAITS: &str = r#"
const { WebSocket } = require("ws");
const ws = new WebSocket(process.argv[1]);
ws.on("open", () => ws.send("hello"));
ws.on("message", (data) => console.error(data.toString()));
ws.on("close", (code) => console.log(code === 1001 ? "ok" : code));
"#;
    let Some(node) = Language::node().await else { return };
    let (server, port) = serve("ws://127.0.0.1:0").await;
    let mut child = node.command(WAITS, &[&format!("ws://127.0.0.1:{port}/")]).spawn().unwrap();
    let mut answers = BufReader::new(child.stderr.take().unwrap()).lines();
    assert_eq!(within("an answer", answers.next_line()).await.unwrap().as_deref(), Some("HELLO"));
    assert!(server.stop().await.is_clean());
    let output = within("the end", child.wait_with_output()).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "ok");
}

/// The status and the body of what `curl` gets.
async fn curl(program: &Path, args: &[&str]) -> (String, String) {
    let all = [&["-sS", "--max-time", "100", "-w", "\n%{http_code}"], args].concat();
    let printed = run(program.to_owned(), &all).await;
    let (body, status) = printed.rsplit_once('\n').unwrap();
    (status.to_owned(), body.to_owned())
}

#[tokio::test]
async fn curl_gets_short_answers() {
    let Some(program) = program("curl") else { return };
    let (server, port) = serve("ws://127.0.0.1:0/chat").await;
    let (chat, elsewhere) = (format!("http://127.0.0.1:{port}/chat"), format!("http://127.0.0.1:{port}/elsewhere"));
    let upgrade = ["-H", "Upgrade: websocket", "-H", "Connection: Upgrade", "-H", "Sec-WebSocket-Version: 13"];
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    let old = ["-H", "Upgrade: websocket", "-H", "Connection: Upgrade", "-H", "Sec-WebSocket-Version: 8", "-H", key];
    let foreign = [&upgrade[..], &["-H", key, "-H", "Origin: http://elsewhere.example"]].concat();
    for (status, args) in [
        ("426", vec![chat.as_str()]),
        ("404", vec![&elsewhere]),
        ("405", vec!["-X", "POST", "-d", "x", &chat]),
        ("400", [&upgrade[..], &[&chat]].concat()),
        ("426", [&old[..], &[&chat]].concat()),
        ("403", [&foreign[..], &[&chat]].concat()),
    ] {
        let (answered, body) = curl(&program, &args).await;
        assert_eq!(answered, status, "{args:?}: {body}");
        assert!(body.len() < 1000, "{args:?}: {body}");
    }
    assert!(server.stop().await.is_clean());
}
