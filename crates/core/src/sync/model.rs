//! What a model needs beside loom's own types.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use loom::sync::{Mutex, Notify};

/// Runs `model` in every order of events that interrupts no thread more than so many times, or than `LOOM_MAX_PREEMPTIONS`
/// says if that is less. Prints how many there were.
pub fn explore(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(builder.preemption_bound.map_or(preemptions, |most| most.min(preemptions)));
    let (count, begun) = (Arc::new(std::sync::atomic::AtomicU64::new(0)), std::time::Instant::now());
    let counted = Arc::clone(&count);
    builder.check(move || {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        model();
    });
    let name = std::thread::current().name().unwrap_or("model").to_owned();
    println!("{name}: {count:?} orders in {:.1?}", begun.elapsed());
}

/// Waits for `future` as a thread of a model.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let task = Arc::new(Task(Notify::new()));
    let waker = Waker::from(Arc::clone(&task));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => task.0.wait(),
        }
    }
}

/// Counted by std: loom need not follow a waker that is cloned, which tokio does while it holds a lock.
struct Task(Notify);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

/// What `futures::task::AtomicWaker` promises.
#[derive(Debug, Default)]
pub struct AtomicWaker(Mutex<Option<Waker>>);

impl AtomicWaker {
    /// No task waits.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on this task is woken.
    pub fn register(&self, waker: &Waker) {
        self.swap(Some(waker.clone()));
    }

    /// Wakes the task that registered last, once.
    pub fn wake(&self) {
        if let Some(waker) = self.take() {
            waker.wake();
        }
    }

    /// The task that registered last, which is not woken any more.
    pub fn take(&self) -> Option<Waker> {
        self.swap(None)
    }

    fn swap(&self, waker: Option<Waker>) -> Option<Waker> {
        std::mem::replace(&mut *self.0.lock().expect("a model does not poison"), waker)
    }
}
