//! A handler whose messages say what it does.

use std::task::Poll;

use swapwire::{Handler, HandlerError, HandlerProperties, Reply, Request};

use super::super::decode::Rule;

pub(super) struct Obedient {
    pub(super) rule: Rule,
    pub(super) at_once: bool,
}

/// What one message asks for.
#[derive(Default)]
pub(super) struct Script {
    pub(super) fails: bool,
    pub(super) closes: bool,
    copies: usize,
    /// It tries to reply what is too long, and what cannot be framed.
    overdoes: bool,
    /// How often it is not ready.
    waits: u8,
}

/// What no line can carry.
const TWO_LINES: &[u8] = b"two\nlines";

impl Script {
    /// The first byte decides. Without messages, only an echo is the same however the stream is sliced.
    pub(super) fn of(message: &[u8], rule: &Rule, at_once: bool) -> Self {
        let echo = Self { copies: 1, ..Self::default() };
        let first = match message.first() {
            Some(first) if !matches!(rule, Rule::Chunks) => *first,
            _ => return echo,
        };
        match first % 8 {
            0 => Self { fails: true, ..echo },
            1 => Self { closes: true, ..echo },
            2 => Self { copies: 0, ..echo },
            3 => Self { copies: 2, ..echo },
            4 if !at_once => Self { waits: first >> 4, ..echo },
            5 => Self { overdoes: true, ..echo },
            _ => echo,
        }
    }

    /// What it tries to reply.
    pub(super) fn replies<'a>(&self, message: &'a [u8], max: usize) -> impl Iterator<Item = &'a [u8]> {
        // As long as the limit, so that nothing fits behind it.
        let long = &[b'x'; 512][..max.min(512)];
        let more = self.overdoes.then_some([TWO_LINES, long]).into_iter().flatten();
        std::iter::repeat_n(message, self.copies).chain(more)
    }
}

impl Handler for Obedient {
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        let message = request.message();
        let script = Script::of(message, &self.rule, self.at_once);
        let mut waits = script.waits;
        std::future::poll_fn(|cx| {
            cx.waker().wake_by_ref();
            if waits == 0 {
                return Poll::Ready(());
            }
            waits -= 1;
            Poll::Pending
        })
        .await;
        for part in script.replies(message, reply.limit()) {
            // What is refused leaves the others whole.
            let _ = reply.send(part);
        }
        if script.closes {
            reply.close();
        }
        if script.fails { Err("it was asked to".into()) } else { Ok(()) }
    }

    fn properties(&self) -> HandlerProperties {
        HandlerProperties::new().any_slicing().with_ready_at_once(self.at_once)
    }
}
