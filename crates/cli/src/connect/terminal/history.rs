//! Where typed lines are remembered.

use std::path::PathBuf;

/// The history's file, whose directory exists, or nothing: a history is a comfort, not a need.
pub(crate) fn file() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    let directory = state.join("swapwire");
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&directory).ok()?;
    // The editor makes it, with mode 600.
    Some(directory.join("history"))
}
