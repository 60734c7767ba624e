//! Requests for a WebSocket, and answers that changed on the way.
//!
//! Pieces change nothing; what is accepted has all that RFC 6455, 4.2.1 asks for, what follows it is kept, and whoever is refused gets an
//! answer. With a byte that changed, a handshake of both ends may fail, and nothing panics.

use std::sync::Arc;
use std::time::Duration;

use swapwire_core::{ConnInfo, Endpoint, Link, Peer, Upgrade, UpgradeClient, UpgradeServer};
use swapwire_ws::{Ws, WsInfo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::endpoint::is_one_line;
use super::handshake::{Pieces, here};
use super::source::Source;

/// What a server is bound with.
const OPTIONS: &[&str] =
    &["type=auto", "path=/chat", "path=*&origin=https://a.example&protocol=a,b&headers=cookie,host", "path=/"];
/// For a head whose end is gone: then both ends wait.
const PATIENCE: Duration = Duration::from_millis(100);

struct Halves {
    runtime: Runtime,
    servers: Vec<Arc<dyn UpgradeServer>>,
    clients: Vec<Arc<dyn UpgradeClient>>,
}

thread_local! {
    static HALVES: Halves = Halves::new();
}

impl Halves {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
        let (mut servers, mut clients) = (Vec::new(), Vec::new());
        for (index, options) in OPTIONS.iter().enumerate() {
            let ws = if index == 3 { Ws::new().with_page("<p>") } else { Ws::new() };
            let bound: Endpoint = format!("ws+mem:here?{options}").parse().expect("an endpoint");
            let server = runtime.block_on(ws.server(&bound)).expect("a server's half");
            let dial = bound.without_options();
            let dial =
                server.dial_options().into_iter().fold(dial, |dial, (name, value)| dial.with_option(name, value));
            clients.push(runtime.block_on(ws.client(&dial)).expect("a client's half"));
            servers.push(server);
        }
        Self { runtime, servers, clients }
    }
}

/// Whether both ends are ours, the options, the lengths of the pieces, and a request, or whether and where a byte changes.
pub fn upgrade(data: &[u8]) {
    let mut source = Source::new(data);
    let is_both = source.flag();
    let options = source.below(OPTIONS.len());
    let count = source.below(16);
    let pieces = source.take(count);
    HALVES.with(|halves| {
        if is_both {
            let changes = source.flag();
            let at_client = source.flag();
            let change = (usize::from(source.byte()) << 8 | usize::from(source.byte()), 1 << source.below(8));
            talk(halves, options, pieces, changes.then_some((at_client, change)));
        } else {
            let request = source.rest();
            let whole = ask(halves, options, request, &[]);
            assert_eq!(ask(halves, options, request, pieces), whole, "{}", request.escape_ascii());
        }
    });
}

fn info() -> ConnInfo {
    ConnInfo::new(Peer::new(here()), here())
}

/// What a server answers, and why it refuses.
fn ask(halves: &Halves, options: usize, request: &[u8], pieces: &[u8]) -> (Vec<u8>, Option<String>) {
    let server = &halves.servers[options];
    halves.runtime.block_on(async {
        let (mut near, far) = duplex(1 << 16);
        near.write_all(request).await.expect("room for all");
        near.shutdown().await.expect("an end");
        let error = match server.accept(Box::new(Pieces::new(far, pieces, None)), info()).await {
            Ok(Link::Framed { mut io, info, .. }) => {
                let mut rest = Vec::new();
                io.read_to_end(&mut rest).await.expect("what follows");
                assert!(request.ends_with(&rest));
                is_right(&request[..request.len() - rest.len()], info.peer.get().expect("what it has told"));
                None
            }
            Ok(link) => unreachable!("{link:?}"),
            Err(error) => {
                is_one_line(&error);
                Some(error.to_string())
            }
        };
        let mut answer = Vec::new();
        near.read_to_end(&mut answer).await.expect("an answer");
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 "), "{}", answer.escape_ascii());
        assert_eq!(answer.starts_with(b"HTTP/1.1 101 "), error.is_none());
        (answer, error)
    })
}

/// What every request has that is accepted, by hand.
fn is_right(head: &[u8], info: &WsInfo) {
    let shown = head.escape_ascii();
    assert!(head.len() <= 8192 && head.ends_with(b"\r\n\r\n"), "{shown}");
    let head = String::from_utf8_lossy(head);
    let mut lines = head.trim_start_matches(['\r', '\n']).split("\r\n");
    let words: Vec<_> = lines.next().expect("a first line").split(' ').collect();
    assert!(words.len() == 3 && words[0] == "GET" && words[2] == "HTTP/1.1", "{shown}");
    assert!(
        words[1].ends_with(&info.query().map_or(info.path().to_owned(), |query| format!("{}?{query}", info.path())))
    );
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    assert!(headers.len() <= 64, "{shown}");
    let all =
        |name: &str| headers.iter().filter(move |(own, _)| own == name).map(|(_, value)| &**value).collect::<Vec<_>>();
    let has = |name: &str, word: &str| all(name).join(",").split(',').any(|own| own.trim().eq_ignore_ascii_case(word));
    assert!(has("upgrade", "websocket") && has("connection", "upgrade"), "{shown}");
    assert_eq!((all("host").len(), all("sec-websocket-version")), (1, vec!["13"]), "{shown}");
    assert!(all("sec-websocket-key").len() == 1 && all("sec-websocket-key")[0].len() == 24, "{shown}");
    let origins = all("origin");
    let may = |origin: &str| {
        origin == "https://a.example" || origin.split_once("://").is_some_and(|(_, place)| !place.contains("example"))
    };
    assert!(origins.len() <= 1 && origins.iter().all(|origin| may(origin)), "{shown}");
}

fn talk(halves: &Halves, options: usize, pieces: &[u8], change: Option<(bool, (usize, u8))>) {
    let at = |here: bool| change.filter(|(at_client, _)| *at_client == here).map(|(_, change)| change);
    let (near, far) = duplex(1 << 16);
    let (near, far) = (Pieces::new(near, pieces, at(true)), Pieces::new(far, pieces, at(false)));
    let (client, server) = (&halves.clients[options], &halves.servers[options]);
    let both = async { tokio::try_join!(client.connect(Box::new(near), info()), server.accept(Box::new(far), info())) };
    // Only a change may keep the ends waiting.
    let both = async { if change.is_some() { timeout(PATIENCE, both).await } else { Ok(both.await) } };
    match halves.runtime.block_on(both) {
        Ok(Ok(links)) => assert!(matches!(links, (Link::Framed { .. }, Link::Framed { .. }))),
        Ok(Err(error)) => {
            is_one_line(&error);
            assert!(change.is_some(), "pieces of {pieces:?} end a handshake: {error}");
        }
        Err(_) => {}
    }
}
