//! Where the command puts sockets of its own choice.

use std::path::{Path, PathBuf};

/// Whatever the environment says, this is short, and all users may write it.
const LAST: &str = "/tmp";

/// Where a user's sockets belong, the best first: the directory for that purpose, and those for temporary files.
pub(crate) fn of_sockets() -> Vec<PathBuf> {
    // The specification says that a relative one is to be ignored.
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    distinct(runtime.into_iter().chain(temporary()))
}

/// Where temporary files belong, the best first.
pub(crate) fn temporary() -> Vec<PathBuf> {
    // A relative one would mean another place to a server that is started.
    let usual = std::path::absolute(std::env::temp_dir()).ok();
    distinct(usual.into_iter().chain([Path::new(LAST).to_owned()]))
}

fn distinct(directories: impl IntoIterator<Item = PathBuf>) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for directory in directories {
        if !all.contains(&directory) {
            all.push(directory);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_directory_is_tried_once_and_the_last_is_short() {
        let all = distinct(["/a", "/tmp", "/a", "/tmp"].map(PathBuf::from));
        assert_eq!(all, [Path::new("/a"), Path::new("/tmp")]);
        for all in [of_sockets(), temporary()] {
            assert!(all.iter().all(|directory| directory.is_absolute()));
            assert_eq!(all.last().unwrap(), Path::new(LAST));
        }
    }
}
