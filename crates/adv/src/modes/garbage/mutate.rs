//! Messages as no client writes them.

use crate::tagged::{Framing, Tag, Tagged};

/// Bytes that have a meaning for somebody.
const TELLING: &[u8] = &[0, 1, b'\n', b'\r', b' ', b'"', b'%', b'\\', 0x1b, 0x7f, 0x80, 0xc0, 0xfe, 0xff];
/// Lengths at which arithmetic goes wrong.
const LENGTHS: &[u32] =
    &[0, 1, 0x7f, 0xff, 0xffff, 0x10_0000, 0x10_0001, 0x7fff_ffff, 0x8000_0000, 0xffff_fffc, u32::MAX];
/// The longest of the long ones: more than a datagram holds.
const LONG: usize = 70_000;

/// A right request with up to four things wrong with it.
pub(super) fn frame(tagged: &Tagged, tag: Tag, random: &mut fastrand::Rng) -> Vec<u8> {
    let mut frame = Vec::new();
    tagged.request(tag, &mut frame);
    for _ in 0..random.usize(1..=4) {
        spoil(&mut frame, tagged.framing(), random);
    }
    frame
}

fn spoil(frame: &mut Vec<u8>, framing: Framing, random: &mut fastrand::Rng) {
    let at = random.usize(..=frame.len());
    let end = random.usize(at..=frame.len());
    match random.u8(..16) {
        0..3 => {
            if let Some(byte) = frame.get_mut(at) {
                *byte ^= 1 << random.u8(..8);
            }
        }
        3..6 => {
            if let Some(byte) = frame.get_mut(at) {
                *byte = TELLING[random.usize(..TELLING.len())];
            }
        }
        6 | 7 => frame.truncate(at),
        8 | 9 => {
            let more: Vec<_> = (0..random.usize(1..64)).map(|_| random.u8(..)).collect();
            frame.splice(at..at, more);
        }
        10 => {
            let again = frame[at..end].to_vec();
            frame.splice(end..end, again);
        }
        11 => drop(frame.drain(at..end)),
        12 => frame.clear(),
        13 if random.u8(..8) == 0 => {
            let byte = TELLING[random.usize(..TELLING.len())];
            frame.resize(random.usize(frame.len()..=LONG.max(frame.len())), byte);
        }
        _ if framing == Framing::Length && frame.len() >= 4 => {
            let length = LENGTHS[random.usize(..LENGTHS.len())];
            frame[..4].copy_from_slice(&length.to_be_bytes());
        }
        _ => {
            frame.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::tagged::Expect;
    use crate::values::Sizes;

    #[test]
    fn a_seed_gives_the_same_frames_and_most_differ() {
        let sizes = Sizes { least: 64, most: 64 };
        for framing in [Framing::Lines, Framing::Length, Framing::Raw] {
            let tagged = Tagged::new(1, framing, Expect::Any, sizes).unwrap();
            let frames = |seed| {
                let mut random = fastrand::Rng::with_seed(seed);
                (0..1000).map(|seq| frame(&tagged, Tag { client: 0, seq }, &mut random)).collect::<Vec<_>>()
            };
            assert_eq!(frames(5), frames(5));
            assert_ne!(frames(5), frames(6));
            let lengths: BTreeSet<_> = frames(5).iter().map(Vec::len).collect();
            assert!(lengths.contains(&0) && lengths.iter().max() > Some(&1000), "{lengths:?}");
        }
    }
}
