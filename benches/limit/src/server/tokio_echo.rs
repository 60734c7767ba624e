//! What one writes with tokio alone: for comparison, and no limit.

use std::io;
use std::os::fd::AsFd as _;

use anyhow::bail;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, Interest};
use tokio::net::{TcpListener, UdpSocket, UnixDatagram, UnixListener};

use super::Socket;

/// What one takes for a buffer, for each stream.
const BUFFER: usize = 16 * 1024;

/// The longest datagram.
const LONGEST: usize = 64 * 1024;

pub(super) fn serve(socket: Socket) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        match socket {
            Socket::Tcp(listener) => {
                let listener = TcpListener::from_std(listener)?;
                loop {
                    let (stream, _) = listener.accept().await?;
                    stream.set_nodelay(true)?;
                    tokio::spawn(echo(stream));
                }
            }
            Socket::Unix(listener) => {
                let listener = UnixListener::from_std(listener)?;
                loop {
                    tokio::spawn(echo(listener.accept().await?.0));
                }
            }
            Socket::UnixSeq(_) | Socket::Ws(_) => bail!("this wire has no loop tokio"),
            Socket::Udp(socket) => {
                socket.set_nonblocking(true)?;
                let socket = UdpSocket::from_std(socket)?;
                let mut buffer = vec![0; LONGEST];
                loop {
                    let (len, peer) = socket.recv_from(&mut buffer).await?;
                    buffer[..len].make_ascii_uppercase();
                    socket.send_to(&buffer[..len], peer).await?;
                }
            }
            Socket::UnixDgram(socket) => {
                socket.set_nonblocking(true)?;
                // tokio's cannot send to a name that the system chose (unix(7)), as clients have.
                let answer = std::os::unix::net::UnixDatagram::from(socket.as_fd().try_clone_to_owned()?);
                let socket = UnixDatagram::from_std(socket)?;
                let mut buffer = vec![0; LONGEST];
                loop {
                    let (len, peer) = socket.recv_from(&mut buffer).await?;
                    buffer[..len].make_ascii_uppercase();
                    let peer = peer.into();
                    let sent = socket.async_io(Interest::WRITABLE, || answer.send_to_addr(&buffer[..len], &peer)).await;
                    let _ = sent; // who is gone has no reply
                }
            }
        }
    })
}

async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let len = stream.read(&mut buffer).await?;
        if len == 0 {
            return Ok(());
        }
        buffer[..len].make_ascii_uppercase();
        stream.write_all(&buffer[..len]).await?;
    }
}
