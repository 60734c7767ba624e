//! Frames (RFC 6455, 5), as a framing.

mod close;
mod header;
mod mask;
mod reader;
mod utf8;
mod writer;

use swapwire_core::{FrameFactory, FrameReader, FrameWriter};

pub(crate) use mask::Random;

use reader::Reader;
use writer::Writer;

/// What kind of message is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MessageKind {
    /// That of the last message that was received, text before the first.
    #[default]
    Auto,
    /// Text.
    Text,
    /// Bytes.
    Binary,
}

/// Which end of a connection: a client masks what it sends, and a server does not (RFC 6455, 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Server,
    Client,
}

/// The frames of WebSocket connections behind their handshake, as a [framing](swapwire_core::Framing::frames). Handlers do not
/// need it: the links of the layer bring it along.
///
/// It reads a whole message where it lies, and puts together what comes in fragments. A message that is sent as text and is
/// not UTF-8 leaves as bytes, and is counted.
///
/// # Bounds
/// A message has at most the configured length, known from a frame's header, and what is kept of its fragments has no more.
/// Fragments may count twice that, at least 1 KiB, where each counts 16 bytes more than its payload.
///
/// ```
/// use swapwire_core::{Decoded, FrameFactory as _};
/// use swapwire_ws::{MessageKind, WsFrames};
///
/// let mut writer = WsFrames::client(MessageKind::Auto).writer(1024);
/// let mut wire = Vec::new();
/// writer.begin(&mut wire);
/// wire.extend_from_slice(b"hello");
/// writer.finish(&mut wire, 0)?;
///
/// let mut reader = WsFrames::server(MessageKind::Auto).reader(1024);
/// let Decoded::Frame { message, consumed } = reader.decode(&mut wire, false)? else { panic!("it is whole") };
/// assert_eq!((&wire[message], consumed), (&b"hello"[..], wire.len()));
/// # Ok::<(), swapwire_core::FrameError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct WsFrames {
    role: Role,
    kind: MessageKind,
}

impl WsFrames {
    /// Those of a server.
    pub const fn server(kind: MessageKind) -> Self {
        Self { role: Role::Server, kind }
    }

    /// Those of a client.
    pub const fn client(kind: MessageKind) -> Self {
        Self { role: Role::Client, kind }
    }
}

impl FrameFactory for WsFrames {
    fn reader(&self, max_message: usize) -> Box<dyn FrameReader> {
        Box::new(Reader::new(self.role, max_message))
    }

    fn writer(&self, max_message: usize) -> Box<dyn FrameWriter> {
        Box::new(Writer::new(self.role, self.kind, max_message))
    }
}
