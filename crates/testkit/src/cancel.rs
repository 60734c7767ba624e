//! Futures that are dropped at an await of choice.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

/// Polls `future` at most `polls` times, and drops it if it is not done then: its output, or `None`.
///
/// A future that is dropped after its first, its second, … poll is dropped at each of its awaits in turn. It is polled when
/// it is woken, as ever; see [`drop_after_eager`] for one that need not be woken.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use swapwire_testkit::drop_after;
/// use tokio::task::yield_now;
///
/// let twice = || async { (yield_now().await, yield_now().await) };
/// assert!(drop_after(2, twice()).await.is_none());
/// assert!(drop_after(3, twice()).await.is_some());
/// # }
/// ```
///
/// # Cancel safety
/// As of `future`.
pub async fn drop_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let future = pin!(future);
    Counted { future, polls, eager: false }.await
}

/// As [`drop_after`], and polls again in the task's next turn though nothing woke it: so it ends, even if nothing ever
/// happens that `future` waits for, and shows whether a poll too many does harm.
///
/// # Cancel safety
/// As of `future`.
pub async fn drop_after_eager<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let future = pin!(future);
    Counted { future, polls, eager: true }.await
}

struct Counted<'a, F> {
    future: Pin<&'a mut F>,
    polls: usize,
    eager: bool,
}

impl<F: Future> Future for Counted<'_, F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(left) = self.polls.checked_sub(1) else { return Poll::Ready(None) };
        self.polls = left;
        match self.future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => {
                if self.eager {
                    cx.waker().wake_by_ref();
                }
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn a_future_is_polled_so_often_and_no_more() {
        assert_eq!(drop_after(0, async { 1 }).await, None);
        assert_eq!(drop_after(1, async { 1 }).await, Some(1));
        assert_eq!(drop_after(1, yield_now()).await, None);
        assert_eq!(drop_after(2, yield_now()).await, Some(()));
        assert_eq!(drop_after_eager(1000, pending::<()>()).await, None);
    }
}
