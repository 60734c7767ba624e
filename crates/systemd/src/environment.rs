//! What the environment says of passed sockets (`sd_listen_fds(3)`).

use std::ops::Range;
use std::os::fd::RawFd;

/// The first descriptor that a service manager passes.
pub(crate) const FIRST: RawFd = 3;

/// The name of those that have none.
const UNNAMED: &str = "unknown";

/// The descriptors that were passed to this process, and their names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Passed {
    pub(crate) numbers: Range<RawFd>,
    names: Vec<String>,
}

impl Passed {
    /// Reads the environment of this process.
    ///
    /// # Errors
    /// It passes nothing to this process: why not.
    pub(crate) fn read() -> Result<Self, String> {
        Self::of(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()), std::process::id())
    }

    fn of(variable: impl Fn(&str) -> Option<String>, process: u32) -> Result<Self, String> {
        let Some(count) = variable("LISTEN_FDS") else {
            return Err("no sockets were passed: LISTEN_FDS is not set; start the program by a socket unit, or by \
                        systemd-socket-activate"
                .to_owned());
        };
        let of = variable("LISTEN_PID").unwrap_or_default();
        if of.parse() != Ok(process) {
            return Err(format!(
                "the sockets were passed to another process: LISTEN_PID is {of:?}, and this is {process}; what starts the \
                 program has to exec it"
            ));
        }
        let end = count.parse().ok().and_then(|count: u16| FIRST.checked_add(count.into()));
        let end = end.ok_or_else(|| format!("LISTEN_FDS is {count:?}; it is to be a number up to {}", u16::MAX))?;
        let names = variable("LISTEN_FDNAMES").unwrap_or_default();
        Ok(Self { numbers: FIRST..end, names: names.split(':').map(str::to_owned).collect() })
    }

    pub(crate) fn name(&self, number: RawFd) -> &str {
        let index = usize::try_from(number - FIRST).unwrap_or(usize::MAX);
        self.names.get(index).map(String::as_str).filter(|name| !name.is_empty()).unwrap_or(UNNAMED)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Passed, String> {
        let find = |name: &str| variables.iter().find(|(of, _)| *of == name).map(|(_, value)| (*value).to_owned());
        Passed::of(find, 7)
    }

    #[test]
    fn names_stand_in_the_order_of_the_descriptors() {
        let passed = of(&[("LISTEN_PID", "7"), ("LISTEN_FDS", "3"), ("LISTEN_FDNAMES", "web::dns")]).unwrap();
        assert_eq!(passed.numbers, 3..6);
        assert_eq!([3, 4, 5, 6].map(|number| passed.name(number)), ["web", "unknown", "dns", "unknown"]);
        assert_eq!(of(&[("LISTEN_PID", "7"), ("LISTEN_FDS", "1")]).unwrap().name(3), "unknown");
    }

    #[test]
    fn what_was_passed_to_nobody_or_to_another_is_told() {
        assert!(of(&[]).unwrap_err().starts_with("no sockets were passed: LISTEN_FDS is not set;"));
        let error = of(&[("LISTEN_PID", "8"), ("LISTEN_FDS", "1")]).unwrap_err();
        assert!(error.contains("passed to another process: LISTEN_PID is \"8\", and this is 7;"), "{error}");
        assert!(of(&[("LISTEN_FDS", "1")]).unwrap_err().contains("LISTEN_PID is \"\""));
        for count in ["", "x", "-1", "65536", "99999999999"] {
            let error = of(&[("LISTEN_PID", "7"), ("LISTEN_FDS", count)]).unwrap_err();
            assert_eq!(error, format!("LISTEN_FDS is {count:?}; it is to be a number up to 65535"));
        }
    }
}
