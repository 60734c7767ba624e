//! Descriptors that peers of Unix sockets send do not pile up in a server, whatever serves.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;
#[path = "../crates/unix/tests/common/rights.rs"]
mod rights;

use std::path::Path;

use common::{Net, Places, port, within};
use rights::{are_closed, send, sender};
use swapwire::handlers::UppercaseEcho;
use swapwire::{HandlerError, IntoService, Session, SessionHandler, async_trait, handler_fn_async};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixDatagram, UnixStream};

const COUNT: u64 = 20;
/// Where the system tells of them.
const TOLD: u64 =
    if cfg!(all(any(target_os = "linux", target_os = "android"), not(swapwire_plain))) { COUNT } else { 0 };

struct InSessions;

#[async_trait]
impl SessionHandler for InSessions {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        while let Some(message) = session.recv().await? {
            session.send(message.to_ascii_uppercase()).await?;
        }
        Ok(())
    }
}

fn may_wait() -> impl swapwire::Handler {
    handler_fn_async(|message| async move {
        tokio::task::yield_now().await;
        Ok(message.to_ascii_uppercase())
    })
}

async fn over_datagrams<K>(handler: impl IntoService<K>, workers: Option<usize>) {
    let (places, net) = (Places::new(), Net::new());
    let mut builder = net.server().listen(places.unix_dgram()).handler(handler);
    if let Some(workers) = workers {
        builder = builder.workers(workers);
    }
    let server = builder.bind().await.unwrap().start();
    let to = port(&server.local_endpoints()[0]);
    let socket = std::os::unix::net::UnixDatagram::from(sender(Some(&places.path())));
    socket.set_nonblocking(true).unwrap();
    let client = UnixDatagram::from_std(socket).unwrap();
    for _ in 0..COUNT {
        let pipe = send(&client, b"hello", Some(Path::new(&to)), 50);
        let mut reply = [0; 9];
        let len = within("a reply", client.recv(&mut reply)).await.unwrap();
        assert_eq!(&reply[..len], b"HELLO");
        assert!(are_closed(&pipe));
    }
    let report = server.stop().await;
    assert_eq!((report.stats.messages, report.stats.with_descriptors), (COUNT, TOLD), "{report}");
    assert_eq!(
        report.to_string().contains(&format!(", {COUNT} datagrams came with descriptors")),
        TOLD > 0,
        "{report}"
    );
}

async fn over_streams<K>(handler: impl IntoService<K>, workers: Option<usize>) {
    let (places, net) = (Places::new(), Net::new());
    let mut builder = net.server().listen(places.unix()).handler(handler);
    if let Some(workers) = workers {
        builder = builder.workers(workers);
    }
    let server = builder.bind().await.unwrap().start();
    let mut client = UnixStream::connect(port(&server.local_endpoints()[0])).await.unwrap();
    for _ in 0..COUNT {
        let pipe = send(&client, b"hello\n", None, 50);
        let mut reply = [0; 6];
        within("a reply", client.read_exact(&mut reply)).await.unwrap();
        assert_eq!(&reply, b"HELLO\n");
        assert!(are_closed(&pipe));
    }
    client.shutdown().await.unwrap();
    assert!(server.stop().await.is_clean());
}

#[tokio::test]
async fn no_descriptor_of_a_datagram_stays_open() {
    for workers in [None, Some(2)] {
        over_datagrams(UppercaseEcho, workers).await;
        over_datagrams(may_wait(), workers).await;
        over_datagrams(InSessions, workers).await;
    }
}

#[tokio::test]
async fn no_descriptor_of_a_stream_stays_open() {
    for workers in [None, Some(2)] {
        over_streams(UppercaseEcho, workers).await;
        over_streams(may_wait(), workers).await;
        over_streams(InSessions, workers).await;
    }
}
