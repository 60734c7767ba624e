//! Requests under way on a wire that may lose, repeat and reorder messages.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::requester::Requester;
use crate::load::request::payload::{Asked, Payload};
use crate::load::request::tally::Begun;

use crate::load::worker::shared::State;

/// Lost requests that are remembered, in case their replies come late.
const REMEMBERED: usize = 1024;

/// At most as many as the bound on requests under way.
#[derive(Debug)]
pub(crate) enum Flights {
    /// Replies tell which request they answer.
    Identified {
        slots: Vec<Option<(Begun, Asked)>>,
        free: Vec<u16>,
        /// Lost requests, the oldest first.
        lost: VecDeque<(Asked, bool)>,
        /// The highest number that was answered.
        newest: Option<u64>,
    },
    /// They do not: each is taken for the reply to the oldest request.
    InOrder(VecDeque<(Begun, Asked)>, usize),
}

impl Flights {
    /// At most `most` requests under way, 65,536 at the most.
    pub(crate) fn new(identified: bool, most: usize) -> Self {
        if !identified {
            return Self::InOrder(VecDeque::with_capacity(most.min(1024)), most);
        }
        let most = most.clamp(1, usize::from(u16::MAX) + 1);
        let free = (0..most).rev().map(|slot| slot as u16).collect();
        Self::Identified { slots: vec![None; most], free, lost: VecDeque::new(), newest: None }
    }

    /// Where the next request would go; `None` if there is none.
    pub(crate) fn free_slot(&self) -> Option<u16> {
        match self {
            Self::Identified { free, .. } => free.last().copied(),
            Self::InOrder(queue, most) => (queue.len() < *most).then_some(0),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Identified { slots, free, .. } => slots.len() - free.len(),
            Self::InOrder(queue, _) => queue.len(),
        }
    }

    /// A request was begun, where [`free_slot`](Self::free_slot) said.
    pub(crate) fn push(&mut self, begun: Begun, asked: Asked) {
        match self {
            Self::Identified { slots, free, .. } => {
                free.pop();
                slots[usize::from(asked.slot)] = Some((begun, asked));
            }
            Self::InOrder(queue, _) => queue.push_back((begun, asked)),
        }
    }

    /// A reply came.
    pub(crate) fn reply(
        &mut self,
        reply: &[u8],
        truncated: bool,
        now: Instant,
        requester: &mut Requester,
        state: &mut State,
    ) {
        match self {
            Self::InOrder(queue, _) => match queue.pop_front() {
                Some((begun, asked)) => {
                    let right = !truncated && requester.job.payload.is_right(asked, reply);
                    requester.reply(begun, right, reply.len(), now, state);
                }
                None => {
                    state.tally.round.faults.wrong += u64::from(state.window.is_some_and(|window| window.holds(now)))
                }
            },
            Self::Identified { slots, free, lost, newest } => {
                let Some((slot, number, digits)) = Payload::answers(reply) else {
                    state.tally.round.faults.wrong += 1;
                    return;
                };
                let same = |asked: &Asked| asked.slot == slot && asked.number & mask(digits) == number;
                let place = slots.get_mut(usize::from(slot));
                if let Some(place) = place
                    && let Some((begun, asked)) = place.filter(|(_, asked)| same(asked))
                {
                    *place = None;
                    free.push(slot);
                    let faults = &mut state.tally.round.faults;
                    if newest.is_some_and(|newest| asked.number < newest) && begun.measured {
                        *faults.reordered.get_or_insert_default() += 1;
                    }
                    *newest = (*newest).max(Some(asked.number));
                    let right = !truncated && requester.job.payload.is_right(asked, reply);
                    requester.reply(begun, right, reply.len(), now, state);
                } else if let Some(at) = lost.iter().position(|(asked, _)| same(asked)) {
                    let measured = lost.remove(at).is_some_and(|(_, measured)| measured);
                    state.tally.round.faults.late += u64::from(measured);
                } else if state.window.is_some_and(|window| window.holds(now)) {
                    *state.tally.round.faults.duplicated.get_or_insert_default() += 1;
                }
            }
        }
    }

    /// Gives up what was begun before `before`; returns when the oldest of the others was begun.
    pub(crate) fn expire(&mut self, before: Instant, requester: &mut Requester, state: &mut State) -> Option<Instant> {
        match self {
            Self::InOrder(queue, _) => {
                while let Some((begun, _)) = queue.front().filter(|(begun, _)| begun.at <= before) {
                    requester.lost(*begun, state);
                    queue.pop_front();
                }
                queue.front().map(|(begun, _)| begun.at)
            }
            Self::Identified { slots, free, lost, .. } => {
                for (slot, place) in slots.iter_mut().enumerate() {
                    let Some((begun, asked)) = place.take_if(|(begun, _)| begun.at <= before) else { continue };
                    free.push(slot as u16);
                    requester.lost(begun, state);
                    if lost.len() == REMEMBERED {
                        lost.pop_front();
                    }
                    lost.push_back((asked, begun.measured));
                }
                slots.iter().flatten().map(|(begun, _)| begun.at).min()
            }
        }
    }

    /// Gives up everything; returns how many of them were measured.
    pub(crate) fn drop_all(&mut self) -> u64 {
        let measured = |(begun, _): &(Begun, Asked)| begun.measured;
        match self {
            Self::InOrder(queue, _) => queue.drain(..).filter(measured).count() as u64,
            Self::Identified { slots, .. } => slots.drain(..).flatten().filter(measured).count() as u64,
        }
    }
}

fn mask(digits: u32) -> u64 {
    if digits >= 16 { u64::MAX } else { (1 << (4 * digits)) - 1 }
}
