//! RFC 864: characters without end.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use async_trait::async_trait;
use swapwire_core::{
    ErrorClass, Handler, HandlerError, HandlerProperties, Reply, Request, SendError, Session, SessionHandler,
    SessionReader, SessionWriter,
};

/// Printable characters of ASCII; as many lines until the pattern begins again.
const RING: usize = 95;
/// 72 characters, CR and LF.
const LINE: usize = 74;
/// The pattern, once.
const CYCLE: usize = RING * LINE;
/// The longest answer to a datagram, in characters (RFC 864).
const MAX_ANSWER: usize = 512;

/// The pattern of RFC 864, and on until the longest answer that begins with any line fits.
static PATTERN: [u8; CYCLE + MAX_ANSWER.next_multiple_of(LINE)] = pattern();

/// Generates characters, in the pattern that RFC 864 calls popular: lines of 72 printable characters, each line one
/// character further.
///
/// On a stream ([`SessionHandler`]) it sends first and goes on until the peer ends its sending or leaves, or the
/// server drains; what the peer sends is discarded. No framing: the lines have their own endings, and one piece holds
/// many of them.
///
/// On a datagram socket ([`Handler`]) it answers each message, even an empty one, with 0 to 512 characters, from the
/// beginning of some line; how many looks random but is no secret. Fewer where the reply's limit is lower.
///
/// It [amplifies](HandlerProperties::amplifies): a client that forges a sender's address makes it send to that address.
///
/// # Bounds
/// The session's queue; while the peer does not read, it waits.
///
/// # Errors
/// On a stream none when the peer ends the connection; [`SendError::Frame`] for a framing that cannot carry lines. On a
/// datagram socket, the reply was refused.
///
/// # Cancel safety
/// A dropped session ends between two pieces, or breaks.
///
/// # Example
/// ```
/// use swapwire_core::{Addr, Handler, Reply, Request};
/// use swapwire_handlers::Chargen;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), swapwire_core::HandlerError> {
/// # let local = Addr::named("test", "here").unwrap();
/// let chargen = Chargen::new();
/// let mut reply = Reply::new(1024);
/// chargen.handle(Request::new(b"", None, &local), &mut reply).await?;
/// assert!(reply.messages().all(|message| message.len() <= 512));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Chargen {
    answered: AtomicU64,
}

impl Chargen {
    /// The name by which an operator calls it.
    pub const NAME: &str = "chargen";
    /// What it does, in one line.
    pub const DESCRIPTION: &str =
        "generates characters: without end on a stream, up to 512 for each datagram (RFC 864)";

    /// A generator.
    pub const fn new() -> Self {
        Self { answered: AtomicU64::new(0) }
    }

    /// A part of the pattern: of any length up to `max`, from the beginning of any line.
    fn some_characters(&self, max: usize) -> &'static [u8] {
        let hash = mix(self.answered.fetch_add(1, Relaxed));
        let len = (hash % (MAX_ANSWER as u64 + 1)) as usize;
        let from = (hash >> 32) as usize % RING * LINE;
        &PATTERN[from..from + len.min(max)]
    }
}

impl Handler for Chargen {
    async fn handle(&self, _: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        reply.send(self.some_characters(reply.limit()))?;
        Ok(())
    }

    fn properties(&self) -> HandlerProperties {
        HandlerProperties::new().with_amplifies(true)
    }
}

#[async_trait]
impl SessionHandler for Chargen {
    async fn run(&self, session: Session) -> Result<(), HandlerError> {
        let draining = session.draining();
        let (reader, writer) = session.split();
        tokio::select! {
            biased;
            () = draining => Ok(()),
            () = discard(reader) => Ok(()),
            result = generate(writer) => result,
        }
    }

    fn properties(&self) -> HandlerProperties {
        HandlerProperties::new().any_slicing().with_amplifies(true)
    }
}

/// Reads and forgets until the peer's end, of whatever kind.
async fn discard(mut reader: SessionReader) {
    loop {
        match reader.recv().await {
            Ok(Some(_)) => {}
            Err(error) if error.class() == ErrorClass::PeerNoise => {}
            Ok(None) | Err(_) => return,
        }
        tokio::task::consume_budget().await;
    }
}

