//! Keys as NATS writes them: base32 (RFC 4648, 6, without padding) of a kind, 32 bytes, and their CRC-16 (XMODEM).

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// Of a seed: `S` in its five bits; the three of the kind that follow make `U` with those of the next byte.
const SEED: u8 = 18 << 3;
/// Of a user's public key: `U`.
const USER: u8 = 20 << 3;
/// What a seed decodes to, in bytes: two of its kind, itself, two of the check.
const SEED_LEN: usize = 36;

/// The key of a user, which signs what the broker asks for.
pub(super) struct UserKey(Ed25519KeyPair);

impl UserKey {
    /// The key of a seed, as `SUAB…`.
    ///
    /// # Errors
    /// What is wrong with it and what would be right, without a byte of it.
    pub(super) fn of_seed(seed: &str) -> Result<Self, &'static str> {
        const DAMAGED: &str = "the seed is damaged: it has 58 letters and digits, and ends in a check of the others";
        let bytes = decode(seed).filter(|bytes| bytes.len() == SEED_LEN).ok_or(DAMAGED)?;
        let (checked, check) = bytes.split_at(SEED_LEN - 2);
        if crc16(checked).to_le_bytes() != *check {
            return Err(DAMAGED);
        }
        let kind = (checked[0] & 7) << 5 | checked[1] >> 3;
        if checked[0] & 0xf8 != SEED || kind != USER {
            return Err("the seed is not that of a user, which begins with SU");
        }
        Ed25519KeyPair::from_seed_unchecked(&checked[2..]).map(Self).map_err(|_| DAMAGED)
    }

    /// The public key, as `UABC…`.
    pub(super) fn public(&self) -> String {
        let mut bytes = vec![USER];
        bytes.extend(self.0.public_key().as_ref());
        bytes.extend(crc16(&bytes).to_le_bytes());
        encode(&bytes)
    }

    /// The signature of `nonce`, as `CONNECT` carries it.
    pub(super) fn sign(&self, nonce: &str) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.0.sign(nonce.as_bytes()))
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for letter in text.bytes() {
        let value = ALPHABET.iter().position(|known| *known == letter)?;
        bits = (bits << 5 | value as u32) & 0xfff;
        held += 5;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    Some(bytes)
}

fn encode(bytes: &[u8]) -> String {
    let (mut text, mut bits, mut held) = (String::new(), 0_u32, 0);
    let mut push = |value: u32| text.push(char::from(ALPHABET[value as usize & 31]));
    for byte in bytes {
        bits = (bits << 8 | u32::from(*byte)) & 0xfff;
        held += 8;
        while held >= 5 {
            held -= 5;
            push(bits >> held);
        }
    }
    if held > 0 {
        push(bits << (5 - held));
    }
    text
}

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(
            crc ^ u16::from(*byte) << 8,
            |crc: u16, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 },
        )
    })
}

#[cfg(test)]
mod tests {
    use ring::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    /// The example of the documentation of NATS.
    const SEED_TEXT: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
    const PUBLIC_TEXT: &str = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";

    #[test]
    fn a_seed_gives_its_public_key_and_signs_for_it() {
        let key = UserKey::of_seed(SEED_TEXT).ok().unwrap();
        assert_eq!(key.public(), PUBLIC_TEXT);
        let signature = BASE64_URL_SAFE_NO_PAD.decode(key.sign("a nonce")).unwrap();
        let public = &decode(PUBLIC_TEXT).unwrap()[1..33];
        assert!(UnparsedPublicKey::new(&ED25519, public).verify(b"a nonce", &signature).is_ok());
        assert!(UnparsedPublicKey::new(&ED25519, public).verify(b"another", &signature).is_err());
    }

    #[test]
    fn the_check_and_the_base_are_those_of_their_standards() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        for (text, base32) in [("", ""), ("f", "MY"), ("fo", "MZXQ"), ("foo", "MZXW6"), ("foobar", "MZXW6YTBOI")] {
            assert_eq!(encode(text.as_bytes()), base32);
            assert_eq!(decode(base32).unwrap(), text.as_bytes());
        }
        assert_eq!(decode("M8"), None);
    }

    #[test]
    fn a_seed_with_any_letter_changed_is_refused_without_being_shown() {
        for at in 0..SEED_TEXT.len() {
            let other = if SEED_TEXT.as_bytes()[at] == b'A' { "B" } else { "A" };
            let mut changed = SEED_TEXT.to_owned();
            changed.replace_range(at..=at, other);
            let error = UserKey::of_seed(&changed).err();
            // The last letter has two bits that say nothing.
            assert!(error.is_some() || at == SEED_TEXT.len() - 1, "{at}");
            assert!(!error.unwrap_or_default().contains("SUACSSL"), "{error:?}");
        }
        for wrong in ["", "SU", PUBLIC_TEXT, &SEED_TEXT.to_lowercase(), &SEED_TEXT[1..]] {
            assert!(UserKey::of_seed(wrong).is_err(), "{wrong}");
        }
    }
}
