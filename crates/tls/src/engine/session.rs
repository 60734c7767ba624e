//! One end of one connection: what was received becomes plaintext, and plaintext what is sent.
//!
//! It is rustls without buffers: what it works on is its caller's, and it keeps none of it.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use rustls::{CommonState, HandshakeKind, ProtocolVersion};
use swapwire_core::Bytes;

use super::alert::invalid;
use super::{ClientConfig, Name, ServerConfig};
use crate::TlsInfo;

pub(crate) struct Session(Side);

enum Side {
    Client(Box<UnbufferedClientConnection>),
    Server(Box<UnbufferedServerConnection>),
}

/// What takes the plaintext of a record.
type Take<'a> = &'a mut dyn FnMut(&[u8]);

thread_local! {
    /// The name that the client of the last handshake on this thread asked for; rustls tells it to those who choose a
    /// certificate alone, within [`Session::receive`].
    static ASKED_FOR: RefCell<Option<Box<str>>> = const { RefCell::new(None) };
}

pub(super) fn note_asked_for(name: Option<&str>) {
    ASKED_FOR.set(name.map(Into::into));
}

/// Calls the one or the other, which are different types with the same methods.
macro_rules! process {
    ($session:expr, $bytes:expr, $status:ident => $with:expr) => {
        match &mut $session.0 {
            Side::Client(session) => {
                let $status = session.process_tls_records($bytes);
                $with
            }
            Side::Server(session) => {
                let $status = session.process_tls_records($bytes);
                $with
            }
        }
    };
}

/// What is next behind a [step](step).
enum Next {
    More,
    PeerEnded,
    NeedsInput,
}

impl Session {
    pub(crate) fn client(config: &ClientConfig, name: &Name) -> io::Result<Self> {
        let session =
            UnbufferedClientConnection::new(Arc::clone(&config.0), name.0.clone()).map_err(|error| invalid(&error))?;
        Ok(Self(Side::Client(Box::new(session))))
    }

    pub(crate) fn server(config: &ServerConfig) -> io::Result<Self> {
        let session = UnbufferedServerConnection::new(Arc::clone(&config.0)).map_err(|error| invalid(&error))?;
        Ok(Self(Side::Server(Box::new(session))))
    }

    fn common(&self) -> &CommonState {
        match &self.0 {
            Side::Client(session) => session,
            Side::Server(session) => session,
        }
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.common().is_handshaking()
    }

    pub(crate) const fn is_server(&self) -> bool {
        matches!(self.0, Side::Server(_))
    }

    /// Takes the records of `bytes` that are whole: plaintext goes to `take`, what has to be sent to `out`. Returns how many
    /// bytes are done with, and whether the peer has said its good-bye; the rest has to be given again, with more behind it.
    ///
    /// # Errors
    /// The connection is over, and `out` has the alert that tells the peer why.
    pub(crate) fn receive(&mut self, bytes: &mut [u8], take: Take<'_>, out: &mut Vec<u8>) -> (usize, io::Result<bool>) {
        let (mut used, mut ended) = (0, false);
        loop {
            let (done, next) = process!(self, &mut bytes[used..], status => step(status, take, out));
            used += done;
            match next {
                Ok(Next::More) => {}
                Ok(Next::PeerEnded) => ended = true,
                // What follows a good-bye is not looked at (RFC 8446, 6.1).
                Ok(Next::NeedsInput) if ended => return (bytes.len(), Ok(true)),
                Ok(Next::NeedsInput) => return (used, Ok(false)),
                Err(error) => {
                    self.take_alert(&mut bytes[used..], out);
                    return (used, Err(error));
                }
            }
        }
    }

    fn take_alert(&mut self, bytes: &mut [u8], out: &mut Vec<u8>) {
        while self.common().wants_write() {
            let (_, next) = process!(self, bytes, status => step(status, &mut |_| {}, out));
            if !matches!(next, Ok(Next::More)) {
                return;
            }
        }
    }

