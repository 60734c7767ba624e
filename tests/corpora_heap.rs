//! The bodies of those fuzz targets that promise a bound of the heap, with a heap that is counted: that of the whole process,
//! so there is no harness with threads of its own.
#![allow(clippy::unwrap_used, dead_code, reason = "helpers of tests")]

use std::sync::{Mutex, PoisonError};

use dhat::{HeapStats, Profiler};
use replay::{bodies, replay};

#[path = "corpora/replay.rs"]
mod replay;

#[global_allocator]
static ALLOC: dhat::Alloc = dhat::Alloc;

/// Few: counting is slow.
const MUTATIONS: u64 = 2;
const TARGETS: [&str; 2] = ["session", "stream_loop"];

/// The harness's options with a value of their own.
const VALUED: [&str; 6] = ["--test-threads", "--skip", "--format", "--color", "--logfile", "--shuffle-seed"];

/// What of the arguments is no option of the harness, nor the value of one.
fn names(arguments: &[String]) -> Vec<&str> {
    let mut names = Vec::new();
    let mut arguments = arguments.iter().map(String::as_str);
    while let Some(argument) = arguments.next() {
        if VALUED.contains(&argument) || argument == "-Z" {
            arguments.next();
        } else if !argument.starts_with('-') {
            names.push(argument);
        }
    }
    names
}

/// There is no harness to run it as a test.
fn check_names() {
    for (line, expected) in [
        ("", ""),
        ("-q", ""),
        ("--nocapture --test-threads 1 session", "session"),
        ("--test-threads=1 stream --skip session -Z unstable-options loop", "stream loop"),
    ] {
        let arguments: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        assert_eq!(names(&arguments).join(" "), expected, "{line}");
    }
}

fn main() {
    check_names();
    // What the harness would be asked: which tests there are, or to run some by their names.
    let asked: Vec<String> = std::env::args().skip(1).collect();
    if asked.iter().any(|argument| argument == "--list") {
        TARGETS.iter().for_each(|target| println!("{target}: test"));
        return;
    }
    static PROFILER: Mutex<Option<Profiler>> = Mutex::new(None);
    let reset = || {
        let mut profiler = PROFILER.lock().unwrap_or_else(PoisonError::into_inner);
        drop(profiler.take());
        *profiler = Some(Profiler::builder().testing().build());
    };
    bodies::Meter { reset, peak: || HeapStats::get().max_bytes, noise: 0 }.install();
    let names = names(&asked);
    for target in TARGETS {
        if names.is_empty() || names.iter().any(|name| target.contains(name)) {
            replay(target, MUTATIONS);
            println!("test {target} ... ok");
        }
    }
}
