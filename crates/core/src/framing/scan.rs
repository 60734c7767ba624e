//! Searching for one byte where it is near, as the ends of lines are.
//!
//! Up to a few hundred bytes this takes less than half of what `memchr` takes to begin; beyond that, `memchr` goes on.

use memchr::memchr;

/// What is compared at once: two registers of every x86-64 and aarch64.
const BLOCK: usize = 32;
/// So many blocks are near.
const NEAR: usize = 8;

#[inline(always)]
fn is_in(needle: u8, block: &[u8; BLOCK]) -> bool {
    // Without a branch for each byte, so that it is one comparison of registers.
    block.iter().fold(false, |found, byte| found | (*byte == needle))
}

/// Where `needle` is first found.
#[inline(always)]
pub(super) fn find(needle: u8, bytes: &[u8]) -> Option<usize> {
    let (blocks, _) = bytes.as_chunks::<BLOCK>();
    for (i, block) in blocks.iter().take(NEAR).enumerate() {
        if is_in(needle, block) {
            return Some(i * BLOCK + position(needle, block));
        }
    }
    let searched = blocks.len().min(NEAR) * BLOCK;
    memchr(needle, &bytes[searched..]).map(|at| searched + at)
}

/// Where `needle` is in a block that holds it: eight bytes at a time, by the lowest byte that is zero after `xor`.
#[inline(always)]
fn position(needle: u8, block: &[u8; BLOCK]) -> usize {
    const LOW: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let (words, _) = block.as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        let other = u64::from_le_bytes(*word) ^ (LOW * u64::from(needle));
        let zero = other.wrapping_sub(LOW) & !other & HIGH;
        if zero != 0 {
            return i * 8 + (zero.trailing_zeros() / 8) as usize;
        }
    }
    BLOCK
}

/// Whether `needle` is anywhere.
#[inline(always)]
pub(super) fn contains(needle: u8, bytes: &[u8]) -> bool {
    if bytes.len() > NEAR * BLOCK {
        return memchr(needle, bytes).is_some();
    }
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    blocks.iter().any(|block| is_in(needle, block)) || rest.contains(&needle)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_finds_what_memchr_finds(mut bytes in proptest::collection::vec(any::<u8>(), 0..600), at in any::<usize>(), thin in any::<bool>()) {
            if thin {
                bytes.iter_mut().for_each(|byte| *byte |= 1);
                if !bytes.is_empty() {
                    let at = at % bytes.len();
                    bytes[at] = 10;
                }
            }
            for needle in [0, 10, 11, 0x80, 255] {
                prop_assert_eq!(find(needle, &bytes), memchr(needle, &bytes));
                prop_assert_eq!(contains(needle, &bytes), memchr(needle, &bytes).is_some());
            }
        }
    }
}
