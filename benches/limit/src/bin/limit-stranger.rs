//! WebSocket servers of others, on tokio: upper-case echo from one thread.

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Parser, ValueEnum};
use fastwebsockets::{FragmentCollector, Frame, OpCode, Role, WebSocket};
use futures::future::ready;
use futures::{StreamExt as _, TryStreamExt as _};
use swapwire_core::Endpoint;
use swapwire_limit::{Wire, switch, until_the_end};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;

/// Answers every message with its upper case, until its input ends or SIGTERM comes
#[derive(Debug, Parser)]
struct Args {
    /// ws://IP:PORT
    endpoint: Endpoint,
    /// Whose server
    #[arg(long)]
    how: How,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum How {
    TokioTungstenite,
    Fastwebsockets,
}

/// The longest head of a request.
const HEAD: usize = 8 * 1024;

fn main() -> Result<()> {
    let Args { endpoint, how } = Args::parse();
    let Wire::Ws(at) = Wire::try_from(&endpoint)? else { bail!("endpoint {endpoint}: write ws://IP:PORT") };
    let listener = std::net::TcpListener::bind(at).with_context(|| format!("bind {endpoint}"))?;
    listener.set_nonblocking(true)?;
    let local = Wire::Ws(listener.local_addr()?);
    until_the_end(&local)?;
    println!("listening {local}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            // What fails on one connection ends that connection.
            tokio::spawn(async move {
                match how {
                    How::TokioTungstenite => tungstenite(stream).await,
                    How::Fastwebsockets => fastwebsockets(stream).await,
                }
            });
        }
    })
}

/// As its example of an echo: `forward` flushes when no more messages are there.
async fn tungstenite(stream: TcpStream) -> Result<()> {
    let (sink, stream) = tokio_tungstenite::accept_async(stream).await?.split();
    let replies = stream.try_filter_map(|message| {
        ready(Ok(match message {
            Message::Text(text) => Some(Message::text(text.to_ascii_uppercase())),
            Message::Binary(bytes) => Some(Message::binary(bytes.to_ascii_uppercase())),
            _ => None,
        }))
    });
    Ok(replies.forward(sink).await?)
}

/// It writes each frame by itself, by writev(2) where that is long; what is masked is unmasked in place.
async fn fastwebsockets(mut stream: TcpStream) -> Result<()> {
    let mut head = Vec::with_capacity(HEAD);
    while !head.ends_with(b"\r\n\r\n") {
        ensure!(stream.read_buf(&mut head).await? > 0 && head.len() < HEAD, "no request");
    }
    stream.write_all(&switch(&head).context("no WebSocket")?).await?;
    let mut frames = FragmentCollector::new(WebSocket::after_handshake(stream, Role::Server));
    loop {
        let frame = frames.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => {
                let mut payload = frame.payload;
                payload.to_mut().make_ascii_uppercase();
                frames.write_frame(Frame::new(true, frame.opcode, None, payload)).await?;
            }
            _ => {}
        }
    }
}
