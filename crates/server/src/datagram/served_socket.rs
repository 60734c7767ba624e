//! A datagram socket that is served: what the loops of both kinds of handler do with it.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use swapwire_core::{DatagramSocket, ErrorClass, RecvBatch};

use super::receiver::DatagramReceiver;
use super::sender::DatagramSender;
use crate::ServeContext;
use crate::drain::{DrainWatch, MOST_LATE_BATCHES, QuietPeriod};
use crate::metrics::Incident;

pub(crate) struct ServedSocket {
    pub(crate) socket: Box<dyn DatagramSocket>,
    receiver: DatagramReceiver,
    pub(crate) sender: DatagramSender,
    drain: DrainWatch,
    quiet_period: QuietPeriod,
    late_batches: usize,
    pub(crate) cx: Arc<ServeContext>,
}

/// One socket with one handler.
pub(crate) trait SocketLoop {
    fn socket(&mut self) -> &mut ServedSocket;

    /// Ready when the drain is over, or when the socket can never work again.
    fn poll(&mut self, task: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Counts what is dropped at the drain deadline, and returns how much that is.
    fn cut(&mut self) -> u64;
}

/// Runs a loop until the drain is over. Returns how much was cut.
pub(crate) async fn run_socket(mut served: impl SocketLoop) -> io::Result<u64> {
    let cx = Arc::clone(&served.socket().cx);
    let ended = tokio::select! {
        biased;
        result = poll_fn(|task| served.poll(task)) => result.map(|()| 0),
        () = cx.abort.cancelled() => Ok(served.cut()),
    };
    let ServedSocket { socket, receiver, .. } = served.socket();
    receiver.end(&**socket, &cx);
    ended
}

impl ServedSocket {
    pub(crate) fn new(socket: Box<dyn DatagramSocket>, cx: Arc<ServeContext>) -> Self {
        Self {
            socket,
            receiver: DatagramReceiver::new(&cx),
            sender: DatagramSender::new(),
            drain: cx.drain.watch(),
            quiet_period: QuietPeriod::default(),
            late_batches: 0,
            cx,
        }
    }

    /// Sends what waits to be sent; ready when the batch is empty.
    #[inline]
    pub(crate) fn poll_send(&mut self, task: &mut Context<'_>) -> Poll<()> {
        self.sender.poll(task, &mut *self.socket, &self.cx)
    }

    /// Receives into `batch`; in a drain, only so often. Whether anything was received: an error that passes is counted.
    #[inline]
    pub(crate) fn poll_recv(&mut self, task: &mut Context<'_>, batch: &mut RecvBatch) -> Poll<io::Result<bool>> {
        if self.late_batches > MOST_LATE_BATCHES {
            return Poll::Pending;
        }
        batch.clear();
        let received = ready!(self.receiver.poll_recv(task, &mut *self.socket, batch, &self.cx));
        Poll::Ready(match received {
            Ok(()) => {
                self.late_batches += usize::from(self.cx.drain.has_begun());
                Ok(true)
            }
            Err(error) if self.socket.classify(&error) == ErrorClass::ListenerFatal => Err(error),
            Err(error) => {
                self.cx.incidents.note(Incident::Noise, 1, None, error);
                Ok(false)
            }
        })
    }

    /// When there is nothing to receive: whether the drain has begun, and has been quiet for long enough.
    pub(crate) fn is_drained(&mut self, task: &mut Context<'_>) -> bool {
        self.drain.poll(task) && self.quiet_period.poll(task, &self.cx.load).is_ready()
    }
}
