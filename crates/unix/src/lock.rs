//! The lock beside a path: one server at a time binds it.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::path::Inode;

/// How often a lock file that was removed while it was being locked is made anew. Each round means that another server
/// stopped in that moment.
const ATTEMPTS: usize = 64;

/// An exclusive `flock(2)` on `<path>.lock`; the file is removed when the lock is dropped.
///
/// Removing a lock file is safe because of two rules that every process keeps. Only the holder of the lock removes the
/// file. After taking a lock, the process checks whether the file that was locked is still the one at the path: if not, the
/// lock protects nothing, and the next round locks the file that is there now.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    // Open until the file was removed: then the lock ends.
    file: File,
}

impl Lock {
    /// Takes the lock of the socket at `path` for user `uid`. Does not wait.
    pub(crate) fn take(path: &Path, uid: u32) -> Result<Self, Failure> {
        let mut name = OsString::from(path);
        name.push(".lock");
        let path = PathBuf::from(name);
        let context = |error: io::Error| {
            Failure::Io(io::Error::new(error.kind(), format!("the lock file {}: {error}", path.display())))
        };
        for _ in 0..ATTEMPTS {
            let file = open(&path).map_err(context)?;
            let found = file.metadata().map_err(context)?;
            if !found.is_file() || found.len() != 0 || found.uid() != uid {
                let reason = "is not an empty file of this user; remove it or choose another path";
                return Err(Failure::Unusable(format!("the lock file {} {reason}", path.display())));
            }
            match file.try_lock() {
                Ok(()) if Inode::of(&found).is_at(&path) => return Ok(Self { path, file }),
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(in_use(&path)),
                Err(TryLockError::Error(error)) => return Err(context(error)),
            }
        }
        Err(in_use(&path))
    }

    /// Whether the file that is locked is still at its path, so that no other process can take the lock.
    pub(crate) fn is_in_place(&self) -> bool {
        self.file.metadata().is_ok_and(|held| Inode::of(&held).is_at(&self.path))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.is_in_place() {
            // A drop returns no error, and a lock file that stays does no harm.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Never follows a link and never waits, whatever is there.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(path)
}

fn in_use(path: &Path) -> Failure {
    Failure::InUse(format!("another server is listening there (it holds {})", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid() -> u32 {
        tempfile::tempfile().unwrap().metadata().unwrap().uid()
    }

    #[test]
    fn one_at_a_time_and_nothing_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let lock = Lock::take(&path, uid()).unwrap();
        assert_eq!(fs::metadata(dir.path().join("s.lock")).unwrap().mode() & 0o777, 0o600);
        assert!(matches!(Lock::take(&path, uid()), Err(Failure::InUse(_))));
        drop(lock);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(Lock::take(&path, uid()).is_ok());
    }

    #[test]
    fn a_left_over_lock_file_does_no_harm() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("s.lock"), "").unwrap();
        assert!(Lock::take(&dir.path().join("s"), uid()).is_ok());
    }

    #[test]
    fn a_foreign_file_is_refused_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (path, lock) = (dir.path().join("s"), dir.path().join("s.lock"));
        fs::write(&lock, "precious").unwrap();
        assert!(matches!(Lock::take(&path, uid()), Err(Failure::Unusable(_))));
        assert_eq!(fs::read(&lock).unwrap(), b"precious");

        fs::remove_file(&lock).unwrap();
        let target = dir.path().join("target");
        std::os::unix::fs::symlink(&target, &lock).unwrap();
        assert!(matches!(Lock::take(&path, uid()), Err(Failure::Io(_))));
        assert!(!target.exists() && lock.is_symlink());
    }

    #[test]
    fn a_lock_file_of_another_server_is_not_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let first = Lock::take(&path, uid()).unwrap();
        fs::remove_file(dir.path().join("s.lock")).unwrap();
        let second = Lock::take(&path, uid()).unwrap();
        drop(first);
        assert!(matches!(Lock::take(&path, uid()), Err(Failure::InUse(_))));
        drop(second);
    }

    #[test]
    fn many_takers_never_hold_it_together() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let (holders, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        let Ok(lock) = Lock::take(&path, uid()) else { continue };
                        assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0);
                        taken.fetch_add(1, Ordering::SeqCst);
                        holders.fetch_sub(1, Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
        assert!(taken.load(Ordering::SeqCst) > 0);
    }
}