/// Sends the pattern until the connection is over, in pieces as large as the wire allows: a whole cycle at best.
async fn generate(mut writer: SessionWriter) -> Result<(), HandlerError> {
    let (mut from, mut most) = (0, CYCLE);
    loop {
        let end = CYCLE.min(from + most);
        match writer.send(&PATTERN[from..end]).await {
            Ok(()) => from = end % CYCLE,
            Err(SendError::TooLarge { max, .. }) if (1..most).contains(&max) => most = max,
            Err(SendError::Closed | SendError::Io(_)) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        tokio::task::consume_budget().await;
    }
}

const fn pattern<const N: usize>() -> [u8; N] {
    let mut pattern = [0; N];
    let mut at = 0;
    while at < N {
        pattern[at] = match at % LINE {
            72 => b'\r',
            73 => b'\n',
            column => b' ' + ((at / LINE + column) % RING) as u8,
        };
        at += 1;
    }
    pattern
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood, 2014): spreads a counter over all 64 bits.
const fn mix(count: u64) -> u64 {
    let mut hash = count.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use swapwire_core::{Addr, DrainToken, Framing, Input, SessionConfig};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::testing::{answers, session};

    fn running(config: SessionConfig) -> (tokio::task::JoinHandle<Result<(), HandlerError>>, tokio::io::DuplexStream) {
        let (session, peer) = session("peer", config, 1000);
        (tokio::spawn(async move { Chargen::new().run(session).await }), peer)
    }

    #[test]
    fn the_pattern_is_that_of_the_rfc() {
        let lines: Vec<_> = PATTERN[..CYCLE].chunks(LINE).collect();
        assert_eq!(lines.len(), 95);
        assert_eq!(lines[0], b" !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefg\r\n");
        assert_eq!(lines[1], b"!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefgh\r\n");
        assert_eq!(lines[24], b"89:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~ \r\n");
        assert_eq!(lines[94], b"~ !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdef\r\n");
        assert_eq!(&PATTERN[CYCLE..], &PATTERN[..PATTERN.len() - CYCLE]);
    }

    #[tokio::test]
    async fn a_datagram_gets_up_to_512_characters() {
        let chargen = Chargen::new();
        let mut lengths = HashSet::new();
        for _ in 0..20_000 {
            let answers = answers(&chargen, b"").await;
            assert_eq!(answers.len(), 1);
            assert!(PATTERN.chunks(LINE).any(|line| line.starts_with(&answers[0][..answers[0].len().min(LINE)])));
            lengths.insert(answers[0].len());
        }
        assert_eq!(lengths, (0..=512).collect());
    }

    #[tokio::test]
    async fn a_lower_limit_of_the_reply_is_kept() {
        let local = Addr::named("test", "here").unwrap();
        let chargen = Chargen::new();
        for _ in 0..100 {
            let mut reply = Reply::new(64);
            Handler::handle(&chargen, Request::new(b"", None, &local), &mut reply).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_stream_gets_the_pattern_until_the_peer_closes() {
        let (task, mut peer) = running(SessionConfig::default());
        let mut got = vec![0; 3 * CYCLE];
        peer.read_exact(&mut got).await.unwrap();
        assert_eq!(got, PATTERN[..CYCLE].repeat(3));
        drop(peer);
        task.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn the_peers_end_is_noticed_while_it_does_not_read() {
        let (task, mut peer) = running(SessionConfig::default());
        peer.write_all(&[b'x'; 100_000]).await.unwrap();
        peer.shutdown().await.unwrap();
        task.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_does_not_read_fills_the_queue_and_no_more() {
        let mut config = SessionConfig::default();
        config.out_queue = 20_000;
        let (session, peer) = session("peer", config, 1000);
        let guard = session.guard();
        let task = tokio::spawn(async move { Chargen::new().run(session).await });
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(!task.is_finished());
        assert_eq!(guard.progress().sent, 1000);
        assert!((20_000..20_000 + CYCLE).contains(&guard.progress().unsent));
        drop(peer);
        task.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_drain_ends_it_even_while_the_peer_sends() {
        let token = DrainToken::new();
        let mut config = SessionConfig::default();
        config.draining = Some(token.clone());
        let (task, mut peer) = running(config);
        let mut got = vec![0; CYCLE];
        peer.read_exact(&mut got).await.unwrap();
        let (mut from, mut to) = tokio::io::split(peer);
        tokio::spawn(async move { while to.write_all(b"x").await.is_ok() {} });
        tokio::spawn(async move { tokio::io::copy(&mut from, &mut tokio::io::sink()).await });
        token.begin();
        task.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn pieces_fit_the_largest_message() {
        let mut config = SessionConfig::default();
        config.max_message = 100;
        let (_task, mut peer) = running(config);
        let mut got = vec![0; 2 * CYCLE];
        peer.read_exact(&mut got).await.unwrap();
        assert_eq!(got, PATTERN[..CYCLE].repeat(2));
    }

    #[tokio::test]
    async fn a_framing_that_cannot_carry_lines_is_an_error() {
        let (task, _peer) = running(SessionConfig::framed(Framing::Lines));
        let error = task.await.unwrap().unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(SendError::Frame(_))));
    }

    #[test]
    fn it_amplifies_on_both_kinds_of_wire() {
        let chargen = Chargen::new();
        assert!(Handler::properties(&chargen).amplifies && SessionHandler::properties(&chargen).amplifies);
        assert_eq!(SessionHandler::properties(&chargen).input, Input::AnySlicing);
        assert_eq!(Handler::properties(&chargen).input, Input::Messages);
    }
}
