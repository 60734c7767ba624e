//! What speaks another protocol to us is closed or answered in time, and whoever speaks ours does not notice.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::Duration;

use crate::common::{Net, Places, within};
use futures::FutureExt as _;
use swapwire::handlers::Echo;
use swapwire::{
    Endpoint, Framing, HandlerError, HandlerProperties, Limits, Link, Running, Session, SessionConfig, SessionHandler,
    async_trait,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Longer than anybody who speaks our protocol waits for a turn among all of them.
const DEADLINE: Duration = Duration::from_secs(5);

/// The greetings of others.
fn greetings() -> Vec<(&'static str, Vec<u8>)> {
    let mut hello = vec![22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3];
    hello.extend((0..194_u8).map(|i| i.wrapping_mul(37)));
    let mut state = 88_172_645_463_325_252_u64;
    let random = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    });
    vec![
        ("HTTP", b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody".to_vec()),
        ("TLS", hello),
        ("SSH", b"SSH-2.0-OpenSSH_9.6\r\n".to_vec()),
        ("Redis", b"*1\r\n$4\r\nPING\r\n".to_vec()),
        ("random bytes", random.take(4096).collect()),
    ]
}

fn framings() -> Vec<Framing> {
    ["chunks", "lines", "length", "length:2", "length:3", "varint", "delimiter:END", "fixed:7"]
        .map(|text| text.parse().unwrap())
        .into()
}

/// Answers each message.
struct Answer;

#[async_trait]
impl SessionHandler for Answer {
    fn properties(&self) -> HandlerProperties {
        HandlerProperties::new().any_slicing()
    }

    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        while let Some(message) = session.recv().await? {
            session.send(&message).await?;
        }
        Ok(())
    }
}

/// Sends `junk` and takes what comes, until the server closes. If `ends`, the end of the sending follows.
async fn junk(net: &Net, local: &Endpoint, junk: &[u8], ends: bool) -> usize {
    let mut answered = 0;
    match net.registry.connect(local).await.unwrap() {
        Link::Bytes { mut io, .. } => {
            // It may be closed before all of it is written.
            let _ = io.write_all(junk).await;
            if ends {
                let _ = io.shutdown().await;
            }
            let mut answer = Vec::new();
            let _ = io.read_to_end(&mut answer).await;
            answered = answer.len();
        }
        link => {
            let mut session = Session::new(link, SessionConfig::default());
            let _ = session.send(junk).await;
            let _ = if ends { session.shutdown().await } else { session.flush().await };
            while let Ok(Some(message)) = session.recv().await {
                answered += message.len();
            }
        }
    }
    answered
}

/// Somebody who speaks as the server does.
async fn is_answered(net: &Net, local: &Endpoint, framing: &Framing) {
    let mut session = net.connect_framed(local, framing.clone()).await;
    let echo = async {
        session.send("welcome").await.unwrap();
        session.recv().await.unwrap().unwrap()
    };
    assert_eq!(within(format!("{local} after the junk"), echo).await, "welcome");
}

async fn serve(net: &Net, endpoint: &str, framing: &Framing, sessions: bool) -> (Running, Endpoint) {
    let mut limits = Limits::default();
    (limits.idle_timeout, limits.frame_timeout) = (Some(DEADLINE), Some(DEADLINE));
    let builder = net.server().listen(endpoint).framing(framing.clone()).limits(limits);
    let builder = if sessions { builder.handler(Answer) } else { builder.handler(Echo) };
    let server = builder.bind().await.unwrap().start();
    let local = server.local_endpoints()[0].clone();
    (server, local)
}

async fn everybodys_junk_is_survived(sessions: bool) {
    let (net, places) = (Net::new(), Places::new());
    let mut all = Vec::new();
    for framing in framings() {
        for endpoint in places.connected() {
            let (server, local) = serve(&net, &endpoint, &framing, sessions).await;
            all.push((server, local, framing.clone()));
        }
    }
    let clients = all.iter().flat_map(|(_, local, framing)| {
        let net = &net;
        greetings().into_iter().flat_map(move |(name, bytes)| {
            [true, false].map(|ends| {
                let bytes = bytes.clone();
                async move {
                    let what = format!("{name} at {local} ({framing})");
                    let answered = within(&what, junk(net, local, &bytes, ends)).await;
                    assert!(answered <= 2 * bytes.len(), "{what}: {answered} B of answers");
                    is_answered(net, local, framing).await;
                }
                .boxed_local()
            })
        })
    });
    futures::future::join_all(clients).await;
    for (server, local, _) in all {
        let stats = server.stop().await.stats;
        assert_eq!((stats.panics, stats.cut), (0, 0), "{local}");
        assert_eq!(stats.sessions, 2 * 2 * greetings().len() as u64, "{local}");
    }
}

#[tokio::test]
async fn a_message_handler_survives_other_protocols() {
    everybodys_junk_is_survived(false).await;
}

#[tokio::test]
async fn a_session_handler_survives_other_protocols() {
    everybodys_junk_is_survived(true).await;
}
