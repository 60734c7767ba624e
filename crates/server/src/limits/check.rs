//! Whether the value of a limit makes sense: what would be right, if it does not.

use std::time::Duration;

/// No buffer is larger.
const LARGEST: usize = (isize::MAX / 8) as usize;
/// The largest datagram, as it is counted, and no less than one.
const LEAST_PEER_BYTES: usize = 128 << 10;
const LEAST_BUDGET: usize = 1 << 20;
const LONGEST_GRACE: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn at_least_one(value: &usize) -> Option<String> {
    (*value == 0).then(|| "must be at least 1".to_owned())
}

pub(super) fn some_at_least_one<T: Copy + TryInto<usize>>(value: &Option<T>) -> Option<String> {
    value.and_then(|value| at_least_one(&value.try_into().ok()?))
}

pub(super) fn not_at_once(value: &Option<Duration>) -> Option<String> {
    (*value == Some(Duration::ZERO)).then(|| "must be longer than 0; none switches it off".to_owned())
}

/// What a semaphore counts.
pub(super) fn permits(value: &usize) -> Option<String> {
    (*value > tokio::sync::Semaphore::MAX_PERMITS).then(|| "is too large".to_owned())
}

pub(super) fn buffer(value: &usize) -> Option<String> {
    (*value > LARGEST).then(|| format!("must be at most {LARGEST} bytes"))
}

pub(super) fn peer_bytes(value: &usize) -> Option<String> {
    (*value < LEAST_PEER_BYTES).then(|| format!("must be at least {LEAST_PEER_BYTES}, or large datagrams find no room"))
}

pub(super) fn budget(value: &Option<usize>) -> Option<String> {
    value
        .is_some_and(|budget| budget < LEAST_BUDGET)
        .then(|| format!("must be at least {LEAST_BUDGET} bytes; none switches it off"))
}

pub(super) fn grace(value: &Duration) -> Option<String> {
    (*value > LONGEST_GRACE).then(|| format!("must be at most {LONGEST_GRACE:?}"))
}
