//! Framings with a state of their own: what a codec or a wire layer brings.

use std::fmt;
use std::sync::Arc;

use super::{Decoded, FrameError};
#[cfg(doc)]
use super::{FrameDecoder, FrameEncoder, Framing};

/// Makes both directions of one connection of a [framing of one's own](Framing::frames): of a codec, or of a wire whose
/// protocol has frames, as the WebSocket ([`Link::Framed`](crate::Link::Framed)).
pub trait FrameFactory: Send + Sync + 'static {
    /// Cuts what a connection receives; messages above `max_message` bytes are refused.
    fn reader(&self, max_message: usize) -> Box<dyn FrameReader>;

    /// Frames what a connection sends; messages above `max_message` bytes are refused.
    fn writer(&self, max_message: usize) -> Box<dyn FrameWriter>;
}

/// Cuts one connection's incoming bytes.
///
/// Its memory is bounded by the largest message: twice that, with what it keeps of each fragment.
pub trait FrameReader: Send {
    /// As [`FrameDecoder::decode`]. It may change `unread`, as to take a mask off; what it did not consume comes again as it
    /// left it, with more behind.
    ///
    /// # Errors
    /// The connection cannot go on.
    fn decode(&mut self, unread: &mut [u8], eof: bool) -> Result<Decoded, FrameError>;

    /// What kind of message the last call gave, in the terms of the protocol: for a WebSocket the opcode. The default is 0.
    fn tag(&self) -> u8 {
        0
    }

    /// What it holds of a message that is not whole, beside the unread bytes, in bytes of memory. The default is 0.
    fn memory(&self) -> usize {
        0
    }

    /// Whether it takes input in and can hold more messages than the unread bytes show. The default is `false`.
    fn keeps_input(&self) -> bool {
        false
    }
}

/// Frames one connection's outgoing messages, in place.
pub trait FrameWriter: Send {
    /// Starts a frame at the end of `out`; the message is appended behind what this adds.
    fn begin(&self, out: &mut Vec<u8>);

    /// Ends the frame that was begun when `out` was `start` bytes long.
    ///
    /// # Errors
    /// The message is too large or cannot be framed; the caller cuts `out` back to `start`.
    fn finish(&mut self, out: &mut Vec<u8>, start: usize) -> Result<(), FrameError>;

    /// The messages that follow answer one of this [tag](FrameReader::tag). The default does nothing.
    fn follow(&mut self, tag: u8) {
        let _ = tag;
    }

    /// Appends the answer to a [control frame](Decoded::Control), if it needs one at once. That to a good-bye is what
    /// [`goodbye`](Self::goodbye) appends later, behind the replies to what came before it. The default has none.
    fn answer(&mut self, tag: u8, payload: &[u8], out: &mut Vec<u8>) -> Answer {
        let _ = (tag, payload, out);
        Answer::GoesOn
    }

    /// Appends the protocol's good-bye, or the answer to that of the peer, unless it was said; nothing may follow it. The
    /// default has none.
    fn goodbye(&mut self, why: Goodbye<'_>, out: &mut Vec<u8>) {
        let _ = (why, out);
    }

    /// How many messages since this was last asked left in another form than they should have: text that is not UTF-8, as
    /// bytes. The default is 0.
    fn take_changed(&mut self) -> u64 {
        0
    }
}

/// What follows a control frame.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// More frames.
    GoesOn,
    /// Nothing: the peer said good-bye.
    Ends,
    /// Nothing: the peer ended it, as something had failed.
    Breaks(FrameError),
}

/// Why a connection ends, for a good-bye in frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Goodbye<'a> {
    /// Everything was said.
    Done,
    /// The server stops, or the peer was silent for too long.
    GoingAway,
    /// Something failed on this side, or the peer was too slow.
    Failed,
    /// What the peer sent cannot be read.
    Bad(&'a FrameError),
}

/// What makes the two directions of [`Framing::Codec`].
#[derive(Clone)]
pub struct CodecFactory(pub(super) Arc<dyn FrameFactory>);

/// Whether they are clones of one another: two that were made apart may do the same, and are not equal.
impl PartialEq for CodecFactory {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for CodecFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CodecFactory")
    }
}

impl fmt::Debug for dyn FrameReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FrameReader")
    }
}

impl fmt::Debug for dyn FrameWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FrameWriter")
    }
}
