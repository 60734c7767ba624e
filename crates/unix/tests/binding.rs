//! Binding to a path steals nothing, removes nothing that is not its own, and leaves nothing behind.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{SCHEMES, accept, bind, connect, endpoint, listen};
use swapwire_core::{Addr, BindError, UnixAddr};

const MAX_PATH: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

fn names(dir: &Path) -> Vec<String> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

#[tokio::test]
async fn a_bound_path_is_the_sockets_own_and_goes_with_it() {
    for scheme in SCHEMES {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let bound = bind(&endpoint(scheme, &path)).await.unwrap();
        assert_eq!(bound.local(), endpoint(scheme, &path));
        let found = fs::symlink_metadata(&path).unwrap();
        assert!(found.file_type().is_socket());
        assert_eq!(found.mode() & 0o777, 0o600);
        let mut there = names(dir.path());
        there.sort();
        assert_eq!(there, ["s", "s.lock"]);
        drop(bound);
        assert!(names(dir.path()).is_empty());
    }
}

/// Who looks a path up there takes a socket without one for dead: `ss(8)`, `lsof(8)`, and cleaners of temporary directories.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_system_knows_the_path_and_no_other_name() {
    for scheme in SCHEMES {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let _bound = bind(&endpoint(scheme, &path)).await.unwrap();
        let known = fs::read_to_string("/proc/net/unix").unwrap();
        let known: Vec<_> = known.lines().filter_map(|line| line.split_whitespace().nth(7)).collect();
        let ours: Vec<_> = known.into_iter().filter(|name| name.starts_with(dir.path().to_str().unwrap())).collect();
        assert_eq!(ours, [path.to_str().unwrap()]);
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let _listener = listen(&endpoint("unix", &path)).await;
    assert_eq!(UnixStream::connect(&path).unwrap().peer_addr().unwrap().as_pathname(), Some(path.as_path()));
}

#[tokio::test]
async fn a_file_gets_its_group_and_then_its_mode() {
    let own = nix::unistd::getegid().as_raw();
    let groups = nix::unistd::getgroups().unwrap_or_default().into_iter().map(|group| group.as_raw());
    let other = if nix::unistd::geteuid().is_root() { Some(54321) } else { groups.into_iter().find(|id| *id != own) };
    if other.is_none() {
        eprintln!("skipped: this user can give a file to no other group");
    }
    for scheme in SCHEMES {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        for group in [Some(own), other].into_iter().flatten() {
            let place = endpoint(scheme, &path).with_option("mode", 620).with_option("group", group);
            let bound = bind(&place).await.unwrap();
            assert_eq!(bound.local(), endpoint(scheme, &path));
            let found = fs::symlink_metadata(&path).unwrap();
            assert_eq!((found.gid(), found.mode() & 0o7777), (group, 0o620));
            connect(&bound.local()).await.unwrap();
        }
    }
}

/// As another user, in a thread of its own: `setfsuid(2)`.
#[cfg(target_os = "linux")]
#[test]
fn a_group_that_one_is_not_in_is_refused_and_nothing_stays() {
    const NOBODY: u32 = 65_534;
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can be somebody else");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    let path = dir.path().join("s");
    let attempt = || {
        nix::unistd::setfsgid(NOBODY.into());
        nix::unistd::setfsuid(NOBODY.into());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for scheme in SCHEMES {
            let place = endpoint(scheme, &path).with_option("mode", 660);
            let error = runtime.block_on(bind(&place.clone().with_option("group", 0))).unwrap_err();
            let wanted = "user 65534 may not give a file to group 0: only a member of the group, or root, may";
            assert!(error.to_string().ends_with(wanted), "{error}");
            assert!(names(dir.path()).is_empty());
            runtime.block_on(bind(&place.with_option("group", NOBODY))).unwrap();
        }
    };
    std::thread::scope(|scope| scope.spawn(attempt).join().unwrap());
}

#[tokio::test]
async fn a_stale_socket_is_replaced() {
    for scheme in SCHEMES {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        // Dropped without an unlink, as by a process that was killed; its lock file stayed too.
        drop(UnixListener::bind(&path).unwrap());
        fs::write(dir.path().join("s.lock"), "").unwrap();
        let bound = bind(&endpoint(scheme, &path)).await.unwrap();
        drop(bound);

        drop(UnixDatagram::bind(&path).unwrap());
        let bound = bind(&endpoint(scheme, &path)).await.unwrap();
        drop(bound);
        assert!(names(dir.path()).is_empty());
    }
}

