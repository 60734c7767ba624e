//! Public keys by their hash.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use rustls::pki_types::CertificateDer;
use rustls::server::ParsedCertificate;

use super::provider::sha256;

/// The SHA-256 hash of a public key (`SubjectPublicKeyInfo`), as RFC 7469 has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct KeyPin([u8; 32]);

const PREFIX: &str = "sha256:";

impl KeyPin {
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Result<Self, rustls::Error> {
        Ok(Self(sha256(&ParsedCertificate::try_from(certificate)?.subject_public_key_info())))
    }

    /// Reads `sha256:` and the hash, in Base64 (of either alphabet) or in hexadecimal digits.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let hash = text.strip_prefix(PREFIX)?;
        let bytes = if hash.len() == 64 {
            let digits = (0..64).step_by(2).map(|at| u8::from_str_radix(hash.get(at..at + 2)?, 16).ok());
            digits.collect::<Option<Vec<_>>>()?
        } else {
            let url_safe: String = hash
                .trim_end_matches('=')
                .chars()
                .map(|c| match c {
                    '+' => '-',
                    '/' => '_',
                    c => c,
                })
                .collect();
            BASE64.decode(url_safe).ok()?
        };
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for KeyPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", BASE64.encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_read_in_each_of_its_forms() {
        let pin = KeyPin(std::array::from_fn(|at| 0xf8 + (at % 8) as u8));
        let hex: String = pin.0.iter().map(|byte| format!("{byte:02X}")).collect();
        let standard = base64::engine::general_purpose::STANDARD.encode(pin.0);
        assert!(standard.contains(['+', '/']), "{standard}");
        for text in [pin.to_string(), format!("sha256:{hex}"), format!("sha256:{standard}")] {
            assert_eq!(KeyPin::parse(&text), Some(pin), "{text}");
        }
        for wrong in
            ["", "sha256:", "sha1:00", "sha256:AAAA", &pin.to_string()[..49], &format!("sha256:{}", "zz".repeat(32))]
        {
            assert_eq!(KeyPin::parse(wrong), None, "{wrong}");
        }
    }
}
