//! A layer with a handshake and a good-bye, and one fault. Each end says `TOY` first; then come frames, each a byte with its
//! length before it, and an empty frame is the good-bye.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::task::noop_waker_ref;
use swapwire_core::{
    ByteStream, Capabilities, ConnInfo, Endpoint, Link, Peer, Upgrade, UpgradeClient, UpgradeError, UpgradeServer,
    async_trait,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};

use crate::Fault;

const HELLO: &[u8; 3] = b"TOY";
const LARGEST: usize = u8::MAX as usize;

#[derive(Clone, Copy)]
pub(crate) struct Toy(pub(crate) Fault);

#[async_trait]
impl Upgrade for Toy {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn capabilities(&self, mut below: Capabilities) -> Capabilities {
        below.says_goodbye = true;
        below
    }

    async fn server(&self, _: &Endpoint) -> Result<Arc<dyn UpgradeServer>, UpgradeError> {
        Ok(Arc::new(*self))
    }

    async fn client(&self, _: &Endpoint) -> Result<Arc<dyn UpgradeClient>, UpgradeError> {
        Ok(Arc::new(*self))
    }
}

#[async_trait]
impl UpgradeServer for Toy {
    async fn accept(&self, mut io: Box<dyn ByteStream>, info: ConnInfo) -> io::Result<Link> {
        self.hear(&mut io).await?;
        self.say(&mut io).await?;
        Ok(self.link(io, info))
    }
}

#[async_trait]
impl UpgradeClient for Toy {
    async fn connect(&self, mut io: Box<dyn ByteStream>, info: ConnInfo) -> io::Result<Link> {
        self.say(&mut io).await?;
        self.hear(&mut io).await?;
        Ok(self.link(io, info))
    }
}

impl Toy {
    async fn say(&self, io: &mut Box<dyn ByteStream>) -> io::Result<()> {
        io.write_all(HELLO).await?;
        io.flush().await
    }

    async fn hear(&self, io: &mut Box<dyn ByteStream>) -> io::Result<()> {
        let mut heard = [0; 64];
        match self.0 {
            Fault::WantsOnePiece => {
                let len = io.read(&mut heard[..HELLO.len()]).await?;
                (len == HELLO.len()).then_some(()).ok_or(io::ErrorKind::InvalidData)?;
            }
            // What it reads behind the handshake is lost.
            Fault::ReadsTooFar => {
                let mut len = 0;
                while len < HELLO.len() {
                    match io.read(&mut heard[len..]).await? {
                        0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                        more => len += more,
                    }
                }
            }
            _ => {
                io.read_exact(&mut heard[..HELLO.len()]).await?;
            }
        }
        heard.starts_with(HELLO).then_some(()).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    fn link(&self, io: Box<dyn ByteStream>, mut info: ConnInfo) -> Link {
        if self.0 == Fault::ForgetsThePeer {
            info.peer = Peer::new(*info.peer.addr());
        }
        Link::bytes(Frames { io, fault: self.0, frame: 0, ended: false, out: Vec::new(), taken: 0, bye: false }, info)
    }
}

struct Frames {
    io: Box<dyn ByteStream>,
    fault: Fault,
    /// What is still to come of a frame.
    frame: usize,
    /// The peer said good-bye.
    ended: bool,
    /// A frame that was not written as yet, or the good-bye.
    out: Vec<u8>,
    /// How much of what was to be written it has.
    taken: usize,
    /// The good-bye was said, or is in it.
    bye: bool,
}

impl Frames {
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            let len = ready!(Pin::new(&mut self.io).poll_write(cx, &self.out))?;
            self.out.drain(..len);
        }
        Poll::Ready(Ok(()))
    }

    /// Reads at most so many bytes; 0 at the end of the wire below.
    fn poll_in(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>, most: usize) -> Poll<io::Result<usize>> {
        let mut bytes = [0; LARGEST];
        let mut part = ReadBuf::new(&mut bytes[..most.min(into.remaining())]);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut part))?;
        into.put_slice(part.filled());
        let len = part.filled().len();
        Poll::Ready(Ok(len))
    }
}

impl AsyncRead for Frames {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while !this.ended && into.remaining() > 0 {
            let mut header = [0];
            let len = match this.frame {
                0 => ready!(this.poll_in(cx, &mut ReadBuf::new(&mut header), 1))?,
                left => ready!(this.poll_in(cx, into, left))?,
            };
            match (len, this.frame) {
                (0, _) if this.fault == Fault::TakesACutForTheEnd => this.ended = true,
                (0, _) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                (_, 0) => {
                    this.frame = usize::from(header[0]);
                    this.ended = this.frame == 0;
                }
                (len, _) => {
                    this.frame -= len;
                    break;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Frames {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        // What it takes it has given away: nobody need flush. So a call that waits is made again with the same bytes.
        if this.out.is_empty() && !bytes.is_empty() {
            this.taken = bytes.len().min(LARGEST);
            this.out.push(this.taken as u8);
            this.out.extend_from_slice(&bytes[..this.taken]);
        }
        if this.fault != Fault::WaitsForAFlush {
            ready!(this.poll_out(cx))?;
        }
        Poll::Ready(Ok(this.taken.min(bytes.len())))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_out(cx))?;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !std::mem::replace(&mut this.bye, true) && this.fault != Fault::SaysNoGoodbye {
            this.out.push(0);
        }
        ready!(this.poll_out(cx))?;
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        if self.fault == Fault::SaysGoodbyeAtDrop {
            let _ = Pin::new(self).poll_shutdown(&mut Context::from_waker(noop_waker_ref()));
        }
    }
}
