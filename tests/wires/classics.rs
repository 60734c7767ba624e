//! The classic small services and the chat, by name, over streams and datagrams.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::{SystemTime, UNIX_EPOCH};

use crate::common::{Net, Places, ask, tell, text, until, within};
use swapwire::handlers::Chat;
use swapwire::{Endpoint, Framing, IntoService as _, Running, Session, default_handlers};

async fn start(net: &Net, endpoint: &str, name: &str) -> (Running, Endpoint) {
    let handlers = default_handlers();
    let handler = handlers.get(name).unwrap().make();
    let server = net.server().listen(endpoint).framing(Framing::Chunks).handler(handler).bind().await.unwrap().start();
    let local = server.local_endpoints()[0].clone();
    (server, local)
}

async fn dial(net: &Net, local: &Endpoint) -> Session {
    net.connect_framed(local, Framing::Chunks).await
}

/// Reads a stream to its end.
async fn rest(session: &mut Session) -> Vec<u8> {
    within("the rest", async {
        let mut all = Vec::new();
        while let Some(piece) = session.recv().await.unwrap() {
            all.extend_from_slice(&piece);
        }
        all
    })
    .await
}

/// RFC 868 counts from 1900.
fn seconds_since_1900() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 2_208_988_800
}

fn is_now(bytes: &[u8]) {
    let told = u64::from(u32::from_be_bytes(bytes.try_into().unwrap()));
    let now = seconds_since_1900() & 0xffff_ffff;
    assert!(told.abs_diff(now) < 60, "{told} is not about {now}");
}

fn is_a_line_of_time(line: &str) {
    assert!(line.ends_with("\r\n") && line.lines().count() == 1 && line.len() < 64, "{line:?}");
    assert!(line.contains(':') && line.contains("20"), "{line:?}");
}

#[tokio::test]
async fn over_streams() {
    let (places, net) = (Places::new(), Net::new());
    for endpoint in places.streams() {
        let (server, local) = start(&net, &endpoint, "echo").await;
        let mut session = dial(&net, &local).await;
        session.send("as it is").await.unwrap();
        session.shutdown().await.unwrap();
        assert_eq!(rest(&mut session).await, b"as it is", "{local}");
        drop(session);
        server.stop().await;

        let (server, local) = start(&net, &endpoint, "discard").await;
        let mut session = dial(&net, &local).await;
        session.send("to the wind").await.unwrap();
        session.shutdown().await.unwrap();
        assert_eq!(rest(&mut session).await, b"", "{local}");
        drop(session);
        until(&server, |stats| stats.done == 1 && stats.messages == 1).await;
        server.stop().await;

        let (server, local) = start(&net, &endpoint, "chargen").await;
        let mut session = dial(&net, &local).await;
        let mut got = Vec::new();
        while got.len() < 3 * 74 * 95 {
            got.extend_from_slice(&within(&local, session.recv()).await.unwrap().unwrap());
        }
        assert!(got.starts_with(b" !\"#$%&'()*+,-./0123456789:;"), "{local}");
        assert_eq!(got[..74 * 95], got[74 * 95..2 * 74 * 95], "{local}");
        drop(session);
        until(&server, |stats| stats.done + stats.broken == 1).await;
        server.stop().await;

        let (server, local) = start(&net, &endpoint, "daytime").await;
        let line = rest(&mut dial(&net, &local).await).await;
        is_a_line_of_time(std::str::from_utf8(&line).unwrap());
        server.stop().await;

        let (server, local) = start(&net, &endpoint, "time").await;
        is_now(&rest(&mut dial(&net, &local).await).await);
        server.stop().await;
    }
}

#[tokio::test]
async fn over_datagrams() {
    let (places, net) = (Places::new(), Net::new());
    for endpoint in places.datagrams() {
        let (server, local) = start(&net, &endpoint, "echo").await;
        let mut session = dial(&net, &local).await;
        for message in ["as it is", "", "x"] {
            assert_eq!(ask(&mut session, message).await, message, "{local}");
        }
        server.stop().await;

        let (server, local) = start(&net, &endpoint, "discard").await;
        let mut session = dial(&net, &local).await;
        tell(&mut session, "to the wind").await;
        tell(&mut session, "").await;
        until(&server, |stats| stats.messages == 2).await;
        let report = server.stop().await;
        assert_eq!((report.stats.messages, report.stats.failed_replies), (2, 0), "{local}: {report}");

        let (server, local) = start(&net, &endpoint, "chargen").await;
        let mut session = dial(&net, &local).await;
        for _ in 0..20 {
            let characters = ask(&mut session, "").await;
            assert!(
                characters.len() <= 512 && characters.chars().all(|c| (' '..='~').contains(&c) || "\r\n".contains(c))
            );
        }
        server.stop().await;

        for request in ["", "anything"] {
            let (server, local) = start(&net, &endpoint, "daytime").await;
            is_a_line_of_time(&ask(&mut dial(&net, &local).await, request).await);
            server.stop().await;

            let (server, local) = start(&net, &endpoint, "time").await;
            let mut session = dial(&net, &local).await;
            tell(&mut session, request).await;
            is_now(&within(&local, session.recv()).await.unwrap().unwrap());
            server.stop().await;
        }
    }
}

#[tokio::test]
async fn an_amplifying_handler_stays_on_loopback_unless_asked() {
    let net = Net::new();
    let make = || default_handlers().get("chargen").unwrap().make();
    let error = net.server().listen("udp://0.0.0.0:0").handler(make()).bind().await.unwrap_err();
    assert!(error.to_string().contains("loopback"), "{error}");
    let _ = net.server().listen("udp://0.0.0.0:0").handler(make()).allow_amplification(true).bind().await.unwrap();
}

#[tokio::test]
async fn a_chat_joins_all_wires() {
    let (places, net) = (Places::new(), Net::new());
    let chat = Chat::new();
    let endpoints = ["tcp://127.0.0.1:0", "udp://127.0.0.1:0", &places.unix_dgram(), &places.unix(), "mem-seq:chat"];
    let mut builder = net.server().handler(chat.clone().into_service());
    for endpoint in endpoints {
        builder = builder.listen(endpoint);
    }
    let server = builder.bind().await.unwrap().start();
    let locals = server.local_endpoints().to_vec();
    let mut guests = Vec::new();
    // Two guests on each wire. An empty message says nothing, but it is what brings a datagram's sender in.
    for local in locals.iter().chain(&locals) {
        let mut session = net.connect(local).await;
        tell(&mut session, "").await;
        guests.push(session);
        within("a member", async {
            while chat.members() < guests.len() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    for speaker in 0..guests.len() {
        let name = guests[speaker].local().to_string();
        tell(&mut guests[speaker], format!("hello from {speaker}")).await;
        for (i, guest) in guests.iter_mut().enumerate().filter(|(i, _)| *i != speaker) {
            let heard = text(guest).await;
            assert_eq!(heard, format!("{name}: hello from {speaker}"), "heard by {i}");
        }
    }
    drop(guests);
    let report = within("the drain", server.stop()).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!((chat.members(), chat.dropped()), (0, 0));
}
