//! How many files and sockets this process may have open.

/// Raises the soft limit on descriptors to the hard one, because every connection takes a descriptor and the soft limit is
/// often low for the sake of programs that use `select`. Gives what the limit is then, if that can be known.
pub(crate) fn raise_limit() -> Option<usize> {
    #[cfg(unix)]
    {
        use nix::sys::resource::{Resource, getrlimit, setrlimit};
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
        // Where the system says no, the limit stays as it was.
        let raised = soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
        Some(usize::try_from(if raised { hard } else { soft }).unwrap_or(usize::MAX))
    }
    #[cfg(not(unix))]
    None
}
