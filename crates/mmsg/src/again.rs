//! Whether to read a datagram socket again.

/// The most that it hopes for, and how long it waits after it was wrong.
const MOST: i8 = 3;
const REST: i8 = 8;

/// Whether a datagram socket of a server is read again without asking the reactor first, once all that waited was received.
/// Under load more has come meanwhile: a read that finds something spares waiting for the reactor (`epoll_wait(2)`) and a turn
/// of the runtime; one that finds nothing costs a call. So it does what was right lately, and is tried where datagrams
/// arrive together.
#[derive(Debug)]
pub(crate) struct Again {
    /// Above 0: read again.
    hope: i8,
    /// The last receive was to be followed by another.
    promised: bool,
}

impl Again {
    /// Asks the reactor at first.
    pub(crate) const fn new() -> Self {
        Self { hope: 0, promised: false }
    }

    /// Notes that a receive emptied the socket, or found it empty, and gave so many datagrams; whether to read again.
    #[inline]
    pub(crate) fn after(&mut self, received: usize) -> bool {
        match (self.promised, received) {
            (true, 0) => self.hope = if self.hope > 1 { self.hope - 1 } else { -REST },
            (true, _) => self.hope = MOST.min(self.hope + 1),
            (false, 2..) => self.hope = MOST.min(self.hope + 1),
            (false, _) => {}
        }
        self.promised = received > 0 && self.hope > 0;
        self.promised
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_asked_one_thing_at_a_time_asks_the_reactor() {
        let mut again = Again::new();
        assert!((0..100).all(|_| !again.after(1)));
    }

    #[test]
    fn under_load_the_reactor_is_not_asked() {
        let mut again = Again::new();
        assert!((0..100).all(|_| again.after(2)));
        assert!((0..100).all(|_| again.after(1)));
    }

    #[test]
    fn where_it_is_always_wrong_it_is_seldom_tried() {
        let mut again = Again::new();
        let tried = (0..900).filter(|_| again.after(5) && !again.after(0)).count();
        assert_eq!(tried, 100);
    }
}
