//! The corpora in `fuzz/corpus/`, and mutations of them.
#![allow(dead_code, unused_imports, reason = "each test uses a part")]

use std::fs;
use std::path::{Path, PathBuf};

#[path = "../../fuzz/src/lib.rs"]
pub(crate) mod bodies;

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// The same `data` with a few bytes changed, put in, left out or repeated.
fn mutate(data: &[u8], seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut below = |end: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % end.max(1)
    };
    let mut data = data.to_vec();
    for _ in 0..=below(4) {
        let (from, to) = (below(data.len()), below(data.len()));
        match below(5) {
            0 => data.insert(from, [0, 1, 10, 13, 127, 128, 255][below(7)]),
            1 => data.extend_from_within(from.min(to)..from.max(to)),
            _ if data.is_empty() => {}
            2 => drop(data.drain(from.min(to)..from.max(to).min(from.min(to) + 8))),
            3 => data[from] ^= 1 << below(8),
            _ => data[from] = below(256) as u8,
        }
    }
    data.truncate(4096);
    data
}

/// Runs the body of a target over its corpus, and over so many mutations of each file.
pub(crate) fn replay(target: &str, mutations: u64) {
    let (_, body) = bodies::TARGETS.iter().find(|(name, _)| *name == target).expect("it is one of the targets");
    let files = files(&root().join("corpus").join(target));
    assert!(!files.is_empty(), "{target} has no corpus");
    for file in files {
        let data = fs::read(&file).unwrap();
        println!("{}", file.display());
        body(&data);
        for seed in 0..mutations {
            let mutated = mutate(&data, seed);
            // Shown where the test fails: its bytes, to add to the corpus.
            println!("{seed}: {}", mutated.escape_ascii());
            body(&mutated);
        }
    }
}
