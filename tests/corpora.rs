//! The bodies of the fuzz targets, over the corpora in `fuzz/corpus/` and mutations of them.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dhat::{HeapStats, Profiler};
use swapwire::Framing;

#[path = "../fuzz/src/lib.rs"]
mod bodies;

#[global_allocator]
static ALLOC: dhat::Alloc = dhat::Alloc;

/// Mutations of each file, and of each where the heap is counted, which is slow.
const MUTATIONS: u64 = 32;
const COUNTED: u64 = 2;

/// One at a time: the heap is counted for the whole process.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn count_the_heap() {
    static PROFILER: Mutex<Option<Profiler>> = Mutex::new(None);
    let reset = || {
        let mut profiler = PROFILER.lock().unwrap_or_else(PoisonError::into_inner);
        drop(profiler.take());
        *profiler = Some(Profiler::builder().testing().build());
    };
    // The harness has threads of its own.
    bodies::Meter { reset, peak: || HeapStats::get().max_bytes, noise: 4096 }.install();
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn files(dir: &Path) -> Vec<PathBuf> {
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

fn replay(target: &str, mutations: u64) {
    let _alone = alone();
    count_the_heap();
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

macro_rules! replays {
    ($($name:ident: $mutations:expr,)*) => {$(
        #[test]
        fn $name() {
            replay(stringify!($name), $mutations);
        }
    )*};
}

replays! {
    datagram: MUTATIONS,
    decode_chunks: MUTATIONS,
    decode_codec: MUTATIONS,
    decode_delimited: MUTATIONS,
    decode_fixed: MUTATIONS,
    decode_length: MUTATIONS,
    decode_lines: MUTATIONS,
    endpoint: MUTATIONS,
    framing: MUTATIONS,
    options: MUTATIONS,
    session: COUNTED,
    stream_loop: COUNTED,
}

#[cfg(any(target_os = "linux", target_os = "android"))]
replays! {
    control: MUTATIONS,
}

/// Linux has them all.
#[cfg(target_os = "linux")]
#[test]
fn every_target_has_a_body_a_program_and_a_corpus() {
    let stems = |dir: &str| -> BTreeSet<String> {
        let stem = |path: PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
        files(&root().join(dir)).into_iter().map(stem).collect()
    };
    let bodies: BTreeSet<String> = bodies::TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let mut programs = stems("fuzz_targets");
    programs.remove("counting");
    assert_eq!((&bodies, &bodies), (&programs, &stems("corpus")));
}

#[test]
fn a_frame_that_drips_in_takes_linear_time() {
    let _alone = alone();
    let once = |framing: &Framing, len: usize| {
        let wire = [&(len as u32).to_be_bytes()[..], &vec![b'x'; len], b"\r\n"].concat();
        let (mut decoder, begun) = (framing.decoder(usize::MAX), Instant::now());
        (1..wire.len() - 2).for_each(|have| drop(decoder.decode(&wire[..have], false).unwrap()));
        begun.elapsed()
    };
    for framing in ["lines", "length", "delimiter:\r\n"].map(|text| text.parse::<Framing>().unwrap()) {
        let best = |len| (0..5).map(|_| once(&framing, len)).min().unwrap_or(Duration::MAX);
        let (short, long) = (best(1 << 18), best(1 << 20));
        assert!(long < short * 8, "{framing}: {short:?} for a quarter, {long:?} for all");
    }
}
