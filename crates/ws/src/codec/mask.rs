//! Masks (RFC 6455, 5.3).

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use super::header::MASK;

/// Masks `bytes`, or takes the mask off, which is the same. `from` is where they stand in the payload.
#[inline]
pub(crate) fn apply(bytes: &mut [u8], mut mask: [u8; MASK], from: usize) {
    mask.rotate_left(from % MASK);
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (index, byte) in rest.iter_mut().enumerate() {
        *byte ^= mask[index % MASK];
    }
}

/// Masks and keys that a peer cannot foresee (RFC 6455, 10.3): numbers through a keyed hash. The standard library takes the
/// key from the system's source of random bytes, and its hash is SipHash, a pseudo-random function.
#[derive(Debug)]
pub(crate) struct Random {
    keys: RandomState,
    drawn: u64,
}

impl Random {
    pub(crate) fn new() -> Self {
        Self { keys: RandomState::new(), drawn: 0 }
    }

    pub(crate) fn draw(&mut self) -> u64 {
        let mut hasher = self.keys.build_hasher();
        hasher.write_u64(self.drawn);
        self.drawn = self.drawn.wrapping_add(1);
        hasher.finish()
    }

    pub(crate) fn mask(&mut self) -> [u8; MASK] {
        (self.draw() as u32).to_ne_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_has_its_byte_of_the_mask_wherever_the_pieces_end() {
        let mask = [1, 2, 4, 8];
        let plain: Vec<u8> = (0..67).collect();
        let masked: Vec<u8> = plain.iter().enumerate().map(|(index, byte)| byte ^ mask[index % 4]).collect();
        for cut in 0..=plain.len() {
            let mut bytes = plain.clone();
            let (front, behind) = bytes.split_at_mut(cut);
            apply(front, mask, 0);
            apply(behind, mask, cut);
            assert_eq!(bytes, masked, "{cut}");
        }
    }

    #[test]
    fn draws_differ() {
        let (mut one, mut other) = (Random::new(), Random::new());
        let mut drawn: Vec<u64> = (0..500).flat_map(|_| [one.draw(), other.draw()]).collect();
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn.len(), 1000);
    }
}
