//! Processors by number, and binding threads to them.

use std::io;

/// Processors as written on the command line: `1` or `0,2-3`.
///
/// # Errors
/// It is malformed, names a processor twice, or one that this process may not use.
pub(crate) fn parse(text: &str) -> Result<Vec<usize>, String> {
    let usable = usable().ok_or("threads cannot be bound on this system")?;
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let number = |text: &str| text.trim().parse::<usize>().map_err(|_| "write processors as 1 or 0,2-3".to_owned());
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err(format!("write the smaller first: {last}-{first}"));
        }
        for cpu in first..=last {
            if !usable.contains(&cpu) {
                let usable: Vec<_> = usable.iter().map(usize::to_string).collect();
                return Err(format!("there is no processor {cpu} for this process; it may use {}", usable.join(",")));
            }
            if cpus.contains(&cpu) {
                return Err(format!("processor {cpu} is given twice"));
            }
            cpus.push(cpu);
        }
    }
    Ok(cpus)
}

/// Runs `work` on a thread of its own that is bound to `cpus`, unless there are none; what it starts (threads, processes)
/// is bound alike.
///
/// # Errors
/// As `work`, or the thread could not be started or bound.
pub(crate) fn run_on<T: Send>(cpus: &[usize], work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    if cpus.is_empty() {
        return work();
    }
    std::thread::scope(|scope| {
        let bound = std::thread::Builder::new().spawn_scoped(scope, || {
            bind(cpus)?;
            work()
        })?;
        bound.join().unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))
    })
}

#[cfg(target_os = "linux")]
fn usable() -> Option<Vec<usize>> {
    use nix::sched::{CpuSet, sched_getaffinity};
    let set = sched_getaffinity(nix::unistd::Pid::from_raw(0)).ok()?;
    Some((0..CpuSet::count()).filter(|cpu| set.is_set(*cpu) == Ok(true)).collect())
}

#[cfg(not(target_os = "linux"))]
fn usable() -> Option<Vec<usize>> {
    None
}

#[cfg(target_os = "linux")]
fn bind(cpus: &[usize]) -> io::Result<()> {
    use nix::sched::{CpuSet, sched_setaffinity};
    let mut set = CpuSet::new();
    for cpu in cpus {
        set.set(*cpu)?;
    }
    Ok(sched_setaffinity(nix::unistd::Pid::from_raw(0), &set)?)
}

#[cfg(not(target_os = "linux"))]
fn bind(_cpus: &[usize]) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn processors_are_numbers_and_ranges_of_those_that_exist() {
        let all = usable().unwrap();
        let (first, last) = (all[0], all[all.len() - 1]);
        assert_eq!(parse(&first.to_string()), Ok(vec![first]));
        if all.len() == last - first + 1 {
            assert_eq!(parse(&format!("{first}-{last}")), Ok(all.clone()));
        }
        for (text, problem) in [
            ("", "write processors as 1 or 0,2-3"),
            ("0-", "write processors as 1 or 0,2-3"),
            ("x", "write processors as 1 or 0,2-3"),
            ("3-1", "write the smaller first: 1-3"),
            ("100000", "there is no processor 100000 for this process; it may use "),
        ] {
            assert!(parse(text).unwrap_err().starts_with(problem), "{text}: {:?}", parse(text));
        }
        assert_eq!(parse(&format!("{first},{first}")), Err(format!("processor {first} is given twice")));
    }

    #[test]
    fn work_is_bound_and_the_caller_is_not() {
        let all = usable().unwrap();
        let one = [all[all.len() - 1]];
        assert_eq!(run_on(&one, || Ok(usable())).unwrap(), Some(one.to_vec()));
        assert_eq!(usable(), Some(all));
    }
}
