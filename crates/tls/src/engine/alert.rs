//! Errors in words.

use std::io;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

/// What is wrong, and what would be right, for one end of a connection.
pub(super) fn explained(error: &Error) -> String {
    match error {
        Error::AlertReceived(alert) => told_by_peer(*alert),
        Error::InvalidCertificate(error) => certificate(error),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => "what came is not TLS".to_owned(),
        Error::InappropriateHandshakeMessage { got_type, .. } => {
            format!("what came is not what TLS expects here ({got_type:?}): does the peer send back what it gets?")
        }
        Error::NoCertificatesPresented => {
            "the peer has shown no certificate, and client_auth=require asks for one".to_owned()
        }
        Error::NoApplicationProtocol => "none of the protocols that the peer offers is one of alpn=".to_owned(),
        Error::DecryptError => "a record cannot be decrypted: it was changed on its way".to_owned(),
        Error::PeerIncompatible(why) => incompatible(why),
        Error::PeerMisbehaved(why) => format!("the peer breaks the protocol: {why:?}"),
        other => other.to_string(),
    }
}

pub(super) fn invalid(error: &Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, explained(error))
}

fn incompatible(why: &PeerIncompatible) -> String {
    match why {
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::SupportedVersionsExtensionRequired
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled
        | PeerIncompatible::Tls13RequiredForQuic => {
            format!("the peer speaks none of the versions of TLS that may be spoken here: min_version= ({why:?})")
        }
        PeerIncompatible::NoCipherSuitesInCommon
        | PeerIncompatible::NoKxGroupsInCommon
        | PeerIncompatible::NoSignatureSchemesInCommon
        | PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon => {
            format!("the peer knows none of the ciphers or signatures that are known here ({why:?})")
        }
        other => format!("the peer cannot be spoken with: {other:?}"),
    }
}

/// An alert (RFC 8446, 6.2) in words, with its name there.
fn told_by_peer(alert: AlertDescription) -> String {
    use AlertDescription as A;
    let (words, name) = match alert {
        A::UnknownCA => ("it does not know who has signed the certificate of this end", "unknown_ca"),
        A::CertificateRequired => {
            ("it wants a certificate of this end: cert= and key= name one", "certificate_required")
        }
        A::BadCertificate => ("it takes the certificate of this end for broken", "bad_certificate"),
        A::UnsupportedCertificate => ("it does not take a certificate of this kind", "unsupported_certificate"),
        A::CertificateRevoked => ("the certificate of this end was revoked", "certificate_revoked"),
        A::CertificateExpired => ("the certificate of this end has expired", "certificate_expired"),
        A::CertificateUnknown => ("it does not trust the certificate of this end", "certificate_unknown"),
        A::AccessDenied => ("it knows this end and refuses it", "access_denied"),
        A::HandshakeFailure => ("no cipher, signature or certificate suits both ends", "handshake_failure"),
        A::InsufficientSecurity => ("it wants stronger ciphers", "insufficient_security"),
        A::ProtocolVersion => ("it speaks none of the versions of TLS that this end speaks", "protocol_version"),
        A::NoApplicationProtocol => ("it knows none of the protocols of alpn=", "no_application_protocol"),
        A::UnrecognisedName => {
            ("it has no certificate for the name that was asked for: server_name=", "unrecognized_name")
        }
        A::UnknownPSKIdentity => ("it does not know the session that was to be resumed", "unknown_psk_identity"),
        A::UnexpectedMessage => ("it did not expect what it got", "unexpected_message"),
        A::BadRecordMac => ("what it got was changed on its way", "bad_record_mac"),
        A::RecordOverflow => ("what it got was too long", "record_overflow"),
        A::IllegalParameter => ("what it got breaks the protocol", "illegal_parameter"),
        A::DecodeError => ("it could not read what it got", "decode_error"),
        A::DecryptError => ("a signature or a check did not hold", "decrypt_error"),
        A::InternalError => ("it has an error of its own", "internal_error"),
        A::UserCanceled => ("it gave up", "user_canceled"),
        A::InappropriateFallback => ("it takes the connection for a downgrade", "inappropriate_fallback"),
        A::MissingExtension => ("it misses a part of the handshake", "missing_extension"),
        A::UnsupportedExtension => {
            ("it got a part of the handshake that it had not asked for", "unsupported_extension")
        }
        other => return format!("the peer ended the connection (alert {})", u8::from(other)),
    };
    format!("the peer ended the connection: {words} (alert {name})")
}

fn certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "its certificate is signed by nobody that is trusted here".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!("its certificate has expired ({error})")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!("its certificate is not valid yet: is the clock right? ({error})")
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            // As `DnsName("example.org")`.
            let name = |text: &String| text.split('"').nth(1).unwrap_or(text).to_owned();
            let names: Vec<_> = presented.iter().map(name).collect();
            let names = if names.is_empty() { "no name".to_owned() } else { names.join(", ") };
            let expected = expected.to_str();
            format!("its certificate is for {names}, and not for {expected}: server_name= says whom to expect")
        }
        CertificateError::Other(other) => other.to_string(),
        other => format!("its certificate is not accepted: {other}"),
    }
}
