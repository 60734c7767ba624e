//! tokio's types as they are, each of their operations behind a step that loom sees.
//!
//! So they are taken to be right, and to do what they do at once; models ask what becomes of what is built on them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::AcqRel;
use std::task::{Context, Poll};

use tokio::sync;

/// Where loom may let another thread go first.
#[derive(Clone, Debug, Default)]
struct Step(Arc<loom::sync::atomic::AtomicUsize>);

impl Step {
    fn take(&self) {
        self.0.fetch_add(1, AcqRel);
    }
}

/// A future with a step before each poll.
#[derive(Debug)]
pub struct Stepped<F> {
    future: Pin<Box<F>>,
    step: Step,
}

impl<F> Stepped<F> {
    fn new(future: F, step: &Step) -> Self {
        Self { future: Box::pin(future), step: step.clone() }
    }
}

impl<F: Future> Future for Stepped<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.step.take();
        self.future.as_mut().poll(cx)
    }
}

/// See [`sync::Notify`].
#[derive(Debug, Default)]
pub struct Notify {
    real: sync::Notify,
    step: Step,
}

impl Notify {
    /// No task is woken.
    pub fn new() -> Self {
        Self::default()
    }

    /// See [`sync::Notify::notify_one`].
    pub fn notify_one(&self) {
        self.step.take();
        self.real.notify_one();
    }

    /// See [`sync::Notify::notify_waiters`].
    pub fn notify_waiters(&self) {
        self.step.take();
        self.real.notify_waiters();
    }

    /// See [`sync::Notify::notified`].
    pub fn notified(&self) -> Stepped<sync::futures::Notified<'_>> {
        self.step.take();
        Stepped::new(self.real.notified(), &self.step)
    }
}

impl Stepped<sync::futures::Notified<'_>> {
    /// See [`sync::futures::Notified::enable`].
    pub fn enable(mut self: Pin<&mut Self>) -> bool {
        self.step.take();
        self.future.as_mut().enable()
    }
}

/// See [`tokio_util::sync::CancellationToken`].
#[derive(Clone, Debug, Default)]
pub struct CancellationToken {
    real: tokio_util::sync::CancellationToken,
    step: Step,
}

/// See [`tokio_util::sync::WaitForCancellationFutureOwned`].
pub type WaitForCancellationFutureOwned = Stepped<tokio_util::sync::WaitForCancellationFutureOwned>;

impl CancellationToken {
    /// Nothing is cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// See [`tokio_util::sync::CancellationToken::cancel`].
    pub fn cancel(&self) {
        self.step.take();
        self.real.cancel();
    }

    /// See [`tokio_util::sync::CancellationToken::is_cancelled`].
    pub fn is_cancelled(&self) -> bool {
        self.step.take();
        self.real.is_cancelled()
    }

    /// See [`tokio_util::sync::CancellationToken::cancelled_owned`].
    pub fn cancelled_owned(self) -> WaitForCancellationFutureOwned {
        Stepped::new(self.real.cancelled_owned(), &self.step)
    }

    /// See [`tokio_util::sync::CancellationToken::cancelled`].
    pub fn cancelled(&self) -> WaitForCancellationFutureOwned {
        self.clone().cancelled_owned()
    }
}

/// See [`sync::Semaphore`].
#[derive(Debug)]
pub struct Semaphore {
    real: Arc<sync::Semaphore>,
    step: Step,
}

/// See [`sync::OwnedSemaphorePermit`].
#[derive(Debug)]
pub struct OwnedSemaphorePermit {
    real: Option<sync::OwnedSemaphorePermit>,
    step: Step,
}

impl Semaphore {
    /// See [`sync::Semaphore::new`].
    pub fn new(permits: usize) -> Self {
        Self { real: Arc::new(sync::Semaphore::new(permits)), step: Step::default() }
    }

    /// See [`sync::Semaphore::available_permits`].
    pub fn available_permits(&self) -> usize {
        self.step.take();
        self.real.available_permits()
    }

    fn permit(&self, real: sync::OwnedSemaphorePermit) -> OwnedSemaphorePermit {
        OwnedSemaphorePermit { real: Some(real), step: self.step.clone() }
    }

    /// See [`sync::Semaphore::acquire`].
    ///
    /// # Errors
    /// As there.
    pub async fn acquire(&self) -> Result<OwnedSemaphorePermit, sync::AcquireError> {
        let acquired = Stepped::new(Arc::clone(&self.real).acquire_owned(), &self.step).await;
        acquired.map(|real| self.permit(real))
    }

    /// See [`sync::Semaphore::acquire_owned`].
    ///
    /// # Errors
    /// As there.
    pub async fn acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, sync::AcquireError> {
        self.acquire().await
    }

    /// See [`sync::Semaphore::try_acquire_owned`].
    ///
    /// # Errors
    /// As there.
    pub fn try_acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, sync::TryAcquireError> {
        self.step.take();
        Arc::clone(&self.real).try_acquire_owned().map(|real| self.permit(real))
    }
}

impl Drop for OwnedSemaphorePermit {
    fn drop(&mut self) {
        self.step.take();
        self.real.take();
    }
}

/// See [`sync::mpsc`].
pub mod mpsc {
    use std::future::poll_fn;

    pub use tokio::sync::mpsc::error;

    use super::*;

    /// See [`sync::mpsc::Sender`].
    #[derive(Clone, Debug)]
    pub struct Sender<T> {
        real: sync::mpsc::Sender<T>,
        step: Step,
    }

    /// See [`sync::mpsc::Receiver`].
    #[derive(Debug)]
    pub struct Receiver<T> {
        real: sync::mpsc::Receiver<T>,
        step: Step,
    }

    /// See [`sync::mpsc::channel`].
    pub fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
        let ((sender, receiver), step) = (sync::mpsc::channel(capacity), Step::default());
        (Sender { real: sender, step: step.clone() }, Receiver { real: receiver, step })
    }

    impl<T> Sender<T> {
        /// See [`sync::mpsc::Sender::try_send`], which does two things one after the other.
        ///
        /// # Errors
        /// As there.
        pub fn try_send(&self, value: T) -> Result<(), error::TrySendError<T>> {
            self.step.take();
            let permit = match self.real.try_reserve() {
                Ok(permit) => permit,
                Err(error::TrySendError::Full(())) => return Err(error::TrySendError::Full(value)),
                Err(error::TrySendError::Closed(())) => return Err(error::TrySendError::Closed(value)),
            };
            self.step.take();
            permit.send(value);
            Ok(())
        }
    }

    impl<T> Receiver<T> {
        /// See [`sync::mpsc::Receiver::recv`].
        pub async fn recv(&mut self) -> Option<T> {
            poll_fn(|cx| {
                self.step.take();
                self.real.poll_recv(cx)
            })
            .await
        }

        /// See [`sync::mpsc::Receiver::try_recv`].
        ///
        /// # Errors
        /// As there.
        pub fn try_recv(&mut self) -> Result<T, error::TryRecvError> {
            self.step.take();
            self.real.try_recv()
        }

        /// See [`sync::mpsc::Receiver::close`].
        pub fn close(&mut self) {
            self.step.take();
            self.real.close();
        }
    }
}
