//! A listener with one fault.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};

use swapwire_core::{ByteStream, Endpoint, Incoming, Link, Listener, async_trait};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::yield_now;

use crate::Fault;
use crate::transport::{made_up, spoil};

pub(crate) struct FaultyListener {
    listener: Option<Box<dyn Listener>>,
    fault: Fault,
    /// One connection may be in its handshake, or open.
    one: Arc<Semaphore>,
    dropped: Arc<AtomicBool>,
    refuses: bool,
    /// Of the runtime that bound it.
    registered: Option<(UnixStream, UnixStream)>,
}

/// Ends what does not give its thread back: it is the test's.
pub(crate) static GIVE_BACK: AtomicBool = AtomicBool::new(false);

impl FaultyListener {
    pub(crate) fn new(listener: Box<dyn Listener>, fault: Fault) -> Self {
        let registers = fault == Fault::RegistersInBind;
        Self {
            registered: registers.then(|| UnixStream::pair().expect("a pair of sockets")),
            listener: Some(listener),
            fault,
            one: Arc::new(Semaphore::new(1)),
            dropped: Arc::default(),
            refuses: false,
        }
    }
}

#[async_trait]
impl Listener for FaultyListener {
    fn local(&self) -> Endpoint {
        match &self.listener {
            Some(listener) if self.fault != Fault::LocalIsElsewhere => listener.local(),
            _ => "mem:elsewhere".parse().expect("an endpoint"),
        }
    }

    async fn accept(&mut self) -> io::Result<Incoming> {
        let fault = self.fault;
        if self.refuses && fault == Fault::RefusesThoseWhoWait {
            return std::future::pending().await;
        }
        if let Some((_, registered)) = &self.registered {
            registered.writable().await?;
        }
        match fault {
            _ if !self.refuses => {}
            Fault::SpinsOnceItRefuses => loop {
                yield_now().await;
            },
            Fault::LoopsOnceItRefuses => {
                while !GIVE_BACK.load(Relaxed) {
                    std::hint::spin_loop();
                }
            }
            Fault::FailsOnceItRefuses => return Err(io::ErrorKind::InvalidInput.into()),
            _ => {}
        }
        let serial = matches!(fault, Fault::HandshakesInAccept | Fault::OneAtATime);
        let permit = if serial { Arc::clone(&self.one).acquire_owned().await.ok() } else { None };
        let incoming = self.listener.as_mut().expect("it is there until the drop").accept().await?;
        if fault == Fault::AcceptLosesWhenCancelled {
            yield_now().await;
        }
        let dropped = Arc::clone(&self.dropped);
        Ok(Incoming::pending(incoming.peer().clone(), async move {
            let link = spoil(incoming.establish().await?, fault);
            Ok(match (link, fault) {
                (Link::Bytes { io, info }, Fault::DropKillsSessions | Fault::OneAtATime) => {
                    Link::bytes(Tied { io, dropped, _permit: permit }, info)
                }
                (Link::Messages { io, info }, Fault::PeerIsMadeUp) => {
                    Link::messages(crate::messages::FaultyMessages::new(io, fault), made_up(info))
                }
                (link, _) => link,
            })
        }))
    }

    fn refuse_arrivals(&mut self) -> io::Result<()> {
        self.refuses = true;
        Ok(())
    }
}

impl Drop for FaultyListener {
    fn drop(&mut self) {
        self.dropped.store(true, Relaxed);
        if self.fault == Fault::KeepsTheName {
            std::mem::forget(self.listener.take());
        }
    }
}

/// A stream that dies with its listener, and lets it go on by its own death.
struct Tied {
    io: Box<dyn ByteStream>,
    dropped: Arc<AtomicBool>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Tied {
    fn alive(&mut self) -> io::Result<Pin<&mut Box<dyn ByteStream>>> {
        if self.dropped.load(Relaxed) { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(Pin::new(&mut self.io)) }
    }
}

impl AsyncRead for Tied {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.alive()?.poll_read(cx, buf)
    }
}

impl AsyncWrite for Tied {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.alive()?.poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.alive()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.alive()?.poll_shutdown(cx)
    }
}
