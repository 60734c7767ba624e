//! The half at a server.

use std::io;
use std::time::Duration;

use swapwire_core::{ByteStream, Bytes, ConnInfo, Framing, Link, UpgradeServer, async_trait};
use swapwire_stack::Prefixed;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::head::{Head, HeadError, LONGEST};
use super::refusal::Refusal;
use super::request::{Asked, Policy};

/// What is read and thrown away of somebody who was refused, so that the answer is not lost by a reset: for so long, in bytes.
const LINGER: Duration = Duration::from_secs(1);
const MOST_DISCARDED: u64 = 64 << 10;

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) policy: Policy,
    pub(crate) framing: Framing,
    /// The answer to a plain request.
    pub(crate) page: Option<Bytes>,
}

#[async_trait]
impl UpgradeServer for Server {
    async fn accept(&self, mut io: Box<dyn ByteStream>, mut info: ConnInfo) -> io::Result<Link> {
        let refusal = match Head::read(&mut io, is_request_line).await {
            Ok(head) => match self.policy.judge(head.bytes()) {
                Ok(Asked::Socket(answer, learnt)) => {
                    io.write_all(answer.as_bytes()).await?;
                    io.flush().await?;
                    info.peer = info.peer.and(learnt);
                    let rest = head.rest();
                    let io: Box<dyn ByteStream> = if rest.is_empty() { io } else { Box::new(Prefixed::new(rest, io)) };
                    return Ok(Link::framed(io, self.framing.clone(), info));
                }
                Ok(Asked::Page) => match &self.page {
                    Some(page) => {
                        say(&mut io, page).await;
                        return Err(io::Error::new(
                            io::ErrorKind::ConnectionAborted,
                            "it asked for the page and has it",
                        ));
                    }
                    None => Refusal::plain(),
                },
                Err(refusal) => refusal,
            },
            Err(HeadError::WithoutAWord) => {
                return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "it closed without a word"));
            }
            Err(HeadError::Ended) => {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it closed within its request"));
            }
            Err(HeadError::Io(error)) => return Err(error),
            Err(HeadError::TooLong) => {
                let reason = format!("the request has more than {LONGEST} bytes before its empty line");
                Refusal::new("431 Request Header Fields Too Large", reason)
            }
            Err(HeadError::Strange(first)) => Refusal::bad(format!("it does not speak HTTP, it began with {first}")),
        };
        say(&mut io, refusal.answer().as_bytes()).await;
        Err(io::Error::new(io::ErrorKind::InvalidData, format!("{}: {}", refusal.status, refusal.reason)))
    }

    fn dial_options(&self) -> Vec<(&'static str, String)> {
        let path = self.policy.path.as_ref().filter(|path| *path != "/");
        path.map(|path| ("path", path.clone())).into_iter().collect()
    }
}

/// A line of three words, of which the last is a version.
fn is_request_line(line: &[u8]) -> bool {
    [&b" HTTP/1.1\r"[..], b" HTTP/1.0\r"].iter().any(|end| line.ends_with(end))
}

/// The last that is said, as slowly as the peer takes it, within the deadline of the handshake. Whether it arrives changes
/// nothing.
async fn say(io: &mut Box<dyn ByteStream>, answer: &[u8]) {
    let said = async {
        io.write_all(answer).await?;
        io.flush().await?;
        io.shutdown().await
    };
    if said.await.is_ok() {
        let discard = async { tokio::io::copy(&mut io.take(MOST_DISCARDED), &mut tokio::io::sink()).await };
        let _ = timeout(LINGER, discard).await;
    }
}