#[tokio::test]
async fn a_live_server_without_a_lock_is_refused_and_not_troubled() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let foreign = UnixListener::bind(&path).unwrap();
    foreign.set_nonblocking(true).unwrap();
    for scheme in SCHEMES {
        let error = bind(&endpoint(scheme, &path)).await.unwrap_err();
        let shown = path.display();
        assert_eq!(error.to_string(), format!("bind {scheme}:{shown}: another server is listening there"));
        assert!(error.is_addr_in_use());
    }
    assert_eq!(foreign.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "the probe made a connection");
    assert_eq!(names(dir.path()), ["s"]);
    let _client = UnixStream::connect(&path).unwrap();
    foreign.accept().unwrap();
    drop(foreign);

    fs::remove_file(&path).unwrap();
    let foreign = UnixDatagram::bind(&path).unwrap();
    for scheme in SCHEMES {
        assert!(bind(&endpoint(scheme, &path)).await.unwrap_err().is_addr_in_use());
    }
    drop(foreign);
    assert_eq!(names(dir.path()), ["s"]);
}

#[tokio::test]
async fn a_second_bind_is_refused_until_the_first_is_gone() {
    for (first, second) in
        [("unix", "unix"), ("unix", "unix-dgram"), ("unix-dgram", "unix"), ("unix-dgram", "unix-dgram")]
    {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let bound = bind(&endpoint(first, &path)).await.unwrap();
        let error = bind(&endpoint(second, &path)).await.unwrap_err();
        assert!(error.is_addr_in_use(), "{error}");
        assert!(error.to_string().contains("another server is listening there"), "{error}");
        // Even without its lock file, a live server keeps its path.
        fs::remove_file(dir.path().join("s.lock")).unwrap();
        assert!(bind(&endpoint(second, &path)).await.unwrap_err().is_addr_in_use());
        drop(bound);
        bind(&endpoint(second, &path)).await.unwrap();
    }
}

#[tokio::test]
async fn other_files_are_refused_and_stay() {
    for scheme in SCHEMES {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("file"), "precious").unwrap();
        fs::create_dir(at("dir")).unwrap();
        nix::unistd::mkfifo(&at("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        drop(UnixListener::bind(at("stale")).unwrap());
        std::os::unix::fs::symlink(at("stale"), at("link")).unwrap();
        std::os::unix::fs::symlink(at("nowhere"), at("dangling")).unwrap();
        let mut before = names(dir.path());
        for (name, kind) in [
            ("file", "regular file"),
            ("dir", "directory"),
            ("fifo", "fifo"),
            ("link", "symbolic link"),
            ("dangling", "symbolic link"),
        ] {
            let error = bind(&endpoint(scheme, &at(name))).await.unwrap_err();
            assert!(matches!(error, BindError::Unusable { .. }), "{error:?}");
            let wanted = format!("a {kind} is there, not a socket; remove it or choose another path");
            assert!(error.to_string().ends_with(&wanted), "{error}");
        }
        let mut after = names(dir.path());
        before.sort();
        after.sort();
        assert_eq!(before, after);
        assert_eq!(fs::read(at("file")).unwrap(), b"precious");
    }
}

#[tokio::test]
async fn a_stale_socket_of_another_user_is_refused_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    drop(UnixListener::bind(&path).unwrap());
    if std::os::unix::fs::chown(&path, Some(54321), None).is_err() {
        eprintln!("skipped: only root can give a file to another user");
        return;
    }
    let error = bind(&endpoint("unix", &path)).await.unwrap_err();
    assert!(error.to_string().contains("the socket there belongs to user 54321, not to "), "{error}");
    assert!(path.exists());
}

#[tokio::test]
async fn the_directory_must_exist_and_be_safe() {
    let dir = tempfile::tempdir().unwrap();
    let missing = bind(&endpoint("unix", &dir.path().join("no/s"))).await.unwrap_err();
    let wanted = format!("the directory {} does not exist", dir.path().join("no").display());
    assert!(missing.to_string().ends_with(&wanted), "{missing}");

    fs::write(dir.path().join("file"), "").unwrap();
    let file = bind(&endpoint("unix", &dir.path().join("file/s"))).await.unwrap_err();
    assert!(file.to_string().ends_with("is not a directory"), "{file}");

    let open = dir.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    let error = bind(&endpoint("unix", &open.join("s"))).await.unwrap_err();
    assert!(error.to_string().contains("is writable by every user"), "{error}");
    assert!(names(&open).is_empty());
    fs::set_permissions(&open, fs::Permissions::from_mode(0o1777)).unwrap();
    bind(&endpoint("unix", &open.join("s"))).await.unwrap();
}

