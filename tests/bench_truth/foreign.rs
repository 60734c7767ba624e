//! Echo servers by other people, unchanged: nothing is wrong, lost or broken.

use std::process::Stdio;

use swapwire_bench::{Conditions, Load};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use crate::bench::{assert_flawless, echoes, load, plan, round};
use crate::common::{Places, program, within};
use crate::servers;

/// Requests of each kind of load.
const REQUESTS: u64 = 400;

/// Sizes that vary, several requests under way, and framings that an echo gives back as they are.
async fn assert_echoes(endpoint: &str, framings: &[&str]) {
    for (size, pipeline) in [("64", 1), ("64..1k", 4)] {
        for framing in framings {
            let load = Load { connections: 4, pipeline, ..load(size) };
            let conditions = Conditions { framing: framing.parse().unwrap(), ..echoes(REQUESTS) };
            let round = round(plan(endpoint, load, conditions)).await;
            assert_flawless(&round, REQUESTS, &format!("{endpoint}, {size} B, pipeline {pipeline}, {framing}"));
            assert_eq!(round.connect.count(), 4);
            assert!(round.bytes_sent >= REQUESTS * 64 && round.bytes_received > 0, "{round:?}");
        }
    }
}

const STREAMS: [&str; 3] = ["chunks", "lines", "length:2"];

/// Any framing will do: datagrams have boundaries of their own.
const DATAGRAMS: [&str; 1] = ["chunks"];

/// A server in a process of its own. It is killed at the end.
fn spawn(mut command: Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap()
}

/// Waits for a line with `mark` and gives what follows that; goes on reading, so that nobody waits for room in a pipe.
async fn line(output: impl AsyncRead + Send + Unpin + 'static, mark: &str) -> String {
    let (mut lines, mut seen) = (BufReader::new(output).lines(), Vec::new());
    while let Some(line) = within(format!("a line with {mark:?}"), lines.next_line()).await.unwrap() {
        if let Some((_, rest)) = line.split_once(mark) {
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return rest.to_owned();
        }
        seen.push(line);
    }
    panic!("no line with {mark:?} in {seen:?}");
}

const ASYNCIO: &str = r#"
import asyncio, sys


async def stream(reader, writer):
    while data := await reader.read(4096):
        writer.write(data)
        await writer.drain()
    writer.close()


class Datagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, sender):
        self.transport.sendto(data, sender)


async def main():
    tcp = await asyncio.start_server(stream, "127.0.0.1", 0)
    await asyncio.start_unix_server(stream, sys.argv[1])
    udp, _ = await asyncio.get_running_loop().create_datagram_endpoint(Datagrams, ("127.0.0.1", 0))
    print("ready", tcp.sockets[0].getsockname()[1], udp.get_extra_info("sockname")[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main())
"#;

#[tokio::test]
async fn python_asyncio() {
    let Some(python) = program("python3") else { return };
    let places = Places::new();
    let unix = places.unix();
    let mut command = Command::new(python);
    command.args(["-c", ASYNCIO, unix.strip_prefix("unix:").unwrap()]);
    let mut server = spawn(command);
    let ports = line(server.stdout.take().unwrap(), "ready ").await;
    let (tcp, udp) = ports.split_once(' ').unwrap();
    assert_echoes(&format!("tcp://127.0.0.1:{tcp}"), &STREAMS).await;
    assert_echoes(&format!("udp://127.0.0.1:{udp}"), &DATAGRAMS).await;
    assert_echoes(&unix, &STREAMS).await;
}

/// `socat` with a `cat` for each connection; it says on the standard error where it listens.
async fn cats(listen: &str) -> Option<(Child, String)> {
    let mut command = Command::new(program("socat")?);
    command.args(["-d", "-d", &format!("{listen},fork"), "EXEC:cat"]);
    let mut server = spawn(command);
    let place = line(server.stderr.take().unwrap(), "listening on ").await;
    Some((server, place))
}

#[tokio::test]
async fn socat_and_cat() {
    let places = Places::new();
    let Some((_server, place)) = cats("TCP-LISTEN:0,bind=127.0.0.1,backlog=64").await else { return };
    let port = place.rsplit(':').next().unwrap();
    assert_echoes(&format!("tcp://127.0.0.1:{port}"), &STREAMS).await;

    let unix = places.unix();
    let listen = format!("UNIX-LISTEN:{},backlog=64", unix.strip_prefix("unix:").unwrap());
    let Some((_server, _)) = cats(&listen).await else { return };
    assert_echoes(&unix, &STREAMS).await;
}

#[tokio::test]
async fn tokio_by_hand() {
    let places = Places::new();
    assert_echoes(&servers::tcp(servers::echo).await, &STREAMS).await;
    assert_echoes(&servers::unix(&places, servers::echo), &STREAMS).await;
    assert_echoes(&servers::udp(|request| vec![request.to_vec()]).await, &DATAGRAMS).await;
}
