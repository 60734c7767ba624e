//! Bytes that show whether they arrived as they left.

/// `len` bytes that follow from `seed`: equal seeds give equal bytes, and a shorter one is the beginning of a longer one.
pub fn payload(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len + 8);
    let mut state = seed;
    while bytes.len() < len {
        bytes.extend_from_slice(&splitmix(&mut state).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Whether `bytes` are the payload of `seed` of that length.
///
/// # Errors
/// Where they first differ, for people.
pub fn check(seed: u64, bytes: &[u8]) -> Result<(), String> {
    compare(&payload(seed, bytes.len()), bytes)
}

/// Whether `got` is `expected`; if not, how they differ.
pub(crate) fn compare(expected: &[u8], got: &[u8]) -> Result<(), String> {
    if expected == got {
        return Ok(());
    }
    let at = expected.iter().zip(got).take_while(|(a, b)| a == b).count();
    if expected.len() == got.len() {
        Err(format!("{} bytes that differ from byte {at} on", got.len()))
    } else {
        Err(format!("{} bytes instead of {}, equal up to byte {at}", got.len(), expected.len()))
    }
}

/// One step of Steele's and Vigna's SplitMix64.
pub(crate) fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_show_their_faults() {
        let mut bytes = payload(7, 1001);
        assert!(bytes.starts_with(&payload(7, 10)));
        assert_eq!(check(7, &bytes), Ok(()));
        assert_ne!(payload(8, 16), payload(7, 16));
        bytes[1000] ^= 1;
        assert_eq!(check(7, &bytes).unwrap_err(), "1001 bytes that differ from byte 1000 on");
        assert_eq!(compare(b"abc", b"ab").unwrap_err(), "2 bytes instead of 3, equal up to byte 2");
    }
}