#[tokio::test]
async fn a_path_that_is_too_long_says_how_long() {
    let dir = tempfile::tempdir().unwrap();
    for scheme in SCHEMES {
        let long = endpoint(scheme, &dir.path().join("x".repeat(120)));
        let length = dir.path().as_os_str().len() + 121;
        let wanted = format!("the path is {length} bytes long; the limit is {MAX_PATH}: ");
        assert!(bind(&long).await.unwrap_err().to_string().contains(&wanted));
        assert!(connect(&long).await.unwrap_err().to_string().contains(&wanted));
    }
}

#[tokio::test]
async fn the_longest_path_can_be_bound() {
    let dir = tempfile::tempdir().unwrap();
    let room = MAX_PATH - dir.path().as_os_str().len() - 1 - 2;
    let deep = dir.path().join("d".repeat(room));
    fs::create_dir(&deep).unwrap();
    let endpoint = endpoint("unix", &deep.join("s"));
    drop(UnixListener::bind(deep.join("s")).unwrap());
    let mut listener = listen(&endpoint).await;
    let _client = connect(&endpoint).await.unwrap();
    accept(&mut listener).await;
    assert!(bind(&endpoint).await.unwrap_err().is_addr_in_use());
    drop(listener);
    assert!(names(&deep).is_empty());
}

#[tokio::test]
async fn paths_need_not_be_utf8() {
    for scheme in SCHEMES {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(OsStr::from_bytes(b"\xff\xfe %?#"));
        let bound = bind(&endpoint(scheme, &path)).await.unwrap();
        assert!(path.exists());
        let again = bound.local().to_string().parse().unwrap();
        let link = connect(&again).await.unwrap();
        assert_eq!(link.info().peer.addr(), &Addr::Unix(UnixAddr::from_path(&path).unwrap()));
    }
}

#[tokio::test]
async fn a_path_that_somebody_else_took_over_is_left_alone() {
    for scheme in SCHEMES {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let bound = bind(&endpoint(scheme, &path)).await.unwrap();
        fs::remove_file(&path).unwrap();
        let other = UnixListener::bind(&path).unwrap();
        drop(bound);
        assert!(path.exists());
        UnixStream::connect(&path).unwrap();
        drop(other);
    }
}

#[tokio::test]
async fn the_mode_is_what_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    for scheme in SCHEMES {
        for mode in ["600", "660", "0666", "0o777", "000"] {
            let path = dir.path().join("s");
            let endpoint = endpoint(scheme, &path).with_option("mode", mode);
            let _bound = bind(&endpoint).await.unwrap();
            let wanted = u32::from_str_radix(mode.trim_start_matches("0o"), 8).unwrap();
            assert_eq!(fs::symlink_metadata(&path).unwrap().mode() & 0o7777, wanted, "{mode}");
        }
    }
}

/// Four servers start and stop at one path as fast as they can. Whoever holds the path can be dialled at it for as long
/// as it likes, and nobody else gets it meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_come_and_go_never_remove_each_others_socket() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let place = endpoint("unix", &path);
    let (alive, held) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let server = || async {
        for _ in 0..250 {
            let mut listener = match bind(&place).await {
                Ok(swapwire_core::Bound::Listener(listener)) => listener,
                Ok(other) => panic!("{other:?}"),
                Err(error) => {
                    assert!(error.is_addr_in_use(), "{error}");
                    tokio::task::yield_now().await;
                    continue;
                }
            };
            assert_eq!(alive.fetch_add(1, Ordering::SeqCst), 0);
            held.fetch_add(1, Ordering::SeqCst);
            for _ in 0..3 {
                let _client = connect(&place).await.unwrap();
                accept(&mut listener).await;
            }
            alive.fetch_sub(1, Ordering::SeqCst);
            drop(listener);
        }
    };
    tokio::join!(server(), server(), server(), server());
    assert!(held.load(Ordering::SeqCst) >= 10);
    assert!(names(dir.path()).is_empty());
}

/// The same with threads, so that binds and drops truly overlap.
#[test]
fn servers_in_threads_never_remove_each_others_socket() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let held = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for n in 0..4 {
            let (path, held) = (&path, &held);
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                let place = endpoint(SCHEMES[n % 2], path);
                runtime.block_on(async {
                    for _ in 0..500 {
                        let Ok(bound) = bind(&place).await else { continue };
                        let inode = fs::symlink_metadata(path).unwrap().ino();
                        connect(&place).await.unwrap();
                        assert_eq!(fs::symlink_metadata(path).unwrap().ino(), inode);
                        held.fetch_add(1, Ordering::Relaxed);
                        drop(bound);
                    }
                });
            });
        }
    });
    assert!(held.load(Ordering::Relaxed) >= 10);
    assert!(names(dir.path()).is_empty());
}
