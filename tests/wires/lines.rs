//! One protocol of lines on every wire: where the wire has boundaries, a message loses the end of its line, and the replies
//! to it end as it did.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use crate::common::{Net, Places, ask, tell, text, within};
use swapwire::prelude::*;
use swapwire::{Endpoint, IntoService, RecvError, SendError, Service};

/// Shows what the handler gets, twice: the replies to one message all end alike.
fn shown(message: &[u8]) -> [String; 2] {
    let text = String::from_utf8_lossy(message);
    [format!("<{text}>"), format!("{}", message.len())]
}

struct Waits;

impl Handler for Waits {
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        tokio::task::yield_now().await;
        for text in shown(request.message()) {
            reply.send(text.as_bytes())?;
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}

struct Converses;

#[async_trait]
impl SessionHandler for Converses {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        while let Some(message) = session.recv().await? {
            for text in shown(&message) {
                session.send(text).await?;
            }
        }
        Ok(())
    }
}

fn services() -> Vec<(&'static str, std::sync::Arc<dyn Service>)> {
    let at_once = handler_fn(|request, reply| {
        shown(request.message()).iter().try_for_each(|text| reply.send(text.as_bytes()))?;
        Ok(())
    });
    vec![("at once", at_once.into_service()), ("waits", Waits.into_service()), ("converses", Converses.into_service())]
}

fn with_boundaries(places: &Places) -> Vec<String> {
    let mut all = places.datagrams();
    all.push("mem-seq:lines".to_owned());
    all
}

/// What is sent, what the handler gets, and what stands behind each reply.
const CASES: [(&str, &str, &str); 9] = [
    ("hi", "hi", ""),
    ("hi\n", "hi", "\n"),
    ("hi\r\n", "hi", "\n"),
    ("\n", "", "\n"),
    ("\r\n", "", "\n"),
    ("a\nb", "a\nb", ""),
    ("a\n\n", "a\n", "\n"),
    ("a\r", "a\r", ""),
    ("a\r\r\n", "a\r", "\n"),
];

#[tokio::test]
async fn the_end_of_a_line_is_taken_off_and_answered() {
    let places = Places::new();
    for endpoint in with_boundaries(&places) {
        for (name, service) in services() {
            let net = Net::new();
            let server = net.server().listen(&endpoint).handler(service).framing(Framing::Lines);
            let server = server.bind().await.unwrap().start();
            let mut raw = net.connect_framed(&server.local_endpoints()[0], Framing::Chunks).await;
            for (sent, seen, end) in CASES {
                tell(&mut raw, sent).await;
                for reply in shown(seen.as_bytes()) {
                    assert_eq!(text(&mut raw).await, format!("{reply}{end}"), "{endpoint}, {name}: {sent:?}");
                }
            }
            // An empty datagram is a message without an end.
            tell(&mut raw, "").await;
            assert_eq!((text(&mut raw).await, text(&mut raw).await), ("<>".to_owned(), "0".to_owned()), "{endpoint}");
            drop(raw);
            assert!(server.stop().await.is_clean(), "{endpoint}, {name}");
        }
    }
}

#[tokio::test]
async fn every_other_framing_is_ignored_where_the_wire_has_boundaries() {
    let places = Places::new();
    for framing in ["chunks", "length:2", "varint", "delimiter:\\n", "fixed:3"] {
        for endpoint in with_boundaries(&places) {
            for (name, service) in services() {
                let net = Net::new();
                let server = net.server().listen(&endpoint).handler(service).framing(framing.parse().unwrap());
                let server = server.bind().await.unwrap().start();
                let mut session = net.connect_framed(&server.local_endpoints()[0], framing.parse().unwrap()).await;
                assert_eq!(ask(&mut session, "hi\r\n").await, "<hi\r\n>", "{endpoint}, {name}, {framing}");
                assert_eq!(text(&mut session).await, "4");
                drop(session);
                server.stop().await;
            }
        }
    }
}

/// Sends what it gets as it is, and one line of its own before.
struct Speaks;

