//! A service of a third party that serves sessions on a datagram socket by itself: their deadlines are the server's.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::common::{Net, limits};
use bytes::BytesMut;
use swapwire_core::{
    Addr, Capabilities, ConnInfo, DatagramSocket, Framing, HandlerError, Link, MessageStream, Peer, RecvBatch,
    RecvError, SendError, Session, SessionHandler, async_trait,
};
use swapwire_server::{PerSession, ServeContext, Service, SessionEnd};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

const IDLE: Duration = Duration::from_secs(3);

/// Waits for a message that never comes.
struct Waits;

#[async_trait]
impl SessionHandler for Waits {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        session.recv().await?;
        Ok(())
    }
}

/// A peer that says no more than its first word.
struct Silent;

impl MessageStream for Silent {
    fn poll_recv(&mut self, _: &mut Context<'_>, _: &mut BytesMut) -> Poll<Result<Option<usize>, RecvError>> {
        Poll::Pending
    }

    fn poll_send(&mut self, _: &mut Context<'_>, _: &[u8]) -> Poll<Result<(), SendError>> {
        Poll::Ready(Ok(()))
    }

    fn max_message(&self) -> usize {
        1024
    }
}

/// Serves one session, begun by the first datagram, and says how it ended.
struct OneSession {
    sessions: Arc<PerSession<Waits>>,
    ended: mpsc::Sender<SessionEnd>,
}

#[async_trait]
impl Service for OneSession {
    fn check(&self, _: &Capabilities, _: &Framing) -> Result<(), String> {
        Ok(())
    }

    fn amplifies(&self) -> bool {
        false
    }

    async fn serve_link(self: Arc<Self>, link: Link, cx: Arc<ServeContext>) -> SessionEnd {
        Arc::clone(&self.sessions).serve_link(link, cx).await
    }

    async fn serve_socket(&self, mut socket: Box<dyn DatagramSocket>, cx: &ServeContext) -> io::Result<u64> {
        let mut batch = RecvBatch::new(1, socket.max_message());
        poll_fn(|task| socket.poll_recv(task, &mut batch)).await?;
        let here = Addr::named("mem", "here").unwrap();
        let link = Link::messages(Silent, ConnInfo::new(Peer::new(here), here));
        let end = Arc::clone(&self.sessions).serve_link(link, Arc::new(cx.clone())).await;
        self.ended.send(end).await.map_err(io::Error::other)?;
        cx.draining().await;
        Ok(0)
    }
}

#[tokio::test(start_paused = true)]
async fn the_clock_of_a_socket_runs_for_whatever_serves_it() {
    let net = Net::new();
    let (ended, mut end) = mpsc::channel(1);
    let service: Arc<dyn Service> = Arc::new(OneSession { sessions: Arc::new(PerSession::new(Waits)), ended });
    let server = net.server().listen("mem-dgram:a").handler(service).limits(limits(|l| l.idle_timeout = Some(IDLE)));
    let server = server.bind().await.unwrap().start();
    let begun = Instant::now();
    let mut client = net.connect("mem-dgram:a").await;
    client.send("hello").await.unwrap();
    client.flush().await.unwrap();
    let end = timeout(IDLE * 10, end.recv()).await.expect("the session has a deadline");
    assert_eq!(end, Some(SessionEnd::IdleTimeout));
    assert!(begun.elapsed() >= IDLE && begun.elapsed() < IDLE * 2, "{:?}", begun.elapsed());
    assert!(server.stop().await.is_clean());
}
