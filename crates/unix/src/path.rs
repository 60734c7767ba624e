//! Binding to a path: no socket in use is replaced, no foreign file removed, no mode wider than asked. A file that another
//! process puts there between `bind(2)` and the check behind it is not known to be foreign.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, lchown};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::failure::Failure;
use crate::lock::Lock;
use crate::options::Access;

/// A path that a socket of this process is bound to.
///
/// Drop it *before* the socket: as long as the socket is open, its inode exists, and so no other file can have its
/// number.
#[derive(Debug)]
pub(crate) struct BoundPath {
    path: PathBuf,
    access: Access,
    /// Of a stream socket: what `listen(2)` takes.
    backlog: Option<i32>,
    inode: Inode,
    // Dropped after the path was unlinked.
    lock: Lock,
}

/// What tells one file from another while both exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Inode {
    device: u64,
    number: u64,
}

/// A file that is unlinked unless its socket is ready.
struct NewFile<'a> {
    path: &'a Path,
    inode: Inode,
    keep: bool,
}

impl BoundPath {
    /// Binds `socket` to the absolute `path`, and listens if there is a backlog; the crate's documentation has the steps.
    pub(crate) fn bind(
        socket: Socket,
        path: &Path,
        access: Access,
        backlog: Option<i32>,
    ) -> Result<(Socket, Self), Failure> {
        check_directory(path)?;
        let (socket, uid) = prepare(socket, access)?;
        let lock = Lock::take(path, uid)?;
        let inode = place(&socket, path, access, uid, backlog)?;
        Ok((socket, Self { path: path.to_owned(), access, backlog, inode, lock }))
    }

    /// Whether its file is where it was; also if that cannot be told.
    pub(crate) fn is_there(&self) -> bool {
        match fs::symlink_metadata(&self.path) {
            Ok(found) => Inode::of(&found) == self.inode,
            Err(error) => !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
        }
    }

    /// Binds another socket, as the first time. The lock is still held, unless its file has gone as well. The first socket is
    /// to be kept until then.
    pub(crate) fn bind_again(&mut self, socket: Socket) -> Result<Socket, Failure> {
        check_directory(&self.path)?;
        let (socket, uid) = prepare(socket, self.access)?;
        if !self.lock.is_in_place() {
            self.lock = Lock::take(&self.path, uid)?;
        }
        self.inode = place(&socket, &self.path, self.access, uid, self.backlog)?;
        Ok(socket)
    }
}

/// Looks at the directory that `path` is in.
fn check_directory(path: &Path) -> Result<(), Failure> {
    let directory = path.parent().unwrap_or(Path::new("/"));
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
        return Err(Failure::Unusable(format!("the directory {shown} is writable by every user: {reason}")));
    }
    Ok(())
}

/// Gives the unbound socket the mode that its file is created with on Linux, and tells which user it belongs to.
fn prepare(socket: Socket, access: Access) -> io::Result<(Socket, u32)> {
    let file = File::from(OwnedFd::from(socket));
    let changed = file.set_permissions(fs::Permissions::from_mode(access.first_mode()));
    if cfg!(target_os = "linux") {
        changed?;
    }
    let uid = file.metadata()?.uid();
    Ok((Socket::from(OwnedFd::from(file)), uid))
}

/// Binds, gives the file its group and its mode, and listens; the lock is held.
fn place(socket: &Socket, path: &Path, access: Access, uid: u32, backlog: Option<i32>) -> Result<Inode, Failure> {
    if stale(path, uid)? {
        fs::remove_file(path)?;
    }
    socket.bind(&SockAddr::unix(path)?)?;
    let found = fs::symlink_metadata(path)?;
    if !found.file_type().is_socket() {
        return Err(replaced());
    }
    let mut file = NewFile { path, inode: Inode::of(&found), keep: false };
    finish(path, &found, access, uid)?;
    if let Some(backlog) = backlog {
        socket.listen(backlog)?;
    }
    file.keep = true;
    Ok(file.inode)
}

/// By a process that may write the directory.
fn replaced() -> Failure {
    Failure::Taken("another file appeared at the path during the bind".to_owned())
}

/// Gives the new file its group, and then the rest of its mode: that which the umask took, or which was not for the group
/// that it was created with. Follows no link that was put there meanwhile.
fn finish(path: &Path, found: &Metadata, access: Access, uid: u32) -> Result<(), Failure> {
    let group = access.group.filter(|group| *group != found.gid());
    let widens = found.mode() & 0o777 != access.mode;
    if (group.is_some() || widens) && found.uid() != uid {
        return Err(replaced());
    }
    if let Some(group) = group {
        lchown(path, None, Some(group)).map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => Failure::Unusable(format!(
                "user {uid} may not give a file to group {group}: only a member of the group, or root, may"
            )),
            _ => error.into(),
        })?;
    }
    if widens {
        let mode = Mode::from_bits_truncate(access.mode as _);
        match fchmodat(AT_FDCWD, path, mode, FchmodatFlags::NoFollowSymlink) {
            // An old C library cannot (`glibc` before 2.32).
            Err(Errno::EOPNOTSUPP) => fs::set_permissions(path, fs::Permissions::from_mode(access.mode))?,
            changed => changed.map_err(io::Error::from)?,
        }
    }
    Ok(())
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
        return Err(Failure::Taken(format!("a {kind} is there, not a socket; remove it or choose another path")));
    }
    if found.uid() != uid {
        let reason = format!("the socket there belongs to user {}, not to {uid}", found.uid());
        return Err(Failure::Taken(format!("{reason}; remove it or choose another path")));
    }
    // A datagram probe finds every kind of open socket and disturbs none: no connection waits to be accepted after it,
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
            // A drop returns no error.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Drop for NewFile<'_> {
    fn drop(&mut self) {
        if !self.keep && self.inode.is_at(self.path) {
            let _ = fs::remove_file(self.path);
        }
    }
}