    /// Encrypts `data` into `out`, which has room for it, and says how long it became. `partial` is what
    /// [`receive`](Self::receive) has left.
    ///
    /// # Errors
    /// The connection is over.
    pub(crate) fn encrypt(&mut self, partial: &mut [u8], data: &[u8], out: &mut [u8]) -> io::Result<usize> {
        process!(self, partial, status => seal(status, Some(data), out))
    }

    /// As [`encrypt`](Self::encrypt), for the good-bye: `close_notify`.
    ///
    /// # Errors
    /// The connection is over.
    pub(crate) fn say_goodbye(&mut self, partial: &mut [u8], out: &mut [u8]) -> io::Result<usize> {
        process!(self, partial, status => seal(status, None, out))
    }

    /// Changes the keys and asks the peer to do so as well (RFC 8446, 4.6.3).
    #[cfg(test)]
    pub(crate) fn update_keys(&mut self, out: &mut Vec<u8>) {
        let refreshed = process!(self, &mut [], status => match status.state {
            Ok(ConnectionState::WriteTraffic(traffic)) => traffic.refresh_traffic_keys(),
            other => panic!("{other:?}"),
        });
        refreshed.expect("keys are changed");
        self.receive(&mut [], &mut |_| {}, out).1.expect("keys are changed");
    }

    /// What the handshake has shown. To be asked for in the call that ended it.
    pub(crate) fn info(&self) -> TlsInfo {
        let common = self.common();
        let certificates = common.peer_certificates().unwrap_or_default().iter();
        TlsInfo {
            version: match common.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => "1.2",
                _ => "1.3",
            },
            cipher: common.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or("unknown"),
            alpn: common.alpn_protocol().map(Bytes::copy_from_slice),
            server_name: None,
            peer_certificates: certificates.map(|der| Bytes::copy_from_slice(der)).collect(),
            resumed: common.handshake_kind() == Some(HandshakeKind::Resumed),
        }
    }

    /// The name that the client asked for, if this call of [`receive`](Self::receive) has learnt it.
    pub(crate) fn take_asked_for() -> Option<Box<str>> {
        ASKED_FOR.take()
    }
}

/// Does what rustls asks for, once.
fn step<Data>(status: UnbufferedStatus<'_, '_, Data>, take: Take<'_>, out: &mut Vec<u8>) -> (usize, io::Result<Next>) {
    let mut done = status.discard;
    let next = match status.state {
        Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
            match traffic.next_record() {
                Some(Ok(record)) => {
                    done += record.discard;
                    take(record.payload);
                }
                Some(Err(error)) => break Err(invalid(&error)),
                None => break Ok(Next::More),
            }
        },
        Ok(ConnectionState::EncodeTlsData(mut data)) => {
            let at = out.len();
            if let Err(EncodeError::InsufficientSize(needs)) = data.encode(&mut []) {
                out.resize(at + needs.required_size, 0);
                let _ = data.encode(&mut out[at..]);
            }
            Ok(Next::More)
        }
        Ok(ConnectionState::TransmitTlsData(data)) => {
            // It is in `out`, which is sent in order.
            data.done();
            Ok(Next::More)
        }
        Ok(ConnectionState::PeerClosed) => Ok(Next::PeerEnded),
        Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_) | ConnectionState::Closed) => {
            Ok(Next::NeedsInput)
        }
        Ok(other) => Err(io::Error::other(format!("TLS is in a state that was not asked for: {other:?}"))),
        Err(error) => Err(invalid(&error)),
    };
    (done, next)
}

fn seal<Data>(status: UnbufferedStatus<'_, '_, Data>, data: Option<&[u8]>, out: &mut [u8]) -> io::Result<usize> {
    let sealed = match status.state {
        Ok(ConnectionState::WriteTraffic(mut traffic)) => match data {
            Some(data) => traffic.encrypt(data, out),
            None => traffic.queue_close_notify(out),
        },
        Ok(other) => return Err(io::Error::other(format!("TLS cannot write now: {other:?}"))),
        Err(error) => return Err(invalid(&error)),
    };
    sealed.map_err(|error| match error {
        EncryptError::EncryptExhausted => io::Error::other("its keys are used up: TLS 1.2 cannot renew them"),
        short @ EncryptError::InsufficientSize(_) => io::Error::other(short.to_string()),
    })
}
