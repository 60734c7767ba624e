//! What a client asks, and what it takes for an answer.

use std::io::{self, ErrorKind};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1_smol::Sha1;
use swapwire_core::{Endpoint, Link, Upgrade as _};
use swapwire_ws::{Ws, WsInfo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use crate::common::nowhere;

/// The request of a client of `endpoint`, and what it makes of an answer, in which KEY stands for what belongs to its key. Then
/// the server ends.
async fn dial(ws: &Ws, endpoint: &str, answer: &str) -> (String, io::Result<Link>) {
    let endpoint: Endpoint = endpoint.parse().unwrap();
    let client = ws.client(&endpoint).await.unwrap();
    let (near, mut far) = duplex(1 << 16);
    let serve = async {
        let request = read_request(&mut far).await;
        let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
        let hash = Sha1::from(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11")).digest().bytes();
        far.write_all(answer.replace("KEY", &STANDARD.encode(hash)).as_bytes()).await.unwrap();
        far.shutdown().await.unwrap();
        request
    };
    tokio::join!(serve, client.connect(Box::new(near), nowhere()))
}

async fn read_request(io: &mut DuplexStream) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(io.read_u8().await.unwrap());
    }
    String::from_utf8(request).unwrap()
}

const YES: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: KEY\r\n\r\n";

#[tokio::test]
async fn what_is_asked() {
    let ws = Ws::new().with_headers([("Authorization", "Bearer x"), ("X-A", "")]).unwrap();
    let (request, link) = dial(&ws, "ws+tcp://h:8080?path=/a b%3Fc%3D1&protocol=p,q&origin=https://o", YES).await;
    let (head, key) = request.trim_end().split_once("Sec-WebSocket-Key: ").unwrap();
    assert_eq!(
        head,
        "GET /a%20b?c=1 HTTP/1.1\r\nHost: h:8080\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Origin: https://o\r\nSec-WebSocket-Protocol: p, q\r\nAuthorization: Bearer x\r\nX-A: \r\n"
    );
    assert_eq!(STANDARD.decode(key).unwrap().len(), 16);
    let link = link.unwrap();
    let info: &WsInfo = link.info().peer.get().unwrap();
    assert_eq!((info.path(), info.query(), info.origin()), ("/a%20b", Some("c=1"), Some("https://o")));
    assert_eq!(info.subprotocol(), None);
    let (other, _) = dial(&ws, "ws+tcp://h:8080", YES).await;
    assert_ne!(other.split_once("Sec-WebSocket-Key: ").unwrap().1.trim_end(), key);
}

#[tokio::test]
async fn the_host_is_the_place_unless_it_is_given() {
    for (endpoint, host) in [
        ("ws+tcp://h:8080", "h:8080"),
        ("ws+tcp://h:80", "h"),
        ("ws+tcp://h:443", "h:443"),
        ("ws+tls+tcp://h:443", "h"),
        ("ws+tls+tcp://h:80", "h:80"),
        ("ws+tcp://[::1]:1", "[::1]:1"),
        ("ws+unix:/run/x.sock", "localhost"),
        ("ws+mem:x", "localhost"),
        ("ws+mem:x?host=a.example:1", "a.example:1"),
    ] {
        let (request, _) = dial(&Ws::new(), endpoint, YES).await;
        assert!(request.contains(&format!("\r\nHost: {host}\r\n")), "{endpoint}: {request}");
    }
}

#[tokio::test]
async fn bytes_behind_the_answer_are_kept() {
    let (_, link) = dial(&Ws::new(), "ws+mem:x", &format!("{YES}\x01\x02behind")).await;
    let Link::Framed { mut io, .. } = link.unwrap() else { panic!("framed") };
    let mut rest = String::new();
    io.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "\x01\x02behind");
}

#[tokio::test]
async fn a_subprotocol_is_one_that_was_asked_for() {
    let with = |line: &str| YES.replace("\r\n\r\n", &format!("\r\n{line}\r\n\r\n"));
    let (_, link) = dial(&Ws::new(), "ws+mem:x?protocol=p,q", &with("Sec-WebSocket-Protocol: q")).await;
    let link = link.unwrap();
    assert_eq!(link.info().peer.get::<WsInfo>().unwrap().subprotocol(), Some("q"));
    for (endpoint, line) in [
        ("ws+mem:x", "Sec-WebSocket-Protocol: q"),
        ("ws+mem:x?protocol=p", "Sec-WebSocket-Protocol: P"),
        ("ws+mem:x?protocol=p,q", "Sec-WebSocket-Protocol: p\r\nSec-WebSocket-Protocol: q"),
    ] {
        let error = dial(&Ws::new(), endpoint, &with(line)).await.1.unwrap_err();
        assert!(error.to_string().contains(", which was not asked for"), "{error}");
    }
}

