//! `recv`, `send`, and what else a stream may fail at. Sockets wait out what may pass (`crates/socket`): what gets here is the
//! end of one connection.

use std::borrow::Cow;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};

use swapwire_core::{
    BindError, Bound, Capabilities, ConnectError, Endpoint, Framing, Incoming, Link, Listener, Registry, Session,
    SessionConfig, Transport, async_trait, handler_fn,
};
use swapwire_server::IntoService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::common::{Net, ask, until};
use crate::{ALL, EchoSession};

/// What fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Read,
    Write,
    Flush,
    Shutdown,
}

/// How the first connection fails.
#[derive(Clone)]
struct Fault {
    call: Call,
    errno: i32,
    calls: Arc<AtomicUsize>,
}

struct FailingStream {
    io: Box<dyn swapwire_core::ByteStream>,
    fault: Fault,
}

impl FailingStream {
    fn fails(&self, call: Call) -> Option<io::Error> {
        (self.fault.call == call).then(|| {
            self.fault.calls.fetch_add(1, Relaxed);
            io::Error::from_raw_os_error(self.fault.errno)
        })
    }
}

impl AsyncRead for FailingStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.fails(Call::Read) {
            Some(error) => Poll::Ready(Err(error)),
            None => Pin::new(&mut self.io).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for FailingStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.fails(Call::Write) {
            Some(error) => Poll::Ready(Err(error)),
            None => Pin::new(&mut self.io).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.fails(Call::Flush) {
            Some(error) => Poll::Ready(Err(error)),
            None => Pin::new(&mut self.io).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.fails(Call::Shutdown) {
            Some(error) => Poll::Ready(Err(error)),
            None => Pin::new(&mut self.io).poll_shutdown(cx),
        }
    }
}

/// The in-memory transport, whose first connection fails.
struct Failing {
    inner: Registry,
    fault: Fault,
}

struct FailingListener {
    inner: Box<dyn Listener>,
    fault: Option<Fault>,
}

#[async_trait]
impl Listener for FailingListener {
    fn local(&self) -> Endpoint {
        self.inner.local()
    }

    async fn accept(&mut self) -> io::Result<Incoming> {
        let incoming = self.inner.accept().await?;
        let Some(fault) = self.fault.take() else { return Ok(incoming) };
        Ok(match incoming.establish().await? {
            Link::Bytes { io, info } => Incoming::ready(Link::bytes(FailingStream { io, fault }, info)),
            other => Incoming::ready(other),
        })
    }
}

#[async_trait]
impl Transport for Failing {
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        vec!["mem".into()]
    }

    fn capabilities(&self, _: &str) -> Capabilities {
        Capabilities::byte_stream()
    }

    async fn bind(&self, endpoint: &Endpoint) -> Result<Bound, BindError> {
        match self.inner.bind(endpoint).await? {
            Bound::Listener(inner) => {
                Ok(Bound::Listener(Box::new(FailingListener { inner, fault: Some(self.fault.clone()) })))
            }
            other => Ok(other),
        }
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectError> {
        self.inner.connect(endpoint).await
    }
}

async fn survive<K>(call: Call, errno: i32, handler: impl IntoService<K>) {
    let net = Net::new();
    let fault = Fault { call, errno, calls: Arc::default() };
    let failing = Failing { inner: net.registry.clone(), fault: fault.clone() };
    let builder = net.server().transport(failing).listen("mem:a").handler(handler).framing(Framing::Lines);
    let server = builder.bind().await.unwrap().start();
    let connect = async || {
        let link = net.registry.connect(&"mem:a".parse().unwrap()).await.unwrap();
        Session::new(link, SessionConfig::framed(Framing::Lines))
    };
    let mut unlucky = connect().await;
    let mut lucky = connect().await;
    let _ = unlucky.send("x").await;
    let answer = tokio::time::timeout(std::time::Duration::from_secs(1), unlucky.recv()).await;
    // A peer that has not ended is shut down at the drain.
    let stays = (call == Call::Shutdown).then_some(unlucky);
    assert_eq!(ask(&mut lucky, "alive").await, "alive", "{call:?}, {errno}");
    until(&server, |stats| stats.done + stats.broken + stats.handler_errors == u64::from(stays.is_none())).await;
    drop(lucky);
    let report = server.stop().await;
    let stats = &report.stats;
    let what = format!("{call:?}, {errno}: {report}, answer {answer:?}");
    assert_eq!((report.is_clean(), stats.panics, stats.sessions), (true, 0, 2), "{what}");
    let calls = fault.calls.load(Relaxed);
    assert!((1..=4).contains(&calls), "{calls} calls: {what}");
    if matches!(call, Call::Read | Call::Write) {
        assert_eq!(stats.broken + stats.handler_errors, 1, "{what}");
        assert!(!matches!(answer, Ok(Ok(Some(_)))), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_error_ends_one_connection() {
    let echo = || handler_fn(|request, reply| Ok(reply.send(request.message())?));
    for errno in ALL {
        for call in [Call::Read, Call::Write, Call::Flush, Call::Shutdown] {
            survive(call, errno, echo()).await;
            survive(call, errno, EchoSession).await;
        }
    }
}
