//! Servers as one writes them by hand. They end with the test's runtime.

use std::future::Future;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket, UnixListener};

use crate::common::Places;

/// The size of requests, where a server by hand must know it.
pub(crate) const SIZE: usize = 64;

/// One end of a byte stream.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Serves each TCP connection by `serve`; gives the endpoint.
pub(crate) async fn tcp<F>(serve: impl Fn(Box<dyn Wire>) -> F + Send + 'static) -> String
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((wire, _)) = listener.accept().await {
            wire.set_nodelay(true).unwrap();
            tokio::spawn(serve(Box::new(wire)));
        }
    });
    endpoint
}

/// The same on a Unix socket.
pub(crate) fn unix<F>(places: &Places, serve: impl Fn(Box<dyn Wire>) -> F + Send + 'static) -> String
where
    F: Future<Output = ()> + Send + 'static,
{
    let endpoint = places.unix();
    let listener = UnixListener::bind(endpoint.strip_prefix("unix:").unwrap()).unwrap();
    tokio::spawn(async move {
        while let Ok((wire, _)) = listener.accept().await {
            tokio::spawn(serve(Box::new(wire)));
        }
    });
    endpoint
}

/// The loop that everybody writes first.
pub(crate) async fn echo(mut wire: Box<dyn Wire>) {
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = wire.read(&mut buffer).await {
        if wire.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

/// Answers requests of [`SIZE`] bytes by what `reply` makes of them, until that is `None`.
pub(crate) async fn answer(mut wire: Box<dyn Wire>, mut reply: impl FnMut(&mut [u8; SIZE]) -> Option<Vec<u8>>) {
    let mut request = [0; SIZE];
    while wire.read_exact(&mut request).await.is_ok() {
        let Some(reply) = reply(&mut request) else { return };
        if wire.write_all(&reply).await.is_err() {
            return;
        }
    }
}

/// Answers each datagram with as many as `reply` makes of it; gives the endpoint.
pub(crate) async fn udp(mut reply: impl FnMut(&mut [u8]) -> Vec<Vec<u8>> + Send + 'static) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("udp://{}", socket.local_addr().unwrap());
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((count, peer)) = socket.recv_from(&mut buffer).await {
            for reply in reply(&mut buffer[..count]) {
                socket.send_to(&reply, peer).await.unwrap();
            }
        }
    });
    endpoint
}
