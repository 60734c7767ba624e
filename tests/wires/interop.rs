//! Other people's clients against a server, unchanged. A program that is missing here is skipped aloud.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::process::Stdio;

use crate::common::{Net, Places, port, program, run, within};
use swapwire::handlers::UppercaseEcho;
use swapwire::{Endpoint, Framing, Running};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

/// A server of every kind that the outside can reach, and a free path for a client that needs a name.
struct World {
    server: Running,
    tcp: String,
    udp: String,
    unix: String,
    unix_dgram: String,
    places: Places,
}

async fn world() -> World {
    let (places, net) = (Places::new(), Net::new());
    let builder = net.server().framing(Framing::Chunks).handler(UppercaseEcho);
    let builder = builder.listen("tcp://127.0.0.1:0").listen("udp://127.0.0.1:0");
    let server = builder.listen(places.unix()).listen(places.unix_dgram()).bind().await.unwrap().start();
    let [tcp, udp, unix, unix_dgram]: [String; 4] =
        server.local_endpoints().iter().map(|local: &Endpoint| port(local)).collect::<Vec<_>>().try_into().unwrap();
    World { server, tcp, udp, unix, unix_dgram, places }
}

/// Types two lines and reads the two answers; then, if the client is one that ends when its input does, waits for that.
async fn converse(tool: &str, args: &[&str], ends: bool) {
    let Some(program) = program(tool) else { return };
    let what = format!("{tool} {}", args.join(" "));
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
    for line in ["hello", "Mixed Case"] {
        input.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        let answer = within(&what, answers.next_line()).await.unwrap();
        assert_eq!(answer.as_deref(), Some(line.to_uppercase().as_str()), "{what}");
    }
    if ends {
        input.write_all(b"no newline at the end").await.unwrap();
        drop(input);
        assert_eq!(
            within(&what, answers.next_line()).await.unwrap().as_deref(),
            Some("NO NEWLINE AT THE END"),
            "{what}"
        );
        assert_eq!(within(&what, answers.next_line()).await.unwrap(), None, "{what}");
        let status = within(&what, child.wait()).await.unwrap();
        assert!(status.success(), "{what}: {status}");
    }
}

#[tokio::test]
async fn ncat() {
    let world = world().await;
    converse("ncat", &["127.0.0.1", &world.tcp], true).await;
    converse("ncat", &["-u", "127.0.0.1", &world.udp], false).await;
    converse("ncat", &["-U", &world.unix], true).await;
    converse("ncat", &["-u", "-U", &world.unix_dgram], false).await;
    assert!(world.server.stop().await.is_clean());
}

#[tokio::test]
async fn nc() {
    let world = world().await;
    let Some(nc) = program("nc") else { return };
    // There are several programs of this name; that of OpenBSD knows more.
    let help = Command::new(nc).arg("-h").output().await.unwrap();
    let help = String::from_utf8_lossy(&[help.stdout, help.stderr].concat()).into_owned();
    if help.contains("OpenBSD") {
        converse("nc", &["-N", "127.0.0.1", &world.tcp], true).await;
        converse("nc", &["-N", "-U", &world.unix], true).await;
        converse("nc", &["-u", "-U", &world.unix_dgram], false).await;
    } else {
        eprintln!("skipped: Unix sockets with nc, as it is not that of OpenBSD");
        converse("nc", &["127.0.0.1", &world.tcp], false).await;
    }
    converse("nc", &["-u", "127.0.0.1", &world.udp], false).await;
    assert!(world.server.stop().await.is_clean());
}

