//! What a handshake has shown.

use swapwire_core::Bytes;

/// What the handshake of a TLS connection has shown; [`Peer::get`](swapwire_core::Peer::get) gives it to handlers.
///
/// ```
/// # use swapwire_core::Peer;
/// fn is_known(peer: &Peer) -> bool {
///     peer.get::<swapwire_tls::TlsInfo>().is_some_and(|tls| !tls.peer_certificates.is_empty())
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsInfo {
    /// The version of TLS: `1.2` or `1.3`.
    pub version: &'static str,
    /// The cipher suite by its name, as `TLS13_AES_128_GCM_SHA256`.
    pub cipher: &'static str,
    /// The protocol that both ends agreed on (ALPN, RFC 7301).
    pub alpn: Option<Bytes>,
    /// The name that the client asked for (SNI, RFC 6066, 3); at a client, the one that it expects. A client sends none for an
    /// IP address.
    pub server_name: Option<Box<str>>,
    /// The peer's certificates, its own first, each as DER. At a server there are none, unless `client_auth` asks for them;
    /// what is there was checked.
    pub peer_certificates: Box<[Bytes]>,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
}
