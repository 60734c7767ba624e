//! A socket's file is never open to more than was asked for. Alone in its process: it changes the umask.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::sync::atomic::{AtomicBool, Ordering};

use common::{bind, endpoint};

/// Ends the watcher, also when a test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn no_mode_is_ever_wider_than_asked() {
    let dir = tempfile::tempdir().unwrap();
    nix::sys::stat::umask(nix::sys::stat::Mode::empty());
    let stop = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut seen = 0_usize;
            while !stop.load(Ordering::Relaxed) {
                for entry in fs::read_dir(dir.path()).unwrap() {
                    // Gone already.
                    let Ok(found) = fs::symlink_metadata(entry.unwrap().path()) else { continue };
                    assert_eq!(found.mode() & 0o177, 0, "{:o}", found.mode());
                    seen += usize::from(found.file_type().is_socket());
                }
            }
            seen
        });
        let stop = Stop(&stop);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            for n in 0..10_000 {
                let path = dir.path().join("s");
                let scheme = if n % 2 == 0 { "unix" } else { "unix-dgram" };
                let _bound = bind(&endpoint(scheme, &path)).await.unwrap();
                std::thread::yield_now();
            }
        });
        drop(stop);
        watcher.join().unwrap()
    });
    assert!(seen > 0, "the watcher saw no socket");
    println!("{seen} sightings of a socket, none wider than 600");
}
