//! A layer of your own: a protocol over byte streams, on whatever wire. `cargo run --example layer`.
//!
//! This one masks each byte, which keeps nothing secret: it shows what a layer is. The rest is the same for all layers, so a
//! [`Stacked`](swapwire::Stacked) has it: schemes, options, groups of workers, the drain, errors, deadlines.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use swapwire::core::{OptionDoc, Side};
use swapwire::{
    ByteStream, ConnInfo, Endpoint, Link, Upgrade, UpgradeClient, UpgradeError, UpgradeServer, async_trait,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

// --- layer ---
const OPTIONS: &[OptionDoc] =
    &[OptionDoc::new("mask", "number, default 90", "what each byte is combined with", Side::Both)];
/// The layer `mask`: both ends combine each byte with the same one.
#[derive(Clone)]
pub(crate) struct Mask;
#[async_trait]
impl Upgrade for Mask {
    fn name(&self) -> &'static str {
        "mask"
    }
    fn options(&self) -> &[OptionDoc] {
        OPTIONS
    }
    async fn server(&self, endpoint: &Endpoint) -> Result<Arc<dyn UpgradeServer>, UpgradeError> {
        Ok(half(endpoint)?)
    }
    async fn client(&self, endpoint: &Endpoint) -> Result<Arc<dyn UpgradeClient>, UpgradeError> {
        Ok(half(endpoint)?)
    }
}
struct Half(u8);
fn half(endpoint: &Endpoint) -> Result<Arc<Half>, UpgradeError> {
    Ok(Arc::new(Half(endpoint.read_options().get("mask")?.unwrap_or(90))))
}
#[async_trait]
impl UpgradeServer for Half {
    async fn accept(&self, io: Box<dyn ByteStream>, info: ConnInfo) -> io::Result<Link> {
        Ok(Link::bytes(Masked(io, self.0), info))
    }
    fn dial_options(&self) -> Vec<(&'static str, String)> {
        vec![("mask", self.0.to_string())]
    }
}
#[async_trait]
impl UpgradeClient for Half {
    async fn connect(&self, io: Box<dyn ByteStream>, info: ConnInfo) -> io::Result<Link> {
        Ok(Link::bytes(Masked(io, self.0), info))
    }
}
struct Masked(Box<dyn ByteStream>, u8);
impl AsyncRead for Masked {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.0).poll_read(cx, into);
        into.filled_mut()[before..].iter_mut().for_each(|byte| *byte ^= self.1);
        read
    }
}
impl AsyncWrite for Masked {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let masked: Vec<u8> = bytes.iter().take(16 << 10).map(|byte| byte ^ self.1).collect();
        Pin::new(&mut self.0).poll_write(cx, &masked)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
// --- layer ---

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    use swapwire::{
        Framing, Server, SessionConfig, WithLayer as _, connect_with, default_registry, handlers::UppercaseEcho,
    };

    let registry = default_registry().with_layer(Mask);
    let mut server = Server::builder().registry(registry.clone()).framing(Framing::Lines).handler(UppercaseEcho);
    for endpoint in ["mask://127.0.0.1:0", "mask:@swapwire-layer?mask=7", "mask+mem:here"] {
        server = server.listen(endpoint);
    }
    let server = server.bind().await?.start();
    for endpoint in server.local_endpoints() {
        let mut session = connect_with(&registry, endpoint.clone(), SessionConfig::framed(Framing::Lines)).await?;
        session.send("hello").await?;
        let answer = session.recv().await?.ok_or("the server has closed")?;
        println!("{endpoint}: hello -> {}", String::from_utf8_lossy(&answer));
    }
    println!("{}", server.stop().await);
    Ok(())
}
