//! A layer whose links bring their framing: each message behind its tag and its length, of one byte each. With a close, a ping,
//! and text that a message may turn out not to be.

use std::sync::Arc;

use swapwire_core::{
    Answer, ByteStream, Capabilities, ConnInfo, Decoded, Endpoint, FrameError, FrameFactory, FrameReader, FrameWriter,
    Framing, Goodbye, Link, Upgrade, UpgradeClient, UpgradeError, UpgradeServer, async_trait,
};

pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
/// A piece of a message of which more follows.
pub const PIECE: u8 = 3;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// What is sent in a close: why.
pub const DONE: &[u8] = b"done";
pub const GOING_AWAY: &[u8] = b"going away";
pub const FAILED: &[u8] = b"failed";
pub const BAD: &[u8] = b"bad";

pub fn frame(tag: u8, payload: &[u8]) -> Vec<u8> {
    [&[tag, payload.len() as u8], payload].concat()
}

#[derive(Clone)]
pub struct Framed;

impl FrameFactory for Framed {
    fn reader(&self, max_message: usize) -> Box<dyn FrameReader> {
        Box::new(Reader { max_message, tag: 0, pieces: Vec::new(), ended: false })
    }

    fn writer(&self, max_message: usize) -> Box<dyn FrameWriter> {
        Box::new(Writer { max_message, tag: TEXT, changed: 0, answers: None, ended: false })
    }
}

struct Reader {
    max_message: usize,
    tag: u8,
    pieces: Vec<u8>,
    ended: bool,
}

impl FrameReader for Reader {
    fn decode(&mut self, unread: &mut [u8], eof: bool) -> Result<Decoded, FrameError> {
        let have = unread.len();
        if self.ended {
            return Ok(Decoded::Need { consumed: have, partial: false });
        }
        let whole = |len: &u8| have >= 2 + usize::from(*len);
        let (tag, consumed) = match unread {
            [tag, ..] if ![TEXT, BINARY, PIECE, CLOSE, PING, PONG].contains(tag) => {
                return Err(FrameError::Malformed("an unknown tag"));
            }
            [tag, len, ..] if whole(len) => (*tag, 2 + usize::from(*len)),
            _ if eof && have > 0 => return Err(FrameError::Truncated { have }),
            _ if eof => return Err(FrameError::Ended("without a close".to_owned())),
            _ => return Ok(Decoded::Need { consumed: 0, partial: !self.pieces.is_empty() }),
        };
        let payload = 2..consumed;
        if tag == PIECE {
            self.pieces.extend_from_slice(&unread[payload]);
            return match self.decode(&mut unread[consumed..], eof)? {
                Decoded::Frame { message, consumed: more } => {
                    self.pieces.extend_from_slice(&unread[consumed..][message]);
                    let message = std::mem::take(&mut self.pieces).into();
                    Ok(Decoded::Owned { message, consumed: consumed + more })
                }
                Decoded::Owned { message, consumed: more } => Ok(Decoded::Owned { message, consumed: consumed + more }),
                Decoded::Need { consumed: more, .. } => Ok(Decoded::Need { consumed: consumed + more, partial: true }),
                other => panic!("a control frame behind a piece: {other:?}"),
            };
        }
        self.tag = tag;
        if tag >= CLOSE {
            self.ended = tag == CLOSE;
            return Ok(Decoded::Control { payload, consumed });
        }
        if payload.len() > self.max_message {
            return Err(FrameError::TooLarge { len: payload.len() as u64, max: self.max_message });
        }
        if self.pieces.is_empty() {
            return Ok(Decoded::Frame { message: payload, consumed });
        }
        self.pieces.extend_from_slice(&unread[payload]);
        Ok(Decoded::Owned { message: std::mem::take(&mut self.pieces).into(), consumed })
    }

    fn tag(&self) -> u8 {
        self.tag
    }

    fn memory(&self) -> usize {
        self.pieces.len()
    }
}

struct Writer {
    max_message: usize,
    tag: u8,
    changed: u64,
    answers: Option<Vec<u8>>,
    ended: bool,
}

impl Writer {
    fn close(&mut self, why: &[u8], out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.ended, true) {
            out.extend(frame(CLOSE, why));
        }
    }
}

impl FrameWriter for Writer {
    fn begin(&self, out: &mut Vec<u8>) {
        out.extend([0, 0]);
    }

    fn finish(&mut self, out: &mut Vec<u8>, start: usize) -> Result<(), FrameError> {
        let len = out.len() - start - 2;
        let Some(short) = u8::try_from(len).ok().filter(|_| len <= self.max_message) else {
            return Err(FrameError::TooLarge { len: len as u64, max: self.max_message.min(255) });
        };
        let not_text = self.tag == TEXT && std::str::from_utf8(&out[start + 2..]).is_err();
        self.changed += u64::from(not_text);
        out[start] = if not_text { BINARY } else { self.tag };
        out[start + 1] = short;
        Ok(())
    }

    fn follow(&mut self, tag: u8) {
        self.tag = tag.max(TEXT);
    }

    fn answer(&mut self, tag: u8, payload: &[u8], out: &mut Vec<u8>) -> Answer {
        match tag {
            PING => out.extend(frame(PONG, payload)),
            CLOSE => {
                self.answers = Some(payload.to_vec());
                return match payload {
                    FAILED => Answer::Breaks(FrameError::Ended("as it failed".to_owned())),
                    _ => Answer::Ends,
                };
            }
            _ => {}
        }
        Answer::GoesOn
    }

    fn goodbye(&mut self, why: Goodbye<'_>, out: &mut Vec<u8>) {
        let why = match why {
            Goodbye::Done => DONE,
            Goodbye::GoingAway => GOING_AWAY,
            Goodbye::Bad(_) => BAD,
            _ => FAILED,
        };
        let why = self.answers.take().unwrap_or_else(|| why.to_vec());
        self.close(&why, out);
    }

    fn take_changed(&mut self) -> u64 {
        std::mem::take(&mut self.changed)
    }
}

#[async_trait]
impl Upgrade for Framed {
    fn name(&self) -> &'static str {
        "framed"
    }

    fn capabilities(&self, below: Capabilities) -> Capabilities {
        let mut capabilities = Capabilities::message_stream(255);
        (capabilities.says_goodbye, capabilities.exclusive_bind) = (true, below.exclusive_bind);
        capabilities
    }

    async fn server(&self, _: &Endpoint) -> Result<Arc<dyn UpgradeServer>, UpgradeError> {
        Ok(Arc::new(Self))
    }

    async fn client(&self, _: &Endpoint) -> Result<Arc<dyn UpgradeClient>, UpgradeError> {
        Ok(Arc::new(Self))
    }
}

#[async_trait]
impl UpgradeServer for Framed {
    async fn accept(&self, io: Box<dyn ByteStream>, info: ConnInfo) -> std::io::Result<Link> {
        Ok(Link::framed(io, Framing::frames(Self), info))
    }
}

#[async_trait]
impl UpgradeClient for Framed {
    async fn connect(&self, io: Box<dyn ByteStream>, info: ConnInfo) -> std::io::Result<Link> {
        Ok(Link::framed(io, Framing::frames(Self), info))
    }
}
