//! Files of certificates and keys. Called on threads that may wait.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::engine::{certificates, private_key};
use crate::{Identity, TlsError};

/// The longest file that is read, in bytes.
const LONGEST: u64 = 4 << 20;

pub(crate) fn read(option: &str, path: &Path) -> Result<Vec<u8>, TlsError> {
    opened(option, path).map(|(bytes, _)| bytes)
}

fn opened(option: &str, path: &Path) -> Result<(Vec<u8>, Metadata), TlsError> {
    let failed = |error: std::io::Error| TlsError::new(error.to_string()).of(option, path);
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LONGEST {
        return Err(TlsError::new("it is longer than 4 MiB: it is no file of certificates").of(option, path));
    }
    Ok((bytes, metadata))
}

/// The pair of the two files. The key's must be secret, unless `any_mode`.
pub(crate) fn identity(cert: &Path, key: &Path, any_mode: bool) -> Result<Identity, TlsError> {
    let chain = read("cert", cert)?;
    let (secret, metadata) = opened("key", key)?;
    if !any_mode {
        is_secret(key, &metadata)?;
    }
    let chain = certificates(&chain).map_err(|error| error.of("cert", cert))?;
    let secret = private_key(&secret).map_err(|error| error.of("key", key))?;
    Identity::new(chain, secret).map_err(|error| error.of(&format!("cert={} and key", cert.display()), key))
}

#[cfg(unix)]
fn is_secret(path: &Path, metadata: &Metadata) -> Result<(), TlsError> {
    use std::os::unix::fs::PermissionsExt as _;
    const READ_BY_OTHERS: u32 = 0o004;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & READ_BY_OTHERS == 0 {
        return Ok(());
    }
    let text = format!(
        "every user can read it (mode {mode:o}): chmod {:o} {}; key_mode=any takes it as it is",
        mode & 0o770,
        path.display()
    );
    Err(TlsError::new(text).of("key", path))
}

#[cfg(not(unix))]
fn is_secret(_: &Path, _: &Metadata) -> Result<(), TlsError> {
    Ok(())
}

/// By what a change of a file is seen; `None` if it cannot be looked at.
pub(crate) type Stamp = Option<(u64, i64, i64, u64)>;

pub(crate) fn stamps<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Vec<Stamp> {
    paths.into_iter().map(|path| std::fs::metadata(path).ok().map(|metadata| stamp(&metadata))).collect()
}

/// With the time of its change, which nobody can set back.
#[cfg(unix)]
fn stamp(metadata: &Metadata) -> (u64, i64, i64, u64) {
    use std::os::unix::fs::MetadataExt as _;
    (metadata.ino(), metadata.ctime(), metadata.ctime_nsec(), metadata.len())
}

#[cfg(not(unix))]
fn stamp(metadata: &Metadata) -> (u64, i64, i64, u64) {
    let modified = metadata.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    let modified = modified.unwrap_or_default();
    (0, modified.as_secs() as i64, i64::from(modified.subsec_nanos()), metadata.len())
}
