//! What a server answers to a request.

use std::io::ErrorKind;

use swapwire_core::{Endpoint, Link, Upgrade as _};
use swapwire_ws::{Ws, WsInfo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

use crate::common::nowhere;

const HANDSHAKE: &str = "Host: 127.0.0.1:1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// What Chromium 130 sends.
const CHROMIUM: &str = "GET /chat?room=1 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nConnection: Upgrade\r\nPragma: no-cache\r\n\
    Cache-Control: no-cache\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
    HeadlessChrome/130.0.0.0 Safari/537.36\r\nUpgrade: websocket\r\nOrigin: http://127.0.0.1:8080\r\n\
    Sec-WebSocket-Version: 13\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";

struct Outcome {
    answer: String,
    link: std::io::Result<Link>,
}

impl Outcome {
    fn status(&self) -> &str {
        self.answer.lines().next().unwrap_or_default().strip_prefix("HTTP/1.1 ").unwrap_or_default()
    }

    fn info(&self) -> &WsInfo {
        self.link.as_ref().unwrap().info().peer.get().unwrap()
    }

    fn error(&self) -> (ErrorKind, String) {
        let error = self.link.as_ref().unwrap_err();
        (error.kind(), error.to_string())
    }
}

/// What comes of `request`, in pieces of `size` bytes, at a server of these options; then the peer ends.
async fn ask_in(ws: &Ws, options: &str, request: &[u8], size: usize) -> Outcome {
    let endpoint: Endpoint = format!("ws+mem:x?type=auto&{options}").trim_end_matches('&').parse().unwrap();
    let server = ws.server(&endpoint).await.unwrap();
    // A pipe as narrow as the pieces gives nothing but them.
    let (near, far) = duplex(size);
    let (mut answers, mut requests) = tokio::io::split(near);
    let write = async {
        // A server that refuses may not read all.
        let _ = requests.write_all(request).await;
        requests.shutdown().await.unwrap();
    };
    let read = async {
        let mut answer = Vec::new();
        answers.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    };
    let accept = async {
        match server.accept(Box::new(far), nowhere()).await {
            Ok(mut link) => {
                if let Link::Framed { io, .. } = &mut link {
                    io.shutdown().await.unwrap();
                }
                Ok(link)
            }
            Err(error) => Err(error),
        }
    };
    let ((), answer, link) = tokio::join!(write, read, accept);
    Outcome { answer, link }
}

async fn ask(options: &str, request: &str) -> Outcome {
    ask_in(&Ws::new(), options, request.as_bytes(), 1 << 16).await
}

fn request(line: &str, more: &str) -> String {
    format!("{line}\r\n{HANDSHAKE}{more}\r\n")
}

const GET: &str = "GET / HTTP/1.1";

#[tokio::test]
async fn the_example_of_the_rfc_is_accepted() {
    let request = "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://example.com\r\n\
                   Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Version: 13\r\n\r\n";
    let outcome = ask("path=/chat&protocol=superchat,chat&origin=http://example.com", request).await;
    assert_eq!(
        outcome.answer,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: superchat\r\n\r\n"
    );
    let info = outcome.info();
    assert_eq!((info.path(), info.query(), info.subprotocol()), ("/chat", None, Some("superchat")));
    assert_eq!((info.origin(), info.headers().count()), (Some("http://example.com"), 0));
}

#[tokio::test]
async fn a_browser_is_accepted_in_whatever_pieces_it_comes() {
    for size in [1, 2, 3, 7, 100, 1 << 16] {
        let headers = "path=/chat&headers=user-agent,cookie,Host";
        let outcome = ask_in(&Ws::new(), headers, CHROMIUM.as_bytes(), size).await;
        assert_eq!(outcome.status(), "101 Switching Protocols", "{size}");
        let info = outcome.info();
        assert_eq!((info.query(), info.origin()), (Some("room=1"), Some("http://127.0.0.1:8080")));
        assert!(info.header("User-Agent").unwrap().starts_with("Mozilla/5.0 (X11"));
        assert_eq!((info.header("host"), info.header("cookie")), (Some("127.0.0.1:8080"), None));
    }
}

#[tokio::test]
async fn what_comes_behind_the_request_is_kept() {
    let server = Ws::new().server(&"ws+mem:x".parse().unwrap()).await.unwrap();
    let (mut near, far) = duplex(1 << 16);
    near.write_all(format!("{}behind", request(GET, "")).as_bytes()).await.unwrap();
    let Link::Framed { mut io, .. } = server.accept(Box::new(far), nowhere()).await.unwrap() else { panic!("framed") };
    near.write_all(b" and more").await.unwrap();
    near.shutdown().await.unwrap();
    let mut read = String::new();
    io.read_to_string(&mut read).await.unwrap();
    assert_eq!(read, "behind and more");
}

#[tokio::test]
async fn words_of_lists_count_in_whatever_case() {
    let lists = "GET / HTTP/1.1\r\nhOST: h\r\nUPGRADE: h2c, WebSocket\r\nConnection: keep-alive,  uPgRaDe\r\n\
                 sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                 sec-websocket-protocol: a,b\r\nSec-WebSocket-Protocol:\tc , d\r\n\r\n";
    let outcome = ask("protocol=x,d,a", lists).await;
    assert_eq!((outcome.status(), outcome.info().subprotocol()), ("101 Switching Protocols", Some("d")));
    let outcome = ask("protocol=x", lists).await;
    assert_eq!((outcome.status(), outcome.info().subprotocol()), ("101 Switching Protocols", None));
    // Those of a subprotocol have their case.
    assert_eq!(ask("protocol=D", lists).await.info().subprotocol(), None);
}

#[tokio::test]
async fn what_is_refused_and_how() {
    let without = |name: &str| {
        let lines: Vec<_> = HANDSHAKE.lines().filter(|line| !line.starts_with(name)).collect();
        format!("{GET}\r\n{}\r\n\r\n", lines.join("\r\n"))
    };
    let with = |name: &str, value: &str| without(name).replace("\r\n\r\n", &format!("\r\n{name}: {value}\r\n\r\n"));
    let upgrade = "426 Upgrade Required";
    let plain = "426 Upgrade Required: here is a WebSocket, and the request is plain HTTP";
    let version = "426 Upgrade Required: this server speaks version 13 of the WebSocket protocol";
    let key = "400 Bad Request: the request has no Sec-WebSocket-Key of 16 bytes in Base64";
    let no_upgrade = "400 Bad Request: the request has no Connection: Upgrade; does a proxy in front take it out?";
    for (request, error) in [
        (request("POST / HTTP/1.1", ""), "405 Method Not Allowed: a WebSocket begins with GET"),
        (request("get / HTTP/1.1", ""), "405 Method Not Allowed: a WebSocket begins with GET"),
        (request("GET / HTTP/1.0", ""), "505 HTTP Version Not Supported: a WebSocket begins with HTTP/1.1"),
        (request("GET /chat HTTP/1.1", ""), "404 Not Found: no WebSocket is at /chat"),
        (request("GET /\\a HTTP/1.1", ""), "404 Not Found: no WebSocket is at /\\a"),
        (request("GET * HTTP/1.1", ""), "400 Bad Request: the request is for *, which is no path"),
        (request("GET /#a HTTP/1.1", ""), "400 Bad Request: the request is for /#a, which is no path"),
        (without("Host"), "400 Bad Request: the request has no Host header"),
        (request(GET, "Host: other\r\n"), "400 Bad Request: the request has Host more than once"),
        (without("Upgrade"), plain),
        (with("Upgrade", "websockets"), plain),
        (without("Connection"), no_upgrade),
        (with("Connection", "keep-alive, Upgraded"), no_upgrade),
        (without("Sec-WebSocket-Version"), version),
        (with("Sec-WebSocket-Version", "8"), version),
        (without("Sec-WebSocket-Key"), key),
        (with("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ"), key),
        (with("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAAAAAAAA"), key),
        (
            request(GET, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"),
            "400 Bad Request: the request has Sec-WebSocket-Key more than once",
        ),
        (request(GET, "Content-Length: 5\r\n"), "400 Bad Request: the request has a body"),
        (request(GET, "Transfer-Encoding: chunked\r\n"), "400 Bad Request: the request has a body"),
        (
            request(GET, "Origin: http://evil.example\r\n"),
            "403 Forbidden: pages of http://evil.example may not connect to 127.0.0.1:1: origin= lists those that may, host= \
             this host's names",
        ),
        (
            request(GET, "Origin: null\r\n"),
            "403 Forbidden: pages of null may not connect to 127.0.0.1:1: origin= lists those that may, host= this host's \
             names",
        ),
        (request(GET, "a b: c\r\n"), "400 Bad Request: the request is not HTTP/1.1: invalid header name"),
        (request(GET, " folded\r\n"), "400 Bad Request: the request is not HTTP/1.1: invalid header name"),
        (
            format!("{GET}\nHost: h\n\n\r\n\r\n"),
            "400 Bad Request: it does not speak HTTP, it began with GET / HTTP/1.1",
        ),
        (
            request(GET, "a: b\nc: d\r\n"),
            "400 Bad Request: it does not speak HTTP, it began with GET / HTTP/1.1\\r\\nHost: 127.0.0.1",
        ),
        ("hello\n".to_owned(), "400 Bad Request: it does not speak HTTP, it began with hello\\n"),
        ("\x16\x03\x01\x02".to_owned(), "400 Bad Request: it does not speak HTTP, it began with \\x16"),
    ] {
        for size in [1, 1 << 16] {
            let outcome = ask_in(&Ws::new(), "", request.as_bytes(), size).await;
            let (kind, text) = outcome.error();
            assert!(kind == ErrorKind::InvalidData && text.starts_with(error), "{text} for {}", request.escape_debug());
            assert!(!outcome.answer.is_empty() && error.starts_with(outcome.status()), "{}", outcome.answer);
            let (head, body) = outcome.answer.split_once("\r\n\r\n").unwrap();
            assert!(head.contains("\r\nConnection: close"), "{head}");
            assert!(head.contains(&format!("\r\nContent-Length: {}", body.len())), "{head}");
            let is_426 = error.starts_with(upgrade);
            assert_eq!(head.contains("\r\nUpgrade: websocket"), is_426, "{head}");
            assert_eq!(head.contains("\r\nSec-WebSocket-Version: 13"), error == version, "{head}");
            assert_eq!(head.contains("\r\nAllow: GET"), error.starts_with("405"), "{head}");
        }
    }
}

#[tokio::test]
async fn a_head_is_bounded() {
    let headers = |count: usize| request(GET, &(5..count).map(|index| format!("X-{index}: 1\r\n")).collect::<String>());
    assert_eq!(ask("", &headers(64)).await.status(), "101 Switching Protocols");
    let (_, text) = ask("", &headers(65)).await.error();
    assert_eq!(text, "431 Request Header Fields Too Large: the request has more than 64 headers");

    let base = request(GET, "X: \r\n").len();
    let long = |len: usize| request(GET, &format!("X: {}\r\n", "x".repeat(len - base)));
    assert_eq!(ask("", &long(8192)).await.status(), "101 Switching Protocols");
    let (_, text) = ask("", &long(8193)).await.error();
    assert_eq!(text, "431 Request Header Fields Too Large: the request has more than 8192 bytes before its empty line");
}

#[tokio::test]
async fn paths_are_compared_without_their_query() {
    for (option, path, status) in [
        ("", "/?a=1", "101 Switching Protocols"),
        ("path=/chat", "/chat?x", "101 Switching Protocols"),
        ("path=/chat", "/%63hat", "101 Switching Protocols"),
        ("path=/chat", "http://127.0.0.1:1/chat", "101 Switching Protocols"),
        ("path=/chat", "/", "404 Not Found"),
        ("path=/chat", "/chat/", "404 Not Found"),
        ("path=*", "/whatever", "101 Switching Protocols"),
    ] {
        let outcome = ask(option, &request(&format!("GET {path} HTTP/1.1"), "")).await;
        assert_eq!(outcome.status(), status, "{option} {path}");
    }
}

#[tokio::test]
async fn origins_are_judged() {
    for (options, origin, host, status) in [
        ("", "http://127.0.0.1:1", "127.0.0.1:1", "101 Switching Protocols"),
        ("", "http://rebound.example:1", "rebound.example:1", "403 Forbidden"),
        ("host=chat.example", "https://chat.example", "chat.example", "101 Switching Protocols"),
        ("origin=https://a.example,null", "https://a.example", "h", "101 Switching Protocols"),
        ("origin=https://a.example,null", "null", "h", "101 Switching Protocols"),
        ("origin=https://a.example", "https://b.example", "h", "403 Forbidden"),
        ("origin=*", "https://b.example", "h", "101 Switching Protocols"),
        ("origin=*", "null", "h", "403 Forbidden"),
    ] {
        let request =
            request(GET, &format!("Origin: {origin}\r\n")).replace("127.0.0.1:1\r\nU", &format!("{host}\r\nU"));
        assert_eq!(ask(options, &request).await.status(), status, "{options} {origin}");
    }
}

#[tokio::test]
async fn who_closes_without_a_word_is_no_fault() {
    let outcome = ask("", "").await;
    assert_eq!(outcome.error(), (ErrorKind::ConnectionAborted, "it closed without a word".to_owned()));
    let whole = request(GET, "");
    for len in [1, 10, whole.len() - 1] {
        let outcome = ask("", &whole[..len]).await;
        assert_eq!(outcome.error(), (ErrorKind::UnexpectedEof, "it closed within its request".to_owned()));
        assert_eq!(outcome.answer, "");
    }
}

#[tokio::test]
async fn a_plain_request_gets_the_page_at_the_path_alone() {
    let ws = Ws::new().with_page("<!doctype html>größe");
    let plain = "GET /chat?a HTTP/1.1\r\nHost: anything\r\n\r\n";
    let outcome = ask_in(&ws, "path=/chat", plain.as_bytes(), 10).await;
    let (head, body) = outcome.answer.split_once("\r\n\r\n").unwrap();
    assert_eq!((outcome.status(), body), ("200 OK", "<!doctype html>größe"));
    for line in [
        "Content-Type: text/html; charset=utf-8",
        "Content-Length: 22",
        "Connection: close",
        "X-Content-Type-Options: nosniff",
        "Cache-Control: no-store",
    ] {
        assert!(head.lines().any(|own| own == line), "{line} is not in {head}");
    }
    assert!(head.contains("Content-Security-Policy: default-src 'none'; "));
    assert_eq!(outcome.error(), (ErrorKind::ConnectionAborted, "it asked for the page and has it".to_owned()));
    let elsewhere = ask_in(&ws, "path=/chat", b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", 10).await;
    assert_eq!(elsewhere.status(), "404 Not Found");
    assert_eq!(ask_in(&ws, "", request(GET, "").as_bytes(), 10).await.status(), "101 Switching Protocols");
}

#[tokio::test(start_paused = true)]
async fn a_page_is_taken_as_slowly_as_it_is_read() {
    let ws = Ws::new().with_page("x".repeat(1000));
    let server = ws.server(&"ws+mem:x".parse().unwrap()).await.unwrap();
    let (mut near, far) = duplex(100);
    let read = async {
        near.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
        let (mut answer, mut piece) = (Vec::new(), [0; 100]);
        loop {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            match near.read(&mut piece).await.unwrap() {
                0 => return answer,
                len => answer.extend_from_slice(&piece[..len]),
            }
        }
    };
    let (answer, refused) = tokio::join!(read, server.accept(Box::new(far), nowhere()));
    assert!(refused.is_err() && answer.ends_with(&[b'x'; 1000]), "{}", answer.escape_ascii());
}

/// The answer is not waited for any longer than that.
#[tokio::test(start_paused = true)]
async fn who_is_refused_and_stays_is_not_waited_for() {
    let server = Ws::new().server(&"ws+mem:x".parse().unwrap()).await.unwrap();
    let (mut near, far) = duplex(1 << 16);
    near.write_all(b"GET /none HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    let start = tokio::time::Instant::now();
    let error = server.accept(Box::new(far), nowhere()).await.unwrap_err();
    assert_eq!(error.to_string(), "404 Not Found: no WebSocket is at /none");
    assert_eq!(start.elapsed().as_millis(), 1000);
}
