//! Other people's clients ask. One that is not installed is skipped, and says so.

use std::process::Command;

use super::real::Broker;
use super::{group, member};
use crate::common::{connect, finish, start};

const PYTHON: &str = r#"
import asyncio, sys, nats
async def main():
    client = await nats.connect(sys.argv[1])
    texts = [f"hello {i}" for i in range(100)]
    replies = await asyncio.gather(*(client.request("upper", text.encode(), timeout=30) for text in texts))
    assert [reply.data.decode() for reply in replies] == [text.upper() for text in texts]
    await client.close()
asyncio.run(main())
"#;

const NODE: &str = r#"
const { connect, StringCodec } = require("nats");
(async () => {
    const [codec, client] = [StringCodec(), await connect({ servers: process.argv[1] })];
    const texts = Array.from({ length: 100 }, (_, i) => `hello ${i}`);
    const replies = await Promise.all(texts.map(text => client.request("upper", codec.encode(text), { timeout: 30000 })));
    replies.forEach((reply, i) => { if (codec.decode(reply.data) !== texts[i].toUpperCase()) throw new Error(texts[i]); });
    await client.close();
})();
"#;

#[test]
fn clients_of_python_and_node_and_our_own_are_answered() {
    let Some(broker) = Broker::start("") else {
        return;
    };
    let server = member(&group(&broker));
    assert_eq!(connect(&broker.endpoint("upper"), "hello\n").text(), "HELLO\n");
    let clients = [("python3", "-c", "import nats", PYTHON), ("node", "-e", "require('nats')", NODE)];
    for (program, flag, probe, script) in clients {
        if !Command::new(program).args([flag, probe]).output().is_ok_and(|done| done.status.success()) {
            eprintln!("skipped: requests from {program}, it is not installed or has no nats");
            continue;
        }
        let done = finish(start(
            Command::new(program).args([flag, script, &broker.address()]).stderr(std::process::Stdio::piped()),
        ));
        assert_eq!(done.code, Some(0), "{program}: {done:?}");
    }
    server.stop();
}
