//! The event that tells of a session which has ended.

use swapwire_core::{Addr, Printable, SessionGuard, Shape};
use tracing::Level;

use crate::time::Since;
use crate::{ServeContext, SessionEnd};

/// What the event says of one session; dropping it tells it. There is none unless the event is listened to when the session
/// begins.
pub(crate) struct SessionRecord<'a> {
    cx: &'a ServeContext,
    peer: Addr,
    local: Option<Addr>,
    begun: Since,
    bytes: u64,
    messages: u64,
    /// Knows the bytes and messages of a session that a handler has.
    guard: Option<&'a SessionGuard>,
    /// How it ended, and whether the peer had ended.
    end: Option<(SessionEnd, bool)>,
    goes_on: bool,
}

/// Where a filter of the log finds the event.
const TARGET: &str = "swapwire_server::session";

impl<'a> SessionRecord<'a> {
    /// Of a session that begins now.
    #[inline]
    pub(crate) fn begin(cx: &'a ServeContext, peer: &Addr, local: Option<&Addr>) -> Option<Box<Self>> {
        tracing::enabled!(target: TARGET, Level::DEBUG).then(|| Self::new(cx, *peer, local.copied()))
    }

    #[cold]
    fn new(cx: &'a ServeContext, peer: Addr, local: Option<Addr>) -> Box<Self> {
        let begun = Since::at(cx.timers.now());
        Box::new(Self { cx, peer, local, begun, bytes: 0, messages: 0, guard: None, end: None, goes_on: false })
    }

    /// Of a session that a handler has: its bytes and messages are those that `guard` knows.
    #[inline]
    pub(crate) fn of(guard: &'a SessionGuard, cx: &'a ServeContext) -> Option<Box<Self>> {
        let mut record = Self::begin(cx, guard.peer().addr(), Some(guard.local()))?;
        record.guard = Some(guard);
        Some(record)
    }

    /// It moved so much more, in either direction.
    #[cold]
    pub(crate) fn add(&mut self, messages: u64, bytes: u64) {
        self.messages += messages;
        self.bytes += bytes;
    }

    /// It has ended so.
    pub(crate) fn ended(&mut self, end: SessionEnd, peer_has_ended: bool) {
        self.end = Some((end, peer_has_ended));
    }

    /// It goes on as another one.
    pub(crate) fn goes_on(mut self: Box<Self>) {
        self.goes_on = true;
    }

    /// Of one that is dropped before its end is known.
    fn dropped(&self) -> SessionEnd {
        if std::thread::panicking() {
            SessionEnd::Panicked
        } else if self.cx.capabilities.shape == Shape::Datagram && !self.cx.abort.is_cancelled() {
            SessionEnd::Evicted
        } else {
            SessionEnd::Cut
        }
    }
}

impl Drop for SessionRecord<'_> {
    fn drop(&mut self) {
        if self.goes_on {
            return;
        }
        if let Some(progress) = self.guard.map(SessionGuard::progress) {
            self.add(progress.messages + progress.messages_sent, progress.received + progress.sent);
        }
        let (end, peer_has_ended) = self.end.unwrap_or_else(|| (self.dropped(), false));
        let local = self.local.map_or_else(|| self.cx.endpoint.to_string(), |local| local.to_string());
        tracing::debug!(
            target: TARGET,
            listener = %Printable::new(self.cx.listener.name()),
            peer = %Printable::new(self.peer),
            local = %Printable::new(local),
            duration = self.begun.elapsed(&self.cx.timers).as_secs_f64(),
            bytes = self.bytes,
            messages = self.messages,
            end = %format_args!("{}:{}", who(end, peer_has_ended), end.name()),
            "session ended"
        );
    }
}

/// Whose doing an end is.
const fn who(end: SessionEnd, peer_has_ended: bool) -> &'static str {
    use SessionEnd as End;
    match end {
        End::Done if peer_has_ended => "peer",
        End::FrameTimeout | End::WriteTimeout | End::BadFrame | End::Handshake => "peer",
        End::Broken => "wire",
        End::Done | End::HandlerError | End::Panicked => "handler",
        End::Drained | End::IdleTimeout | End::OverBudget | End::Cut | End::Evicted => "server",
    }
}
