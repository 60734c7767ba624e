//! What the fuzzer found worth keeping, as ordinary tests: every file below `fuzz/corpus` goes to the target it was found
//! for, as it is and with changes from fixed seeds. `scripts/fuzz` finds more.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

#[path = "../fuzz/src/lib.rs"]
mod fuzz;

/// Changed copies of each file.
const CHANGED: u64 = 20;

/// xorshift64.
struct Rng(u64);

impl Rng {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }
}

/// As fuzzers do: bytes that are other ones, gone, doubled, or at another place.
fn change(bytes: &mut Vec<u8>, rng: &mut Rng) {
    for _ in 0..=rng.below(4) {
        let at = rng.below(bytes.len() + 1);
        match rng.below(4) {
            0 => bytes.insert(at, rng.below(256) as u8),
            1 if at < bytes.len() => drop(bytes.remove(at)),
            2 if at < bytes.len() => bytes[at] = rng.below(256) as u8,
            _ if at < bytes.len() => bytes.rotate_left(at),
            _ => {}
        }
    }
}

#[test]
fn what_was_found_stays_mended() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut wrong = Vec::new();
    for (name, body) in fuzz::TARGETS {
        let mut files: Vec<_> = fs::read_dir(corpora.join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 10, "{name}: {} files", files.len());
        files.sort();
        for (index, file) in files.iter().enumerate() {
            let bytes = fs::read(file).unwrap();
            for seed in 0..=CHANGED {
                let mut bytes = bytes.clone();
                if seed > 0 {
                    change(&mut bytes, &mut Rng(1 + seed + CHANGED * index as u64));
                }
                if catch_unwind(|| body(&bytes)).is_err() {
                    wrong.push(format!("{name}, {}: {}", file.display(), bytes.escape_ascii()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
