//! Binding to a path: no live socket is stolen, no foreign file removed, no mode wider than asked.

use std::fs::{self, File, Metadata};
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::address::MAX_PATH;
use crate::failure::Failure;
use crate::lock::Lock;

/// How often a temporary name that is taken is replaced by another one.
const NAME_ATTEMPTS: usize = 16;

/// A path that a socket of this process is bound to.
///
/// Drop it *before* the socket: as long as the socket lives, its inode lives too, and so no other file can have its
/// number.
#[derive(Debug)]
pub(crate) struct BoundPath {
    path: PathBuf,
    inode: Inode,
    // Dropped after the path was unlinked.
    _lock: Lock,
}

/// When a socket gets its path.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Publish {
    /// At once. For datagrams, whose receivers see the name under which the socket was bound.
    InPlace,
    /// When it listens, with this backlog: bound under a temporary name, then renamed. In place where that name would be
    /// too long.
    Listening(i32),
}

/// What tells one file from another while both exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Inode {
    device: u64,
    number: u64,
}

/// A name that is unlinked unless the socket under it was moved away.
struct NewFile<'a> {
    path: &'a Path,
    keep: bool,
}

/// Binds `socket` to the absolute `path` with `mode`; the crate's documentation has the steps.
pub(crate) fn bind(socket: Socket, path: &Path, mode: u32, publish: Publish) -> Result<(Socket, BoundPath), Failure> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    check_directory(directory)?;
    let (socket, uid) = prepare(socket, mode)?;
    let lock = Lock::take(path, uid)?;
    let names = match publish {
        Publish::Listening(_) => temporary_names(directory),
        Publish::InPlace => None,
    };
    let inode = match names {
        Some(names) => bind_and_rename(&socket, path, names, mode, uid, publish)?,
        None => bind_in_place(&socket, path, mode, uid, publish)?,
    };
    Ok((socket, BoundPath { path: path.to_owned(), inode, _lock: lock }))
}

fn check_directory(directory: &Path) -> Result<(), Failure> {
    let shown = directory.display();
    let found = match fs::metadata(directory) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Failure::Unusable(format!("the directory {shown} does not exist")));
        }
        Err(error) => return Err(error.into()),
    };
    if !found.is_dir() {
        return Err(Failure::Unusable(format!("{shown} is not a directory")));
    }
    if found.mode() & 0o1002 == 0o002 {
        let reason = "everybody could put another socket in the place of this one; set the sticky bit (chmod +t) or \
                      choose another directory";
        return Err(Failure::Unusable(format!("the directory {shown} is writable by everybody: {reason}")));
    }
    Ok(())
}

/// Gives the unbound socket its mode, which its file inherits on Linux, and tells which user it belongs to.
fn prepare(socket: Socket, mode: u32) -> io::Result<(Socket, u32)> {
    let file = File::from(OwnedFd::from(socket));
    let changed = file.set_permissions(fs::Permissions::from_mode(mode));
    if cfg!(target_os = "linux") {
        changed?;
    }
    let uid = file.metadata()?.uid();
    Ok((Socket::from(OwnedFd::from(file)), uid))
}

/// Names of the same length in `directory`; `None` if they would be too long to bind.
fn temporary_names(directory: &Path) -> Option<impl Iterator<Item = PathBuf>> {
    let random = RandomState::new();
    let name = move |n: usize| directory.join(format!(".{:08x}.tmp", random.hash_one(n) & 0xffff_ffff));
    (name(0).as_os_str().as_bytes().len() <= MAX_PATH).then(|| (0..NAME_ATTEMPTS).map(name))
}

fn bind_and_rename(
    socket: &Socket,
    path: &Path,
    names: impl Iterator<Item = PathBuf>,
    mode: u32,
    uid: u32,
    publish: Publish,
) -> Result<Inode, Failure> {
    for name in names {
        match socket.bind(&SockAddr::unix(&name)?) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => continue,
            Err(error) => return Err(error.into()),
        }
        let mut file = NewFile { path: &name, keep: false };
        let inode = finish_mode(&name, mode)?;
        publish.listen(socket)?;
        stale(path, uid)?;
        fs::rename(&name, path)?;
        file.keep = true;
        return Ok(inode);
    }
    Err(Failure::Unusable(format!("{NAME_ATTEMPTS} temporary names in a row are taken in the directory")))
}

fn bind_in_place(socket: &Socket, path: &Path, mode: u32, uid: u32, publish: Publish) -> Result<Inode, Failure> {
    if stale(path, uid)? {
        fs::remove_file(path)?;
    }
    socket.bind(&SockAddr::unix(path)?)?;
    let mut file = NewFile { path, keep: false };
    let inode = finish_mode(path, mode)?;
    publish.listen(socket)?;
    file.keep = true;
    Ok(inode)
}

/// Widens what the umask narrowed. Nobody else can replace the file: see `check_directory`.
fn finish_mode(path: &Path, mode: u32) -> io::Result<Inode> {
    let found = fs::symlink_metadata(path)?;
    if found.mode() & 0o777 != mode {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    }
    Ok(Inode::of(&found))
}

/// Whether a stale socket of user `uid` is at `path`; `false` if nothing is there, an error if anything else is.
fn stale(path: &Path, uid: u32) -> Result<bool, Failure> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    let kind = found.file_type();
    if !kind.is_socket() {
        let kind = if kind.is_dir() {
            "directory"
        } else if kind.is_symlink() {
            "symbolic link"
        } else if kind.is_fifo() {
            "fifo"
        } else if kind.is_file() {
            "regular file"
        } else {
            "device"
        };
        return Err(Failure::Unusable(format!("a {kind} is there, not a socket; remove it or choose another path")));
    }
    if found.uid() != uid {
        let reason = format!("the socket there belongs to user {}, not to {uid}", found.uid());
        return Err(Failure::Unusable(format!("{reason}; remove it or choose another path")));
    }
    // A datagram probe finds every kind of living socket and troubles none: no connection waits to be accepted after it,
    // a full backlog does not matter, and one that does not listen yet is seen too.
    let probe = Socket::new(Domain::UNIX, Type::DGRAM, None)?;
    probe.set_nonblocking(true)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) if error.raw_os_error() != Some(libc::EPROTOTYPE) => {
            let reason = format!("the socket there cannot be probed: {error}");
            Err(Failure::Io(io::Error::new(error.kind(), reason)))
        }
        Ok(()) | Err(_) => Err(Failure::InUse("another server is listening there".to_owned())),
    }
}

impl Publish {
    fn listen(self, socket: &Socket) -> io::Result<()> {
        match self {
            Self::Listening(backlog) => socket.listen(backlog),
            Self::InPlace => Ok(()),
        }
    }
}

impl Inode {
    pub(crate) fn of(found: &Metadata) -> Self {
        Self { device: found.dev(), number: found.ino() }
    }

    /// Whether this file, itself and not through a link, is at `path`.
    pub(crate) fn is_at(self, path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok_and(|found| Self::of(&found) == self)
    }
}

impl Drop for BoundPath {
    fn drop(&mut self) {
        if self.inode.is_at(&self.path) {
            // Nobody is left to be told.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Drop for NewFile<'_> {
    fn drop(&mut self) {
        if !self.keep {
            let _ = fs::remove_file(self.path);
        }
    }
}
