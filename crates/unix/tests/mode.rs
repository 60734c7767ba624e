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
    // A file that is open to a group belongs to it.
    let own = nix::unistd::getegid().as_raw();
    let group = if nix::unistd::geteuid().is_root() { 54321 } else { own };
    if group == own {
        eprintln!("skipped, in part: only root can give a file to any group");
    }
    let stop = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut seen = 0_usize;
            while !stop.load(Ordering::Relaxed) {
                for entry in fs::read_dir(dir.path()).unwrap() {
                    // Gone already.
                    let Ok(found) = fs::symlink_metadata(entry.unwrap().path()) else { continue };
                    let wide = if found.gid() == group && group != own { 0o117 } else { 0o177 };
                    assert_eq!(found.mode() & wide, 0, "{:o} of group {}", found.mode(), found.gid());
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
                let mut place = endpoint(scheme, &path);
                if n % 4 < 2 && group != own {
                    place = place.with_option("mode", 660).with_option("group", group);
                }
                let _bound = bind(&place).await.unwrap();
                std::thread::yield_now();
            }
        });
        drop(stop);
        watcher.join().unwrap()
    });
    assert!(seen > 0, "the watcher saw no socket");
    println!("{seen} sightings of a socket, none wider than asked");
}
