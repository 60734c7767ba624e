//! What a transport can do, as data.

/// The three shapes of wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shape {
    /// Connected, ordered, no boundaries.
    ByteStream,
    /// Connected, with boundaries.
    MessageStream,
    /// Not connected on the server's side: messages from many peers.
    Datagram,
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::ByteStream => "byte stream",
            Self::MessageStream => "message stream",
            Self::Datagram => "datagram",
        })
    }
}

/// What the wires of one scheme can do. The conformance suite, the server and the command read it.
///
/// Start from the constructor of the shape and switch on what is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// The shape of its wires.
    pub shape: Shape,
    /// What was sent arrives, or the sender learns that it did not.
    pub reliable: bool,
    /// What arrives, arrives in the order it was sent.
    pub ordered: bool,
    /// One direction can be closed while the other goes on.
    pub half_close: bool,
    /// The largest message in bytes; `None` where the wire sets no limit of its own, or one that options of the endpoint change
    /// ([`MessageStream::max_message`](crate::MessageStream::max_message) tells it).
    pub max_message: Option<usize>,
    /// Peers carry [`Credentials`](crate::Credentials).
    pub peer_credentials: bool,
    /// A sender's address can be forged, so a reply may reach a host that sent no request.
    pub spoofable: bool,
    /// A peer that does not read does not hold up the messages of other peers on a shared socket.
    pub isolated_peers: bool,
    /// A second bind of the same place fails while the first is open.
    pub exclusive_bind: bool,
    /// The wire has a good-bye of its own, which says that all was sent: TLS's `close_notify`. Then
    /// `poll_shutdown` says it, a server calls that in every orderly end, and an end without it is an error
    /// ([`ByteStream`](crate::ByteStream), contract 4).
    pub says_goodbye: bool,
    /// What is sent is kept from everybody but the peer.
    pub encrypted: bool,
    /// Messages of one sender come from one address. Where each request has an address of its own for its reply, as the reply
    /// subject of a message broker, an address stands for no source: a server runs no sessions there, and limits no sources.
    pub stable_peers: bool,
}

impl Capabilities {
    /// A byte stream: reliable, ordered, with half-close.
    pub const fn byte_stream() -> Self {
        Self {
            shape: Shape::ByteStream,
            reliable: true,
            ordered: true,
            half_close: true,
            max_message: None,
            peer_credentials: false,
            spoofable: false,
            isolated_peers: true,
            exclusive_bind: true,
            says_goodbye: false,
            encrypted: false,
            stable_peers: true,
        }
    }

    /// A message stream: reliable, ordered, without half-close, messages of at most `max_message` bytes.
    pub const fn message_stream(max_message: usize) -> Self {
        Self { shape: Shape::MessageStream, half_close: false, max_message: Some(max_message), ..Self::byte_stream() }
    }

    /// Datagrams of at most `max_message` bytes that may be lost, reordered and forged.
    pub const fn datagram(max_message: usize) -> Self {
        Self {
            shape: Shape::Datagram,
            reliable: false,
            ordered: false,
            half_close: false,
            max_message: Some(max_message),
            peer_credentials: false,
            spoofable: true,
            isolated_peers: true,
            exclusive_bind: true,
            says_goodbye: false,
            encrypted: false,
            stable_peers: true,
        }
    }

    /// Whether messages keep their boundaries without a framing.
    pub const fn boundaries(&self) -> bool {
        !matches!(self.shape, Shape::ByteStream)
    }
}
