//! One question, and its right answer.

use std::io;
use std::time::Duration;

use clap::Args;
use tokio::time::timeout;

use crate::common::{Common, Speech};
use crate::datagram::{Datagram, LONGEST};
use crate::dial::Dial;
use crate::stream::Stream;
use crate::tagged::{Tag, Tagged};
use crate::values::time;

/// How long to wait for an answer.
#[derive(Args, Clone, Debug)]
pub(crate) struct AskArgs {
    #[command(flatten)]
    pub(crate) speech: Speech,
    /// Give up waiting for a reply after
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    pub(crate) timeout: Duration,
}

/// Asks, and knows the answer.
#[derive(Debug)]
pub(crate) struct Asker {
    pub(crate) dial: Dial,
    pub(crate) tagged: Tagged,
    pub(crate) seed: u64,
    patience: Duration,
}

/// Datagrams may be lost: one answer to so many questions is enough to be alive.
const TRIES: u32 = 20;

impl Asker {
    /// # Errors
    /// Sizes that have no room for a tag.
    pub(crate) fn new(common: &Common, args: &AskArgs) -> anyhow::Result<Self> {
        let (tagged, seed) = args.speech.tagged(&common.target)?;
        Ok(Self { dial: common.dial(), tagged, seed, patience: args.timeout })
    }

    /// Asks on a stream, and reads the answer and no more.
    ///
    /// # Errors
    /// The system's; `TimedOut`; `UnexpectedEof` if the server closed; `InvalidData` if the answer is wrong.
    pub(crate) async fn ask(&self, stream: &Stream, tag: Tag) -> io::Result<()> {
        let (mut request, mut right) = (Vec::new(), Vec::new());
        self.tagged.request(tag, &mut request);
        self.tagged.reply(tag, &mut right);
        let exchange = async {
            tokio::try_join!(stream.write_all(&request), expect(stream, &right))?;
            Ok(())
        };
        timeout(self.patience, exchange).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Asks with one datagram, and takes the first that comes for the answer.
    ///
    /// # Errors
    /// As [`Asker::ask`].
    pub(crate) async fn ask_by_datagram(&self, socket: &Datagram, tag: Tag) -> io::Result<()> {
        let (mut request, mut right) = (Vec::new(), Vec::new());
        self.tagged.request(tag, &mut request);
        self.tagged.reply(tag, &mut right);
        let mut buffer = vec![0; LONGEST];
        let exchange = async {
            socket.send(&request).await?;
            let len = socket.recv(&mut buffer).await?;
            if buffer[..len] == right { Ok(()) } else { Err(wrong()) }
        };
        timeout(self.patience, exchange).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Connects and asks, as client number `index`.
    ///
    /// # Errors
    /// As [`Asker::ask`], and those of connecting.
    pub(crate) async fn ask_anew(&self, index: u64) -> io::Result<()> {
        let tag = Tag { client: index as u32, seq: 0 };
        if self.dial.target.has_datagrams() {
            self.ask_by_datagram(&self.dial.datagrams(index)?, tag).await
        } else {
            self.ask(&self.dial.stream(index).await?, tag).await
        }
    }

    /// Whether the server still answers somebody new.
    pub(crate) async fn is_alive(&self) -> io::Result<()> {
        let tries = if self.dial.target.is_lossy() { TRIES } else { 1 };
        let mut result = Ok(());
        for at in 0..tries {
            let ask = timeout(self.patience / tries, self.ask_anew(u64::from(u32::MAX - at)));
            result = ask.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
            if result.is_ok() {
                break;
            }
        }
        result
    }
}

/// Reads exactly these bytes.
async fn expect(stream: &Stream, mut right: &[u8]) -> io::Result<()> {
    let mut buffer = vec![0; right.len().min(64 << 10)];
    while !right.is_empty() {
        let most = buffer.len().min(right.len());
        let len = stream.read(&mut buffer[..most]).await?;
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if buffer[..len] != right[..len] {
            return Err(wrong());
        }
        right = &right[len..];
    }
    Ok(())
}

fn wrong() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "wrong reply")
}
