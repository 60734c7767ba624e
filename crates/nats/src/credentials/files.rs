//! Files of secrets. Called on threads that may wait.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::path::Path;

/// The longest file that is read, in bytes.
const LONGEST: u64 = 64 << 10;

/// The text of a file that only its owner and group can read, unless `any_mode`.
///
/// # Errors
/// What is in the way and what would be right.
pub(super) fn read(path: &Path, any_mode: bool) -> Result<String, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    if !any_mode {
        is_secret(path, &metadata)?;
    }
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > LONGEST {
        return Err("it is longer than 64 KiB: it is no file of credentials".to_owned());
    }
    String::from_utf8(bytes).map_err(|_| "it is no text: write it in UTF-8".to_owned())
}

#[cfg(unix)]
fn is_secret(path: &Path, metadata: &Metadata) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt as _;
    const READ_BY_OTHERS: u32 = 0o004;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & READ_BY_OTHERS == 0 {
        return Ok(());
    }
    Err(format!(
        "every user can read it (mode {mode:o}): chmod {:o} {}; key_mode=any takes it as it is",
        mode & 0o770,
        path.display()
    ))
}

#[cfg(not(unix))]
fn is_secret(_: &Path, _: &Metadata) -> Result<(), String> {
    Ok(())
}
