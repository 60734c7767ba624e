//! The half at a server, over a wire whose reads are counted.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};

use futures::FutureExt as _;
use swapwire_core::{Addr, ByteStream, ConnInfo, Credentials, Link, Peer, UnixAddr, Upgrade as _, UpgradeServer};
use swapwire_proxy::{Command, Header, Proxy, ProxyInfo, Version, encode};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

const PROXY: &str = "127.0.0.1:4000";
const CLIENT: &str = "192.0.2.1:1234";

fn inet(text: &str) -> Addr {
    Addr::inet(text.parse().unwrap())
}

/// One that gives what arrived, a segment for each call, and then its end.
#[derive(Default)]
struct Wire {
    segments: VecDeque<Vec<u8>>,
    /// Instead of a clean one.
    end: Option<ErrorKind>,
    /// The largest buffer that was to be filled, and the calls.
    largest: Arc<AtomicUsize>,
    calls: Arc<AtomicUsize>,
}

impl Wire {
    fn of(segments: &[&[u8]]) -> Self {
        Self { segments: segments.iter().map(|segment| segment.to_vec()).collect(), ..Self::default() }
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.calls.fetch_add(1, Relaxed);
        self.largest.fetch_max(into.remaining(), Relaxed);
        let end = self.end;
        match (self.segments.front_mut(), end) {
            (Some(segment), _) => {
                let len = segment.len().min(into.remaining());
                into.put_slice(&segment[..len]);
                segment.drain(..len);
                if segment.is_empty() {
                    self.segments.pop_front();
                }
                Poll::Ready(Ok(()))
            }
            (None, Some(kind)) => Poll::Ready(Err(kind.into())),
            (None, None) => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        panic!("a receiver sends nothing")
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn server(options: &str) -> Arc<dyn UpgradeServer> {
    let endpoint = format!("proxy+tcp://127.0.0.1:1?{options}").parse().unwrap();
    Proxy::new().server(&endpoint).now_or_never().unwrap().unwrap()
}

/// What becomes of a wire from `peer`.
fn accept(options: &str, wire: Wire, peer: Peer) -> io::Result<(Box<dyn ByteStream>, ConnInfo)> {
    let info = ConnInfo::new(peer, inet("127.0.0.1:1"));
    match server(options).accept(Box::new(wire), info).now_or_never().unwrap()? {
        Link::Bytes { io, info } => Ok((io, info)),
        other => panic!("{other:?}"),
    }
}

fn from_proxy(wire: Wire) -> io::Result<(Box<dyn ByteStream>, ConnInfo)> {
    accept("trust=127.0.0.0/8", wire, Peer::new(inet(PROXY)))
}

fn rest(mut io: Box<dyn ByteStream>) -> Vec<u8> {
    let mut rest = Vec::new();
    io.read_to_end(&mut rest).now_or_never().unwrap().unwrap();
    rest
}

fn headers() -> Vec<Vec<u8>> {
    let mut long = Header::proxied(Version::V2, inet(CLIENT), inet("192.0.2.2:80"));
    long.tlvs.push(0xe0, &[7; 3000]).unwrap();
    let short = |version| Header::proxied(version, inet(CLIENT), inet("192.0.2.2:80"));
    vec![encode(&short(Version::V1), false), encode(&short(Version::V2), true), encode(&long, true)]
}

#[test]
fn a_header_and_what_follows_it_come_in_whatever_pieces() {
    for header in headers() {
        let all = [&header[..], b"right behind"].concat();
        for cut in 1..all.len() {
            let (io, info) = from_proxy(Wire::of(&[&all[..cut], &all[cut..]])).unwrap();
            assert_eq!(info.peer.addr(), &inet(CLIENT), "cut at {cut}");
            assert_eq!(rest(io), b"right behind", "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = all.chunks(1).collect();
        let (io, info) = from_proxy(Wire::of(&bytes)).unwrap();
        assert_eq!((info.peer.addr(), rest(io)), (&inet(CLIENT), b"right behind".to_vec()));
    }
}

#[test]
fn what_is_read_behind_a_header_is_given_first_into_whatever_room() {
    for header in headers() {
        let wire = Wire::of(&[&[&header[..], b"right behind"].concat(), b", and later"]);
        let (mut io, _) = from_proxy(wire).unwrap();
        let mut got = Vec::new();
        loop {
            let mut byte = [0; 5];
            match io.read(&mut byte).now_or_never().unwrap().unwrap() {
                0 => break,
                len => got.extend_from_slice(&byte[..len]),
            }
        }
        assert_eq!(got, b"right behind, and later");
    }
}

#[test]
fn a_connection_has_one_read_more_at_most_and_a_message_none() {
    const MESSAGES: usize = 100;
    for header in headers().iter().take(2) {
        for with_first in [false, true] {
            let mut wire = match with_first {
                true => Wire::of(&[&[&header[..], b"message"].concat()]),
                false => Wire::of(&[&header[..], b"message"]),
            };
            wire.segments.extend((1..MESSAGES).map(|_| b"message".to_vec()));
            let calls = Arc::clone(&wire.calls);
            let (mut io, _) = from_proxy(wire).unwrap();
            assert_eq!(calls.load(Relaxed), 1);
            for _ in 0..MESSAGES {
                let mut message = [0; 64];
                let len = io.read(&mut message).now_or_never().unwrap().unwrap();
                assert_eq!(&message[..len], b"message");
            }
            assert_eq!(calls.load(Relaxed), MESSAGES + usize::from(!with_first));
        }
    }
}

#[test]
fn a_header_that_ends_too_soon_is_an_error_at_every_byte() {
    for header in headers() {
        for cut in 1..header.len() {
            let error = from_proxy(Wire::of(&[&header[..cut]])).map(|_| ()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "cut at {cut}");
            assert_eq!(error.to_string(), "it closed within its PROXY header");
        }
    }
}

#[test]
fn one_that_closes_without_a_word_is_told_apart() {
    for end in [None, Some(ErrorKind::ConnectionReset)] {
        let error = from_proxy(Wire { end, ..Wire::default() }).map(|_| ()).unwrap_err();
        assert_eq!((error.kind(), &*error.to_string()), (ErrorKind::ConnectionAborted, "it closed without a word"));
    }
    // A reset behind the first byte is none of a check.
    let wire = Wire { end: Some(ErrorKind::ConnectionReset), ..Wire::of(&[b"PROXY"]) };
    assert_eq!(from_proxy(wire).map(|_| ()).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_peer_that_sends_no_header_is_refused_at_its_first_byte() {
    let wire = Wire::of(&[b"GET / HTTP/1.1\r\n\r\n"]);
    let error = from_proxy(wire).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert_eq!(error.to_string(), "no PROXY header: a trusted source must send one");
}

#[test]
fn what_is_read_is_bounded() {
    for most in [0_usize, 100, 4096, 65_312] {
        let mut header = Header::proxied(Version::V2, inet(CLIENT), inet("192.0.2.2:80"));
        if let Some(len) = most.checked_sub(3) {
            header.tlvs.push(9, &vec![0; len]).unwrap();
        }
        let wire = Wire::of(&[&encode(&header, false), &[7; 1 << 20]]);
        let largest = Arc::clone(&wire.largest);
        let options = format!("trust=127.0.0.1&max_tlvs={most}");
        let (_, info) = accept(&options, wire, Peer::new(inet(PROXY))).unwrap();
        assert_eq!(info.peer.addr(), &inet(CLIENT));
        assert!(largest.load(Relaxed) <= 1024.max(16 + 216 + most), "{most}: {largest:?}");
    }
}

#[test]
fn the_client_the_proxy_and_what_is_below_are_all_known() {
    let mut header = Header::proxied(Version::V2, inet(CLIENT), inet("192.0.2.2:80"));
    for (kind, value) in [(1, &b"h2"[..]), (2, b"example.com"), (5, b"id"), (0x20, &[1; 9])] {
        header.tlvs.push(kind, value).unwrap();
    }
    let credentials = Credentials::new(7, 8, Some(9));
    let proxy = Peer::new(Addr::Unix(UnixAddr::UNNAMED)).and(credentials);
    let (_, info) = accept("trust=10.0.0.0/8,unix", Wire::of(&[&encode(&header, false)]), proxy).unwrap();
    assert_eq!((info.peer.addr(), info.peer.get()), (&inet(CLIENT), Some(&credentials)));
    assert_eq!(info.local, inet("127.0.0.1:1"));
    let told: &ProxyInfo = info.peer.get().unwrap();
    assert_eq!((told.via, told.destination), (Addr::Unix(UnixAddr::UNNAMED), Some(inet("192.0.2.2:80"))));
    assert_eq!((told.version, told.command), (Version::V2, Command::Proxy));
    assert_eq!(
        (told.alpn(), told.authority(), told.unique_id()),
        (Some(&b"h2"[..]), Some("example.com"), Some(&b"id"[..]))
    );
    assert_eq!(told.tlvs.get(0x20), Some(&[1; 9][..]));
}

#[test]
fn the_proxys_own_connection_keeps_its_address() {
    for version in [Version::V1, Version::V2] {
        let (_, info) = from_proxy(Wire::of(&[&encode(&Header::local(version), false)])).unwrap();
        let told: &ProxyInfo = info.peer.get().unwrap();
        assert_eq!((info.peer.addr(), told.via), (&inet(PROXY), inet(PROXY)));
        assert_eq!((told.version, told.command, told.destination), (version, Command::Local, None));
    }
}

#[test]
fn only_who_is_trusted_is_believed() {
    let header = encode(&Header::proxied(Version::V1, inet(CLIENT), inet("192.0.2.2:80")), false);
    let named = |scheme| Addr::named(scheme, "x").unwrap();
    let unix = Addr::Unix(UnixAddr::UNNAMED);
    for (trust, trusted, others) in [
        (
            "127.0.0.0/8",
            vec![inet("127.9.9.9:1"), inet("[::ffff:127.0.0.1]:1")],
            vec![inet("128.0.0.1:1"), inet("[::1]:1"), unix],
        ),
        ("127.0.0.1", vec![inet("127.0.0.1:1")], vec![inet("127.0.0.2:1")]),
        ("::ffff:127.0.0.1", vec![inet("127.0.0.1:1")], vec![inet("127.0.0.2:1")]),
        ("10.1.2.3/8,2001:db8::/32", vec![inet("10.9.9.9:1"), inet("[2001:db8::9]:1")], vec![inet("[2001:db9::]:1")]),
        (
            "unix",
            vec![unix, Addr::Unix(UnixAddr::from_abstract(b"x").unwrap())],
            vec![inet("127.0.0.1:1"), named("mem")],
        ),
        ("mem", vec![named("mem")], vec![unix, named("memory")]),
    ] {
        for (addrs, is_trusted) in [(trusted, true), (others, false)] {
            for addr in addrs {
                let with = |options: &str| {
                    let accepted = accept(&format!("trust={trust}{options}"), Wire::of(&[&header]), Peer::new(addr));
                    accepted.map(|(io, info)| (*info.peer.addr(), info.peer.get::<ProxyInfo>().is_some(), rest(io)))
                };
                assert_eq!(server(&format!("trust={trust}")).renames(&Peer::new(addr)), is_trusted, "{trust} {addr}");
                if is_trusted {
                    assert_eq!(with("&untrusted=plain").unwrap(), (inet(CLIENT), true, vec![]), "{trust} {addr}");
                    continue;
                }
                // Its header is what any client might send.
                assert_eq!(with("&untrusted=plain").unwrap(), (addr, false, header.clone()), "{trust} {addr}");
                let error = with("").unwrap_err();
                assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{trust} {addr}");
                assert_eq!(
                    error.to_string(),
                    "it is not among the proxies of trust=; untrusted=plain serves others, too"
                );
            }
        }
    }
}

#[test]
fn bytes_of_others_are_not_looked_at() {
    let wire = Wire::of(&[b"anything"]);
    let calls = Arc::clone(&wire.calls);
    let (io, _) = accept("trust=10.0.0.1&untrusted=plain", wire, Peer::new(inet(PROXY))).unwrap();
    assert_eq!((calls.load(Relaxed), rest(io)), (0, b"anything".to_vec()));
}