#[async_trait]
impl SessionHandler for Speaks {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        loop {
            match session.recv().await {
                Ok(Some(message)) if message == "speak" => session.send("line\r\n").await?,
                Ok(Some(message)) => session.send(message).await?,
                Ok(None) => return Ok(()),
                // It was dropped, and the session goes on.
                Err(RecvError::TooLarge { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[tokio::test]
async fn a_client_of_lines_sends_without_an_end_until_its_peer_sends_one() {
    let places = Places::new();
    for endpoint in with_boundaries(&places) {
        let net = Net::new();
        // The server has no framing: it shows what is on the wire.
        let server = net.server().listen(&endpoint).handler(Speaks).framing(Framing::Chunks);
        let server = server.bind().await.unwrap().start();
        let local: Endpoint = server.local_endpoints()[0].clone();
        let mut lines = net.connect_framed(&local, Framing::Lines).await;
        assert_eq!(ask(&mut lines, "a").await, "a");
        assert_eq!(ask(&mut lines, "speak").await, "line", "{endpoint}");
        // From now on with an end, which the echo has as well: only that `speak` is no longer understood shows it.
        assert_eq!(ask(&mut lines, "speak").await, "speak", "{endpoint}");
        // Whole messages are counted with their ends.
        let (reader, mut writer) = lines.split();
        assert!(
            matches!(writer.send("x".repeat(1 << 20)).await, Err(SendError::TooLarge { len, .. }) if len == (1 << 20) + 1)
        );
        drop((reader, writer));
    }
}

#[tokio::test]
async fn limits_count_the_bytes_on_the_wire() {
    let places = Places::new();
    for endpoint in with_boundaries(&places) {
        let echo = handler_fn(|request, reply| Ok(reply.send(request.message())?));
        for service in [echo.into_service(), Speaks.into_service()] {
            let net = Net::new();
            let server = net.server().listen(&endpoint).handler(service).framing(Framing::Lines);
            let server = server.limits(Limits::default().max_message(4)).bind().await.unwrap().start();
            let mut raw = net.connect_framed(&server.local_endpoints()[0], Framing::Chunks).await;
            // Five bytes are dropped, four of them a line.
            tell(&mut raw, "abcd\n").await;
            assert_eq!(ask(&mut raw, "abc\n").await, "abc\n", "{endpoint}");
            assert_eq!(ask(&mut raw, "abcd").await, "abcd", "{endpoint}");
            drop(raw);
            server.stop().await;
        }
    }
}

#[tokio::test]
async fn the_bound_of_unvalidated_peers_counts_the_ends_of_replies() {
    let replies_of = |at_once: bool| {
        let reply = |request: Request<'_>, reply: &mut Reply| -> Result<(), HandlerError> {
            let len = std::str::from_utf8(request.message())?.parse()?;
            Ok(reply.send(vec![b'r'; len])?)
        };
        if at_once { handler_fn(reply).into_service() } else { Slow(reply).into_service() }
    };
    for at_once in [true, false] {
        let net = Net::new();
        // A wildcard can be reached by forged senders.
        let server = net.server().listen("udp://0.0.0.0:0").handler(replies_of(at_once)).framing(Framing::Lines);
        let server = server.bind().await.unwrap().start();
        let port = crate::common::port(&server.local_endpoints()[0]);
        let mut raw = net.connect_framed(&format!("udp://127.0.0.1:{port}").parse().unwrap(), Framing::Chunks).await;
        for (sent, received) in [("64", Some(64)), ("65", None), ("63\n", Some(64)), ("64\n", None), ("1", Some(1))] {
            tell(&mut raw, sent).await;
            if let Some(received) = received {
                assert_eq!(text(&mut raw).await.len(), received, "{sent:?}");
            }
        }
        drop(raw);
        server.stop().await;
    }
}

struct Slow<F>(F);

impl<F> Handler for Slow<F>
where
    F: Fn(Request<'_>, &mut Reply<'_>) -> Result<(), HandlerError> + Send + Sync + 'static,
{
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        tokio::task::yield_now().await;
        (self.0)(request, reply)
    }
}

/// A program of lines that everybody has: `nc` over TCP, `nc -u` over UDP.
#[cfg(unix)]
#[tokio::test]
async fn nc_and_nc_u_hear_the_same() {
    let Some(nc) = crate::common::program("nc") else { return };
    let net = Net::new();
    let server = net.server().listen("tcp://127.0.0.1:0").listen("udp://127.0.0.1:0").handler(Waits);
    let server = server.framing(Framing::Lines).bind().await.unwrap().start();
    let mut heard = Vec::new();
    for endpoint in server.local_endpoints() {
        let udp = if endpoint.scheme() == "udp" { "-u" } else { "-n" };
        let mut child = std::process::Command::new(&nc)
            .args(["-n", udp, "127.0.0.1", &crate::common::port(&endpoint)])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let (mut input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let lines = tokio::task::spawn_blocking(move || {
            use std::io::{BufRead as _, Write as _};
            input.write_all(b"hello\n").unwrap();
            let mut output = std::io::BufReader::new(output);
            let mut lines = String::new();
            for _ in 0..2 {
                output.read_line(&mut lines).unwrap();
            }
            (lines, input)
        });
        let (lines, input) = within("both lines", lines).await.unwrap();
        drop(input);
        child.kill().unwrap();
        child.wait().unwrap();
        heard.push(lines);
    }
    assert_eq!(heard, ["<hello>\n5\n"; 2]);
}
