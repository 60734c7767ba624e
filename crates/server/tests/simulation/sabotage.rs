//! Faults of the server's own making, which the judge must find.

use std::borrow::Cow;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use swapwire_core::{
    BindError, Bound, ByteStream, Capabilities, ConnectError, Endpoint, Incoming, Link, Listener, Transport,
    async_trait,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sabotage {
    None,
    SwapsReplies,
    DropsAReply,
    DoublesAReply,
    CrossesClients,
    /// Where a read was cut to a piece, its last byte is lost.
    LosesAByteAtASlice,
    LeaksATask,
    KeepsTheName,
    NeverEndsACall,
}

/// Each, and what may be said of it.
pub(crate) const FOUND: &[(Sabotage, &[&str])] = &[
    (Sabotage::SwapsReplies, &["is not what"]),
    (Sabotage::DropsAReply, &["is not what", "replies of", "probe"]),
    (Sabotage::DoublesAReply, &["is not what", "more than"]),
    (Sabotage::CrossesClients, &["is not what", "of nobody's", "another client"]),
    (Sabotage::LosesAByteAtASlice, &["not what", "replies of", "hang", "probe"]),
    (Sabotage::LeaksATask, &["tasks are left"]),
    (Sabotage::KeepsTheName, &["is still bound"]),
    (Sabotage::NeverEndsACall, &["was cut", "deadline was missed", "replies of", "hang", "probe"]),
];

impl Sabotage {
    /// Spoils the replies of the call `number`.
    pub(crate) fn spoil(self, answers: &mut Vec<Vec<u8>>, number: usize) {
        let Some(last) = answers.last().cloned() else { return };
        match self {
            Self::SwapsReplies => answers.reverse(),
            Self::DropsAReply if number % 7 == 3 => drop(answers.pop()),
            Self::DoublesAReply if number % 7 == 3 => answers.push(last),
            Self::CrossesClients if number % 7 == 3 && last.len() > 1 => {
                let at = answers.len() - 1;
                answers[at][1] = if last[1] == b'0' { b'1' } else { b'0' };
            }
            _ => {}
        }
    }
}

/// A transport whose byte streams believe that one byte more was taken than was, where only a piece was.
pub(crate) struct Careless<T>(pub(crate) T);

#[async_trait]
impl<T: Transport> Transport for Careless<T> {
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        self.0.schemes()
    }

    fn capabilities(&self, scheme: &str) -> Capabilities {
        self.0.capabilities(scheme)
    }

    async fn bind(&self, endpoint: &Endpoint) -> Result<Bound, BindError> {
        Ok(match self.0.bind(endpoint).await? {
            Bound::Listener(listener) => Bound::Listener(Box::new(CarelessListener(listener))),
            other => other,
        })
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectError> {
        self.0.connect(endpoint).await
    }
}

struct CarelessListener(Box<dyn Listener>);

#[async_trait]
impl Listener for CarelessListener {
    fn local(&self) -> Endpoint {
        self.0.local()
    }

    async fn accept(&mut self) -> io::Result<Incoming> {
        let incoming = self.0.accept().await?;
        Ok(Incoming::pending(incoming.peer().clone(), async {
            Ok(match incoming.establish().await? {
                Link::Bytes { io, info, .. } => Link::bytes(CarelessStream(io), info),
                other => other,
            })
        }))
    }
}

struct CarelessStream(Box<dyn ByteStream>);

impl AsyncRead for CarelessStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for CarelessStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.0).poll_write(cx, bytes);
        wrote.map_ok(|len| bytes.len().min(len + 1))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
