//! The values behind the addresses of a header of version 2 (section 2.2).

use crate::header::HeaderError;
use crate::parse::LONGEST_ADDRESSES;

/// The type of the checksum (`PP2_TYPE_CRC32C`).
const CHECKSUM: u8 = 0x03;
/// The type of padding (`PP2_TYPE_NOOP`).
const PADDING: u8 = 0x04;
/// A type and a length.
const HEAD: usize = 3;
/// A checksum with its head.
pub(crate) const CHECKSUM_LEN: usize = HEAD + 4;

/// What fits into a header behind the longest addresses, beside a checksum.
pub(crate) const MOST_TLVS: usize = u16::MAX as usize - LONGEST_ADDRESSES - CHECKSUM_LEN;

/// What else a header says: values with their types (`PP2_TYPE_…`), in its order. Its checksum and its padding, which say
/// nothing, are not among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tlvs(Vec<u8>);

impl Tlvs {
    /// How long all of them may be in a header, each with the three bytes before it.
    pub const MAX: usize = MOST_TLVS;

    /// Adds a value.
    ///
    /// # Errors
    /// All of them would be longer than [`Tlvs::MAX`].
    pub fn push(&mut self, kind: u8, value: &[u8]) -> Result<(), HeaderError> {
        if self.0.len() + HEAD + value.len() > Self::MAX {
            return Err(HeaderError("the values of a PROXY header have at most 65312 bytes, with 3 before each"));
        }
        push(&mut self.0, kind, value);
        Ok(())
    }

    /// Each with its type.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &[u8])> {
        pieces(&self.0).map_while(|(_, piece)| piece)
    }

    /// The first of a type.
    pub fn get(&self, kind: u8) -> Option<&[u8]> {
        self.iter().find(|(other, _)| *other == kind).map(|(_, value)| value)
    }

    /// As they are written.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// What `bytes` say; `None` if the last of them is cut short.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let mut read = Vec::with_capacity(bytes.len());
        for (_, piece) in pieces(bytes) {
            match piece? {
                (CHECKSUM | PADDING, _) => {}
                (kind, value) => push(&mut read, kind, value),
            }
        }
        Some(Self(read))
    }
}

/// Where each of them stands, and what it says; `None` instead of one that is cut short, which is the last.
fn pieces(bytes: &[u8]) -> impl Iterator<Item = (usize, Option<(u8, &[u8])>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let begin = at;
        let [kind, high, low, rest @ ..] = bytes.get(begin..)? else {
            at = bytes.len() + 1;
            return (begin < bytes.len()).then_some((begin, None));
        };
        let value = rest.get(..usize::from(u16::from_be_bytes([*high, *low])));
        at = value.map_or(bytes.len() + 1, |value| begin + HEAD + value.len());
        Some((begin, value.map(|value| (*kind, value))))
    })
}

fn push(bytes: &mut Vec<u8>, kind: u8, value: &[u8]) {
    let [high, low] = u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes();
    bytes.extend_from_slice(&[kind, high, low]);
    bytes.extend_from_slice(value);
}

/// Adds room for a checksum, which [`sign`] fills once the header is whole.
pub(crate) fn push_checksum(bytes: &mut Vec<u8>) {
    push(bytes, CHECKSUM, &[0; 4]);
}

/// Fills the checksum at the end of `header` (section 2.2.3).
pub(crate) fn sign(header: &mut [u8]) {
    let (sum, at) = (checksum(&[header]), header.len() - 4);
    header[at..].copy_from_slice(&sum.to_be_bytes());
}

/// Whether each checksum among the last `len` bytes of `header` is right.
pub(crate) fn verify(header: &[u8], len: usize) -> Result<(), HeaderError> {
    let first = header.len() - len;
    for (at, piece) in pieces(&header[first..]) {
        let Some((CHECKSUM, told)) = piece else { continue };
        let told: [u8; 4] = told.try_into().map_err(|_| HeaderError("the PROXY header's checksum is not 4 bytes"))?;
        let (before, behind) = (&header[..first + at + HEAD], &header[first + at + CHECKSUM_LEN..]);
        if u32::from_be_bytes(told) != checksum(&[before, &[0; 4], behind]) {
            return Err(HeaderError("the PROXY header's checksum is wrong"));
        }
    }
    Ok(())
}

/// The CRC32C of the pieces of a header.
fn checksum(pieces: &[&[u8]]) -> u32 {
    const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI);
    let mut digest = CRC.digest();
    pieces.iter().for_each(|piece| digest.update(piece));
    digest.finalize()
}