#[tokio::test]
async fn socat() {
    let world = world().await;
    let (tcp, udp) = (format!("TCP:127.0.0.1:{}", world.tcp), format!("UDP:127.0.0.1:{}", world.udp));
    converse("socat", &["-", &tcp], true).await;
    converse("socat", &["-", &udp], false).await;
    converse("socat", &["-", &format!("UNIX-CONNECT:{}", world.unix)], true).await;
    let own = world.places.path();
    let datagrams = format!("UNIX-SENDTO:{},bind={}", world.unix_dgram, own.display());
    converse("socat", &["-", &datagrams], false).await;
    assert!(world.server.stop().await.is_clean());

    if cfg!(target_os = "linux") {
        let (net, name) = (Net::new(), world.places.abstract_name());
        let (server, _) = net.start(&format!("unix:@{name}"), UppercaseEcho).await;
        converse("socat", &["-", &format!("ABSTRACT-CONNECT:{name}")], false).await;
        assert!(server.stop().await.is_clean());
    }
}

const ASYNCIO: &str = r#"
import asyncio, sys

tcp, udp, unix = sys.argv[1:]


async def stream(reader, writer):
    for message in [b"hello", b"Mixed Case", b"x" * 100_000]:
        writer.write(message)
        await writer.drain()
        assert await reader.readexactly(len(message)) == message.upper()
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


class Client(asyncio.DatagramProtocol):
    def __init__(self):
        self.answers = asyncio.Queue()

    def datagram_received(self, data, sender):
        self.answers.put_nowait((data, sender))


async def main():
    await asyncio.gather(*[stream(*await asyncio.open_connection("127.0.0.1", int(tcp))) for _ in range(10)])
    await asyncio.gather(*[stream(*await asyncio.open_unix_connection(unix)) for _ in range(10)])
    server = ("127.0.0.1", int(udp))
    transport, client = await asyncio.get_running_loop().create_datagram_endpoint(Client, remote_addr=server)
    for message in [b"hello", b"Mixed Case", b"x" * 60_000]:
        transport.sendto(message)
        assert await client.answers.get() == (message.upper(), server)
    transport.close()


asyncio.run(asyncio.wait_for(main(), 20))
print("ok")
"#;

#[tokio::test]
async fn python_asyncio() {
    let world = world().await;
    let Some(python) = program("python3") else { return };
    assert_eq!(run(python, &["-c", ASYNCIO, &world.tcp, &world.udp, &world.unix]).await, "ok\n");
    assert!(world.server.stop().await.is_clean());
}

const NODE: &str = r#"
const net = require('node:net'), dgram = require('node:dgram'), assert = require('node:assert');
const [tcp, udp, unix] = process.argv.slice(1);

const stream = place => new Promise((resolve, reject) => {
  const text = 'hello Mixed Case '.repeat(5000);
  let got = '';
  // `allowHalfOpen` is off: node itself ends when the server does, and the server when node does.
  const client = net.createConnection(place, () => client.end(text));
  client.on('data', data => { got += data; });
  client.on('error', reject);
  client.on('close', () => { assert.equal(got, text.toUpperCase()); resolve(); });
});

const datagrams = port => new Promise((resolve, reject) => {
  const client = dgram.createSocket('udp4');
  const messages = ['hello', '', 'Mixed Case'];
  let at = 0;
  const next = () => client.send(messages[at], port, '127.0.0.1');
  client.on('error', reject);
  client.on('message', (data, sender) => {
    assert.equal(data.toString(), messages[at++].toUpperCase());
    assert.equal(sender.port, port);
    if (at < messages.length) next(); else client.close(resolve);
  });
  next();
});

const streams = [];
for (let i = 0; i < 10; i++) streams.push(stream({ port: Number(tcp), host: '127.0.0.1' }), stream({ path: unix }));
Promise.all([...streams, datagrams(Number(udp))]).then(() => console.log('ok'), error => {
  console.error(error);
  process.exit(1);
});
"#;

#[tokio::test]
async fn node() {
    let world = world().await;
    let Some(node) = program("node") else { return };
    assert_eq!(run(node, &["-e", NODE, &world.tcp, &world.udp, &world.unix]).await, "ok\n");
    assert!(world.server.stop().await.is_clean());
}
