//! A layer for the simulation: each byte is combined with one that both ends know.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use swapwire_core::{
    ByteStream, ConnInfo, Endpoint, Link, Upgrade, UpgradeClient, UpgradeError, UpgradeServer, async_trait,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What each byte is combined with.
const MASK: u8 = 0x5a;

#[derive(Clone, Copy)]
pub(crate) struct Mask;

#[async_trait]
impl Upgrade for Mask {
    fn name(&self) -> &'static str {
        "mask"
    }

    async fn server(&self, _: &Endpoint) -> Result<Arc<dyn UpgradeServer>, UpgradeError> {
        Ok(Arc::new(*self))
    }

    async fn client(&self, _: &Endpoint) -> Result<Arc<dyn UpgradeClient>, UpgradeError> {
        Ok(Arc::new(*self))
    }
}

#[async_trait]
impl UpgradeServer for Mask {
    async fn accept(&self, io: Box<dyn ByteStream>, info: ConnInfo) -> io::Result<Link> {
        Ok(Link::bytes(Masked(io), info))
    }
}

#[async_trait]
impl UpgradeClient for Mask {
    async fn connect(&self, io: Box<dyn ByteStream>, info: ConnInfo) -> io::Result<Link> {
        Ok(Link::bytes(Masked(io), info))
    }
}

struct Masked(Box<dyn ByteStream>);

impl AsyncRead for Masked {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.0).poll_read(cx, into);
        into.filled_mut()[before..].iter_mut().for_each(|byte| *byte ^= MASK);
        read
    }
}

impl AsyncWrite for Masked {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let masked: Vec<u8> = bytes.iter().map(|byte| byte ^ MASK).collect();
        Pin::new(&mut self.0).poll_write(cx, &masked)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
