//! A datagram socket that is served: what the loops of both kinds of handler do with it.

use std::any::Any;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::task::{Context, Poll, ready};

use swapwire_core::{Arrivals, Bound, DatagramSocket, ErrorClass, RecvBatch};

use super::receiver::DatagramReceiver;
use super::sender::DatagramSender;
use crate::ServeContext;
use crate::drain::{
    DrainWatch, Handed, HandedSocket, MOST_LATE_BATCHES, QuietPeriod, SocketControl, Succession, Successor,
};
use crate::metrics::Incident;

pub(crate) struct ServedSocket {
    pub(crate) socket: Box<dyn DatagramSocket>,
    receiver: DatagramReceiver,
    pub(crate) sender: DatagramSender,
    drain: DrainWatch,
    quiet_period: QuietPeriod,
    /// Since the drain has begun: what the socket knows of arrivals.
    arrivals: Option<Arrivals>,
    late_batches: usize,
    /// It is waited for until its replies have reached the other side.
    is_flushing: bool,
    /// None, where the service has a loop of its own.
    control: Option<SocketControl>,
    /// The control's request for it is watched.
    watched: bool,
    /// Who follows, once everything was left to it.
    successor: Option<Successor>,
    pub(crate) cx: Arc<ServeContext>,
}

/// One socket with one handler.
pub(crate) trait SocketLoop {
    fn socket(&mut self) -> &mut ServedSocket;

    /// Ready when the drain is over, or when the socket can never work again.
    fn poll(&mut self, task: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Counts what is dropped at the drain deadline, and returns how much that is.
    fn cut(&mut self) -> u64;

    /// The socket, after the end.
    fn into_socket(self) -> ServedSocket;
}

/// Runs a loop until the drain is over. Returns how much was cut.
pub(crate) async fn run_socket(mut served: impl SocketLoop) -> io::Result<u64> {
    let cx = Arc::clone(&served.socket().cx);
    let ended = tokio::select! {
        biased;
        result = poll_fn(|task| served.poll(task)) => result.map(|()| 0),
        () = cx.abort.cancelled() => Ok(served.cut() + served.socket().cut()),
    };
    served.into_socket().end(ended.is_ok());
    ended
}

impl ServedSocket {
    pub(crate) fn new(
        socket: Box<dyn DatagramSocket>,
        sender: DatagramSender,
        control: Option<SocketControl>,
        cx: Arc<ServeContext>,
    ) -> Self {
        Self {
            socket,
            receiver: DatagramReceiver::new(&cx, control.as_ref().map_or(0, |control| control.dropped)),
            sender,
            control,
            watched: false,
            successor: None,
            drain: cx.drain.watch(),
            quiet_period: QuietPeriod::default(),
            arrivals: None,
            late_batches: 0,
            is_flushing: false,
            cx,
        }
    }

    /// Whether a loop that takes over what `own` says is to follow now; if not, the task is woken when it is.
    #[inline(always)]
    pub(crate) fn is_followed(&mut self, task: &Context<'_>, own: Succession) -> bool {
        let Some(control) = &self.control else { return false };
        if !self.watched {
            self.watched = true;
            control.handover.watch(task);
        }
        control.handover.is_asked() && self.find_successor(own)
    }

    #[cold]
    fn find_successor(&mut self, own: Succession) -> bool {
        if let (None, Some(control)) = (&self.successor, &self.control) {
            self.successor = control.handover.taken_if(|takes| takes == own);
        }
        self.successor.is_some()
    }

    /// Leaves what it has beside the socket to the loop that follows.
    pub(crate) fn leave(&mut self, rest: impl Any + Send) {
        if let Some(control) = &mut self.control {
            control.rest = Some(Box::new(rest));
        }
    }

    /// Gives the socket to the loop that follows, or, in a drain, to the group. One that failed before a drain is closed and
    /// gives its peers to the others.
    fn end(mut self, works: bool) {
        let dropped = self.receiver.end(&*self.socket, &self.cx);
        let Some(control) = self.control.filter(|_| works) else { return };
        match self.successor.or_else(|| control.handover.taken()) {
            Some(successor) => {
                successor.give(Handed::Socket(HandedSocket { socket: self.socket, dropped, rest: control.rest }));
            }
            None if self.cx.drain.has_begun() => control.member.keep(Bound::Socket(self.socket)),
            None => {}
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
        let is_late = self.cx.drain.has_begun();
        if is_late && !self.admits_late() {
            return Poll::Pending;
        }
        batch.clear();
        let received = ready!(self.receiver.poll_recv(task, &mut *self.socket, batch, &self.cx));
        Poll::Ready(match received {
            Ok(()) => {
                self.late_batches += usize::from(is_late);
                Ok(true)
            }
            Err(error) if self.socket.classify(&error) == ErrorClass::ListenerFatal => Err(error),
            Err(error) => {
                self.cx.incidents.note(Incident::Noise, 1, None, error);
                Ok(false)
            }
        })
    }

    /// Whether something may arrive yet, in a drain. The first call refuses arrivals.
    #[cold]
    fn admits_late(&mut self) -> bool {
        match self.arrivals {
            None => {
                self.arrivals = Some(self.refuse_arrivals());
                true
            }
            Some(Arrivals::Fenced) => !self.receiver.has_ended,
            Some(_) => self.late_batches <= MOST_LATE_BATCHES,
        }
    }

    /// A socket that passes to another loop behind the drain of this one refuses nothing.
    fn refuse_arrivals(&mut self) -> Arrivals {
        // The request is made before the drain begins (`Drain::begin`).
        fence(Ordering::Acquire);
        if self.passes_on() { Arrivals::Unknown } else { self.socket.refuse_arrivals() }
    }

    /// Whether it is to go to another loop.
    fn passes_on(&self) -> bool {
        self.control.as_ref().is_some_and(|control| control.handover.is_asked())
    }

    /// When there is nothing to receive: whether the drain has begun, and the last one was given, or it has been quiet for long
    /// enough.
    pub(crate) fn is_drained(&mut self, task: &mut Context<'_>) -> bool {
        self.drain.poll(task)
            && match self.arrivals {
                Some(Arrivals::Fenced) => self.receiver.has_ended,
                _ => self.quiet_period.poll(task, &self.cx.load).is_ready(),
            }
    }

    /// Counts, at the drain deadline, a wait for the last arrival or for word of the last reply. Returns how many waits that were.
    pub(crate) fn cut(&self) -> u64 {
        let waits_for = match self.arrivals {
            Some(Arrivals::Fenced) if !self.receiver.has_ended => "the last request",
            _ if self.is_flushing => "the arrival of the last reply",
            _ => return 0,
        };
        self.cx.incidents.note(Incident::Unknown, 1, None, format_args!("drain_timeout was over before {waits_for}"));
        1
    }

    /// Ready when the replies have reached the other side, or when that is not known and never will be; at once, if the socket
    /// is not closed.
    pub(crate) fn poll_flush(&mut self, task: &mut Context<'_>) -> Poll<()> {
        if self.passes_on() {
            return Poll::Ready(());
        }
        self.is_flushing = true;
        self.socket.poll_flush(task).map(|flushed| {
            if let Err(error) = flushed {
                self.cx.incidents.note(Incident::Unknown, 1, None, error);
            }
        })
    }
}