#[tokio::test]
async fn what_is_no_answer() {
    let no = "the server's answer opens no WebSocket: ";
    let swap = |from: &str, to: &str| YES.replace(from, to);
    let long = YES.replace("\r\n\r\n", &format!("\r\nX: {}\r\n\r\n", "x".repeat(8192)));
    let closed = "the server closed within the handshake: does it speak WebSocket?";
    for (answer, kind, text) in [
        (swap("Upgrade: websocket\r\n", ""), ErrorKind::InvalidData, format!("{no}it has no Upgrade: websocket")),
        (
            swap("Connection: Upgrade", "Connection: x"),
            ErrorKind::InvalidData,
            format!("{no}it has no Connection: Upgrade"),
        ),
        (
            swap("Sec-WebSocket-Accept: KEY\r\n", ""),
            ErrorKind::InvalidData,
            format!("{no}it has no Sec-WebSocket-Accept"),
        ),
        (
            swap("KEY", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            ErrorKind::InvalidData,
            format!("{no}its Sec-WebSocket-Accept is not for the key that was sent"),
        ),
        (
            swap("KEY", "KEY\r\nSec-WebSocket-Extensions: permessage-deflate"),
            ErrorKind::InvalidData,
            format!("{no}it has the extension permessage-deflate, which was not asked for"),
        ),
        (swap("HTTP/1.1", "HTTP/1.0"), ErrorKind::InvalidData, format!("{no}it is not HTTP/1.1")),
        (long, ErrorKind::InvalidData, "the server's answer has more than 8192 bytes before its empty line".to_owned()),
        (String::new(), ErrorKind::UnexpectedEof, closed.to_owned()),
        (YES[..40].to_owned(), ErrorKind::UnexpectedEof, closed.to_owned()),
        (
            "220 ready\r\n".to_owned(),
            ErrorKind::InvalidData,
            "the server does not speak HTTP, it began with 220 ready\\r\\n".to_owned(),
        ),
    ] {
        let error = dial(&Ws::new(), "ws+mem:x", &answer).await.1.unwrap_err();
        assert_eq!((error.kind(), error.to_string()), (kind, text));
    }
}

#[tokio::test]
async fn a_refusal_names_its_status_and_its_text() {
    for (answer, text) in [
        ("HTTP/1.1 404 Not Found\r\n\r\n", "the server answers 404 Not Found"),
        ("HTTP/1.1 503\r\n\r\n", "the server answers 503"),
        (
            "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 14\r\n\r\nnot\x07 you\nmore\n.",
            "the server answers 403 Forbidden: not\\x07 you",
        ),
        (
            "HTTP/1.0 400 Bad Request\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\n<p>a",
            "the server answers 400 Bad Request",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nendless", "the server answers 200 OK"),
    ] {
        let error = dial(&Ws::new(), "ws+mem:x", answer).await.1.unwrap_err();
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::InvalidData, text.to_owned()));
    }
}

#[test]
fn headers_that_cannot_be_sent() {
    for (name, value, error) in [
        ("a b", "c", "header a b: a name has letters, digits and -, as Authorization"),
        ("", "c", "header : a name has letters, digits and -, as Authorization"),
        ("a", "b\r\nc: d", "header a: a value has no line ends or other control characters"),
        ("Origin", "https://a", "header Origin: write it as an option of the endpoint"),
        ("host", "a", "header host: write it as an option of the endpoint"),
        (
            "Sec-WebSocket-Protocol",
            "a",
            "header Sec-WebSocket-Protocol: write it as the option protocol of the endpoint",
        ),
        ("sec-websocket-key", "a", "header sec-websocket-key: it is the handshake's own"),
        ("Connection", "close", "header Connection: it is the handshake's own"),
        ("Content-Length", "5", "header Content-Length: it is the handshake's own"),
    ] {
        assert_eq!(Ws::new().with_headers([(name, value)]).unwrap_err().to_string(), error);
    }
    let ws = Ws::new().with_headers([("Authorization", "secret")]).unwrap();
    assert_eq!(format!("{ws:?}"), "Ws { headers: [\"Authorization\"], page: false }");
}
